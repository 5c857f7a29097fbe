"""Opens the stores of a move, and refuses moves that would go wrong."""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from pannier_sidecar.encryption.encrypted_store import EncryptedStore
from pannier_sidecar.large_values.part_store import parts_of
from pannier_sidecar.loading.open_stores import close, open_store
from pannier_sidecar.moving.deciding import Target
from pannier_sidecar.moving.items import MoveError
from pannier_sidecar.moving.locating import place_of
from pannier_sidecar.state.errors import StoreError
from pannier_sidecar.state.store import Feature

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from pannier_sidecar.loading.plans import DesiredStore
    from pannier_sidecar.state.store import Store


@asynccontextmanager
async def opened(desired: DesiredStore) -> AsyncIterator[Store]:
    """Open a store for as long as the block lasts; values are decrypted and encrypted with the component's keys. Raises
    MoveError.
    """
    try:
        opened_store = await open_store(desired)
    except StoreError as error:
        raise MoveError(f"{desired.source}: {desired.name} can't be opened: {error}") from error
    try:
        yield opened_store.served.store
    finally:
        await close(opened_store.store, desired.name)


def check_source(desired: DesiredStore, store: Store) -> None:
    """Raise MoveError for a store that can't say which keys it has."""
    if Feature.KEYS_LIKE not in store.features:
        raise MoveError(
            f"{desired.source}: {desired.name} ({desired.type.name}) can't list its keys, so it is unknown what there "
            "is to copy; have the app that knows its keys read and save them"
        )


def check_encryption(desired: DesiredStore, store: Store) -> EncryptedStore:
    """Return the store whose values are to be encrypted again. Raises MoveError for one without keys or lists."""
    parts = parts_of(store)
    store = store if parts is None else parts.inner
    if not isinstance(store, EncryptedStore):
        raise MoveError(
            f"{desired.source}: {desired.name} has no primaryEncryptionKey, so there is nothing to encrypt with"
        )
    if not {Feature.KEYS_LIKE, Feature.ETAG} <= store.features:
        raise MoveError(
            f"{desired.source}: {desired.name} ({desired.type.name}) can't list its keys, so it is unknown what there "
            "is to encrypt again; have the app that knows its keys read and save them"
        )
    return store


def limits_of(desired: DesiredStore, store: Store, *, overwrites: bool) -> Target:
    """Return what a target can do. Raises MoveError for a target that would overwrite values without noticing."""
    has_etags = Feature.ETAG in store.features
    if not has_etags and not overwrites:
        raise MoveError(
            f"{desired.source}: {desired.name} ({desired.type.name}) has no ETags, so what others write during "
            "the copy could be lost; stop all other writers and add --overwrite"
        )
    return Target(store.max_key_bytes, has_etags, Feature.TTL in store.features, overwrites)


def check_actors(source: DesiredStore, target: DesiredStore | None) -> None:
    """Raise MoveError if keys of actors would be taken for the app's own. A target of None is a file."""
    if source.keys.distinguishes_actors or not source.holds_actor_state:
        return
    prefixes = source.keys.prefixes
    if target is None or target.keys.distinguishes_actors or len(prefixes) > 1 or target.keys.prefixes != prefixes:
        raise MoveError(
            f"{source.source}: {source.name} holds the state of actors, and with keyScheme dash their keys look like "
            "the app's own; copy to a store with the same keyScheme and keyPrefix"
        )


def check_places(source: DesiredStore, target: DesiredStore) -> None:
    """Raise MoveError if a store would be copied onto itself."""
    if place_of(source) == place_of(target) and source.keys.prefixes == target.keys.prefixes:
        raise MoveError(f"{source.name} and {target.name} keep the same keys in the same place; name another --to")
