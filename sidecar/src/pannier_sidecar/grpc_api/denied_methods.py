"""Which methods the lists of a Configuration do not permit. Imported only with such lists."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from pannier_crds.api_lists import Api

from . import dapr, layotto, own_state

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pannier_crds.api_lists import ApiLists

_STATE: Final = Api("state")
_ADDED_TO_STATE: Final = Api("state", "v1alpha1", is_addition=True)
_STATE_METHODS: Final = (
    *("GetState", "GetBulkState", "SaveState", "DeleteState", "DeleteBulkState", "ExecuteStateTransaction"),
)
_OF_DAPR: Final = {
    **dict.fromkeys(_STATE_METHODS, _STATE),
    "QueryStateAlpha1": Api("state", "v1alpha1"),
    **dict.fromkeys(("GetActorState", "ExecuteActorStateTransaction"), Api("actors")),
    **dict.fromkeys(("GetSecret", "GetBulkSecret"), Api("secrets")),
    **dict.fromkeys(("GetMetadata", "SetMetadata"), Api("metadata")),
    "Shutdown": Api("shutdown"),
}
_OF_PANNIER: Final = {
    **dict.fromkeys(("ListKeys", "DeleteBulk", "DeleteKeys", "Watch"), _ADDED_TO_STATE),
    **dict.fromkeys(("Increment", "Append", "GetAndSet", "Touch", "Exists", "Batch"), _ADDED_TO_STATE),
    "DeleteActorState": Api("actors", "v1alpha1", is_addition=True),
}
APIS: Final = {
    f"/{service}/{name}": api
    for service, methods in (
        (dapr.SERVICE, _OF_DAPR),
        (layotto.SERVICE, dict.fromkeys(_STATE_METHODS, _STATE)),
        (own_state.SERVICE, _OF_PANNIER),
    )
    for name, api in methods.items()
}
"""The API of each method by its path. Methods that are not named here, such as health, are always permitted."""


def denied_methods(lists: ApiLists) -> Mapping[str, Api]:
    """Return the APIs of the methods that are not permitted, by the paths of the methods."""
    return {path: api for path, api in APIS.items() if not lists.permits(api, "grpc")}
