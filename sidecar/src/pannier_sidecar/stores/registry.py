"""Finds the class that serves a component type.

The package of a store has the name of the catalogue's module (`pluggable` for components that the catalogue does not
know), and says in its `__init__.py`:

    STORES      the class in its `store.py` for each component type; `type/version` wins over the type alone
    EXTRA       the extra of pannier-sidecar that installs its client library, if it needs one
    PACKAGES    the package of that library, by the name of the import

Packages and classes are imported when a component asks for them, so that a store that is not used costs neither memory
nor its client library.
"""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from typing import TYPE_CHECKING, Final, cast

from msgspec import Struct

from pannier_crds import catalogue
from pannier_sidecar.state.errors import StoreRefusedError

if TYPE_CHECKING:
    from pannier_crds.catalogue import ComponentType
    from pannier_sidecar.state.store import Store

PLUGGABLE: Final = "state.*"
"""Stands for every type that the catalogue does not know."""


class Entry(Struct, frozen=True):
    """Where a store is, and what has to be installed for it."""

    path: str
    """`module:Class`."""
    extra: str | None = None
    """The extra of pannier-sidecar that installs `packages`."""
    packages: Mapping[str, str] | None = None
    """Import name to package name, for the libraries that come with the extra."""


def all_entries() -> Mapping[str, Entry]:
    """Return the entry of each component type and version that has its own. Imports every store's package."""
    names = (*catalogue.known_names("state."), PLUGGABLE)
    return {store: entry for name in names for store, entry in entries_of(name).items()}


def entries_of(store_type: str) -> Mapping[str, Entry]:
    """Return the entries of the package that serves a type; none if no package does."""
    module = "pluggable" if store_type == PLUGGABLE else None
    if module is None and store_type.startswith("state."):
        module = catalogue.module_of(store_type)
    if module is None:
        return {}
    package = import_module(f"pannier_sidecar.stores.{module}")
    module_path = f"{package.__name__}.store" if hasattr(package, "__path__") else package.__name__
    extra, packages = getattr(package, "EXTRA", None), getattr(package, "PACKAGES", None)
    return {store: Entry(f"{module_path}:{name}", extra, packages) for store, name in package.STORES.items()}


def class_of(component_type: ComponentType) -> type[Store]:
    """Return the class that serves components of this type. Raises StoreRefusedError like `load`."""
    name = PLUGGABLE if component_type.is_pluggable else component_type.name
    return load(name, component_type.versions[0])


def load(store_type: str, version: str = "v1", entries: Mapping[str, Entry] | None = None) -> type[Store]:
    """Return the class that serves components of this type, by its canonical name (no alias).

    Raises StoreRefusedError for a type that no store serves and for one whose extra is not installed. An import that
    fails for any other reason is a defect and passes through. `entries` replace those of the packages.
    """
    known = entries_of(store_type) if entries is None else entries
    entry = known.get(f"{store_type}/{version}") or known.get(store_type)
    if entry is None:
        served = {name.partition("/")[0] for name in (all_entries() if entries is None else entries)}
        names = sorted(served - {PLUGGABLE})
        raise StoreRefusedError(f"no state store serves type {store_type}; known types: {', '.join(names)}")
    module, _, name = entry.path.partition(":")
    try:
        return cast("type[Store]", getattr(import_module(module), name))
    except ModuleNotFoundError as error:
        package = (entry.packages or {}).get(error.name or "")
        if package is None:
            raise
        what = "a pluggable component" if store_type == PLUGGABLE else store_type
        raise StoreRefusedError(
            f"{what} needs the package {package}: pip install 'pannier-sidecar[{entry.extra}]'"
        ) from error
