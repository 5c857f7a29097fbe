"""The state of actors: which store holds it, what its keys are, which types are refused."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from msgspec.structs import replace

from .errors import ReservedActorTypeError

if TYPE_CHECKING:
    from .directory import Directory, ServedStore
    from .requests import WriteItem

RESERVED_TYPES: Final = "dapr.internal."


class ActorState:
    """The state of one actor, in the store that holds actor state."""

    __slots__ = ("_actor_id", "_actor_type", "metadata", "served")

    def __init__(self, directory: Directory, actor_type: str, actor_id: str):
        """Find the store. Raises ReservedActorTypeError, ActorStoreMissingError or StoreNotReadyError."""
        if actor_type.startswith(RESERVED_TYPES):
            raise ReservedActorTypeError(actor_type)
        self.served: ServedStore = directory.actor_store()
        self._actor_type = actor_type
        self._actor_id = actor_id
        self.metadata = {"partitionKey": self.served.keys.actor_partition(actor_type, actor_id)}
        """Keeps all keys of the actor together in stores that have partitions."""

    def stored(self, key: str) -> str:
        """Return the stored key of the actor's `key`. Raises MalformedRequestError or IllegalKeyError."""
        return self.served.keys.actor(self._actor_type, self._actor_id, key)

    def prefix(self) -> str:
        """Return the prefix of the actor's stored keys. Raises MalformedRequestError or IllegalKeyError."""
        return self.served.keys.actor_prefix(self._actor_type, self._actor_id)

    def placed(self, item: WriteItem) -> WriteItem:
        """Return the item in the partition where the actor's reads look, even if it names another one (as in Dapr)."""
        return replace(item, metadata={**item.metadata, **self.metadata})
