"""What a Configuration calls the operations: the APIs in its lists, and names for the log. Imported only with one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from pannier_crds.api_lists import Api

from ..state.errors import StateError
from .paths import Operation, tidied

if TYPE_CHECKING:
    from pannier_crds.api_lists import ApiLists

    from .messages import Call
    from .paths import Path, PathTree

NAMES: Final = {
    Operation.GET: "GetState",
    Operation.SAVE: "SaveState",
    Operation.DELETE: "DeleteState",
    Operation.BULK_GET: "GetBulkState",
    Operation.TRANSACT: "ExecuteStateTransaction",
    Operation.KEYS: "ListKeys",
    Operation.BULK_DELETE: "DeleteBulk",
    Operation.DELETE_KEYS: "DeleteKeys",
    Operation.QUERY: "QueryStateAlpha1",
    Operation.INCREMENT: "Increment",
    Operation.APPEND: "Append",
    Operation.GET_AND_SET: "GetAndSet",
    Operation.TOUCH: "Touch",
    Operation.EXISTS: "Exists",
    Operation.GET_VALUE: "GetValue",
    Operation.PUT_VALUE: "PutValue",
    Operation.BATCH: "Batch",
    Operation.WATCH: "Watch",
    Operation.GET_ACTOR_STATE: "GetActorState",
    Operation.TRANSACT_ACTOR_STATE: "ExecuteActorStateTransaction",
    Operation.DELETE_ACTOR_STATE: "DeleteActorState",
    Operation.GET_SECRET: "GetSecret",
    Operation.GET_SECRETS: "GetBulkSecret",
    Operation.METADATA: "GetMetadata",
    Operation.SET_METADATA: "SetMetadata",
    Operation.HEALTHZ: "Healthz",
    Operation.HEALTHZ_OUTBOUND: "HealthzOutbound",
    Operation.SHUTDOWN: "Shutdown",
    Operation.DOCUMENTATION: "Documentation",
}
"""The operations as Dapr's log names them, and its gRPC methods are called."""
_CHANGES: Final = {Operation.INCREMENT, Operation.APPEND, Operation.GET_AND_SET, Operation.TOUCH, Operation.EXISTS}
_DELETIONS: Final = {Operation.DELETE_KEYS, Operation.BULK_DELETE, Operation.DELETE_ACTOR_STATE}
_VALUES: Final = {Operation.GET_VALUE, Operation.PUT_VALUE}
_ADDITIONS: Final = frozenset({Operation.KEYS, Operation.BATCH, Operation.WATCH, *_DELETIONS, *_CHANGES, *_VALUES})
"""Operations that Dapr does not have."""


def denied_operations(paths: tuple[Path, ...], lists: ApiLists) -> dict[Operation, Api]:
    """Return the operations that the lists of a Configuration do not permit over HTTP, and the APIs of these.

    An operation on the default store is permitted if it is on a store that is named.
    """
    denied: dict[Operation, Api] = {}
    for path in paths:
        version, _, route = path.template[1:].partition("/")
        name, version = route.partition("/")[0], version.replace(".0", "").replace("-", "")
        api = Api(name, version, route, is_addition=path.operation in _ADDITIONS)
        is_meant = path.operation is not Operation.DOCUMENTATION and not path.is_for_default_store
        if is_meant and not lists.permits(api, "http"):
            denied[path.operation] = api
    return denied


def name_of(paths: PathTree, call: Call) -> str:
    """Return the name of a call's operation, without store and key; `other` if it is none."""
    try:
        found = paths.find(call.method, tidied(call.path))
    except StateError:
        found = None
    return "other" if found is None else NAMES[found[0].operation]
