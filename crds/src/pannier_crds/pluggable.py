"""Pluggable components: state stores in processes of their own, which the sidecar calls over Unix sockets (Dapr,
"Pluggable components"). Which components may be such, and their type.

The file `ledger.sock` serves components of type `state.ledger`. No catalogue knows these types: their fields are
whatever the component gives. Types of the catalogue are never served by a socket.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from pannier_crds import catalogue
from pannier_crds.catalogue import every_state_store
from pannier_crds.catalogue.model import ComponentType, Field
from pannier_crds.suggestions import closest

if TYPE_CHECKING:
    from collections.abc import Iterable

    from pannier_crds.component import Component

SOCKETS_FOLDER_VARIABLE: Final = "DAPR_COMPONENTS_SOCKETS_FOLDER"
DEFAULT_SOCKETS_FOLDER: Final = "/tmp/dapr-components-sockets"
ALIKE_LETTERS: Final = 3
ALIKE_LENGTHS: Final = 2
"""A name that begins with the same letters as one of the catalogue, and has about as many, counts as misspelt. The
definition of Components (crds/component.yaml) can compare names only in this way.
"""
_PREFIX: Final = "state."
_VERSIONS: Final = ("v1",)


def type_of(component: Component) -> ComponentType | None:
    """Return the type of a component: the catalogue's or, if it is marked as pluggable, one made for it."""
    known = catalogue.component_type(component.type, component.version)
    if known is not None or not component.is_pluggable or not has_foreign_type(component):
        return known
    if component.version.strip().lower() not in ("", "v0", *_VERSIONS):
        return None
    return pluggable_type(component.type, (item.name for item in component.metadata))


def has_known_type(component: Component) -> bool:
    """Return whether some version of its type is served."""
    return bool(catalogue.known_versions(component.type)) or type_of(component) is not None


def has_foreign_type(component: Component) -> bool:
    """Return whether a component is a state store of a type that the catalogue does not know in any version."""
    return component.is_state_store and bool(name_of(component.type)) and not catalogue.known_versions(component.type)


def pluggable_type(name: str, fields: Iterable[str]) -> ComponentType:
    """Return the type of one component: it has the fields of every state store and those that the component gives."""
    shared = ComponentType(name, "", every_state_store.FIELDS)
    own = {field.lower(): Field(field) for field in fields if shared.field(field) is None}
    return ComponentType(
        name.strip().lower(),
        "pluggable component",
        (*own.values(), *every_state_store.FIELDS),
        _VERSIONS,
        is_pluggable=True,
    )


def name_of(component_type: str) -> str:
    """Return the name of its socket's file, without the file's extension, in lower case."""
    return component_type.strip().lower().removeprefix(_PREFIX)


def is_likely_misspelt(component_type: str) -> bool:
    """Return whether a type that the catalogue does not know looks like one of it, or is one of Dapr's built-in
    stores.
    """
    name = name_of(component_type)
    known = known_store_names()
    return (
        f"{_PREFIX}{name}" in catalogue.stores_of_dapr_alone()
        or closest(name, known) is not None
        or any(_are_alike(name, each) for each in known)
    )


def known_store_names() -> list[str]:
    """Return the names and aliases of the catalogue's state stores, without `state.`."""
    types = [kind for kind in catalogue.known_types() if kind.is_state_store]
    names = (name for kind in types for name in (kind.name, *kind.aliases))
    return list(dict.fromkeys(name.removeprefix(_PREFIX) for name in names))


def _are_alike(name: str, known: str) -> bool:
    return name[:ALIKE_LETTERS] == known[:ALIKE_LETTERS] and abs(len(name) - len(known)) <= ALIKE_LENGTHS
