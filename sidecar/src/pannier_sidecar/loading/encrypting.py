"""Puts encryption around the store of a component that has keys; other components import nothing of it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pannier_crds.catalogue.encryption import (
    FORMAT,
    FURTHER,
    PRIMARY,
    READS_UNENCRYPTED,
    SECONDARY,
    parse_key,
    parse_keys,
)
from pannier_crds.encryption_keys import name_for_dapr, shown_name
from pannier_crds.problems import error, metadata_path
from pannier_crds.secret import reveal

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from pannier_crds.catalogue import Setting
    from pannier_crds.component import Component
    from pannier_crds.problems import Problem
    from pannier_sidecar.encryption.keys import Key
    from pannier_sidecar.state.store import Store


def missing_package(settings: Mapping[str, Setting]) -> Iterator[Problem]:
    """Yield a problem if a component has a key and what encrypts is not installed."""
    if settings.get(PRIMARY) is None:
        return
    from importlib.util import find_spec  # imported here: most components need none of this

    if find_spec("cryptography") is None:
        message = "encryption needs the package cryptography"
        yield error(metadata_path(PRIMARY), message, "pip install 'pannier-sidecar[encryption]'")


def encryption_of(
    component: Component, settings: Mapping[str, Setting], *, is_daprd: bool = False
) -> Callable[[Store], Store]:
    """Return what puts a component's encryption around its store; without a key, the store stays as it is.

    `is_daprd`: texts that come over HTTP are stored without their quotes, as daprd does.
    """
    if settings.get(PRIMARY) is None:
        return _unchanged
    from pannier_sidecar.encryption.encrypted_store import EncryptedStore
    from pannier_sidecar.encryption.sealing import Sealing

    sealing = Sealing(
        component.name,
        list(_keys(component, settings)),
        "dapr" if settings.get(FORMAT) == "dapr" else "pannier",
        further=list(_further_keys(settings)),
        reads_unencrypted=settings.get(READS_UNENCRYPTED) is True,
        bares_texts=is_daprd,
    )
    return lambda store: EncryptedStore(store, sealing)


def _keys(component: Component, settings: Mapping[str, Setting]) -> Iterator[Key]:
    from pannier_sidecar.encryption.keys import Key

    for field in (PRIMARY, SECONDARY):
        item = component.item(field)
        if item is not None and settings.get(field) is not None:
            yield Key(parse_key(reveal(settings[field])), shown_name(item), name_for_dapr(item))


def _further_keys(settings: Mapping[str, Setting]) -> Iterator[Key]:
    from pannier_sidecar.encryption.keys import Key

    if settings.get(FURTHER) is not None:
        for key in parse_keys(reveal(settings[FURTHER])):
            yield Key(key.secret, key.name, key.name)


def _unchanged(store: Store) -> Store:
    return store
