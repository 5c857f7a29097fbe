"""An app's key and its value, independent of the store: keys as the app names them, without any prefix."""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec import Struct

from pannier_crds.problems import quoted
from pannier_sidecar.state.requests import NO_METADATA

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pannier_sidecar.state.keys import KeyScheme


class MoveError(Exception):
    """A move can't begin, or must end early; the text says why and what to do."""


class AppKey(Struct, frozen=True):
    """A key of the app, or of one of its actors."""

    key: str
    actor_type: str = ""
    """Empty: a key of the app itself."""
    actor_id: str = ""

    def __str__(self) -> str:
        owner = f" of actor {quoted(self.actor_type)} {quoted(self.actor_id)}" if self.actor_type else ""
        return f"key {quoted(self.key)}{owner}"

    def stored(self, scheme: KeyScheme) -> str:
        """Return the stored key. Raises MalformedRequestError or IllegalKeyError."""
        if self.actor_type:
            return scheme.actor(self.actor_type, self.actor_id, self.key)
        return scheme.stored(self.key)

    def metadata(self, scheme: KeyScheme) -> Mapping[str, str]:
        """Return the metadata that a store with partitions needs, as for an actor's call."""
        if self.actor_type:
            return {"partitionKey": scheme.actor_partition(self.actor_type, self.actor_id)}
        return NO_METADATA


class Item(Struct, frozen=True):
    """A key and what it holds."""

    key: AppKey
    value: bytes
    expires_at: int | None = None
    """Unix time in seconds; None: never."""

    def has_expired(self, now: float) -> bool:
        return self.expires_at is not None and self.expires_at <= now


class Unread(Struct, frozen=True):
    """A key or line of the source that cannot be read as an item, and why."""

    where: str
    """A key, or the number of a line."""
    why: str


class Batch(Struct, frozen=True):
    """A part of a source. Keys that vanished after they were listed are `gone`."""

    items: tuple[Item, ...]
    unread: tuple[Unread, ...] = ()
    gone: int = 0

    def __len__(self) -> int:
        return len(self.items) + len(self.unread) + self.gone


def key_of(scheme: KeyScheme, stored: str) -> AppKey | None:
    """Return the app's key of a stored key; None if it belongs neither to the app nor to one of its actors."""
    if stored.startswith(scheme.prefix):
        key = scheme.listed(stored)
        if key is not None:
            return AppKey(key)
    parts = scheme.actor_parts(stored)
    return None if parts is None else AppKey(parts[2], parts[0], parts[1])
