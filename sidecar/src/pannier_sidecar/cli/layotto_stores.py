"""The state stores of Layotto's configuration as components, with the secrets that they refer to. No I/O.

`state` is a map from names to `{type, metadata, secret_ref, component_ref}`. Layotto ignores the case of field names,
as Go does, but not the case of settings.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from pannier_crds import catalogue
from pannier_crds.component import KUBERNETES_SECRETS, Component, MetadataItem, SecretKeyRef
from pannier_crds.problems import listed, quoted
from pannier_crds.structure import kind_of, scalar_text
from pannier_crds.suggestions import closest

if TYPE_CHECKING:
    from collections.abc import Iterator

STATE: Final = "state"
SECRET_STORES: Final = "secret_store"
KEY_PREFIX: Final = "keyPrefix"
NO_PREFIX: Final = "none"
"""Layotto's default; Dapr's is the app id."""

Json = Mapping[str, Any]


@dataclass(frozen=True)
class LeftOut:
    """A part of the configuration that has no counterpart here."""

    where: str
    why: str
    is_state: bool = False
    """Whether a state store is missing or changed because of it."""

    def __str__(self) -> str:
        return f"left out: {self.where}: {self.why}"


def value(mapping: object, name: str) -> Any:
    """Return the value of a field, ignoring the name's case; None if `mapping` is no mapping, or lacks the field."""
    if not isinstance(mapping, Mapping):
        return None
    if name in mapping:
        return mapping[name]
    return next((found for key, found in mapping.items() if key.lower() == name), None)


def text(mapping: object, name: str) -> str:
    """Return the text of a field; empty if there is none."""
    found = value(mapping, name)
    return found.strip() if isinstance(found, str) else ""


def entries(mapping: object, name: str) -> Iterator[Json]:
    """Yield the objects in a list."""
    found = value(mapping, name)
    for entry in found if isinstance(found, list) else ():
        if isinstance(entry, Mapping):
            yield entry


def read_stores(runtime: Json, app_id: str) -> tuple[list[Component], list[LeftOut]]:
    """Return the state stores, the secret stores that they need, and what cannot be translated."""
    left_out: list[LeftOut] = []
    secret_stores = _named(runtime, SECRET_STORES, left_out)
    components = []
    for name, entry in _named(runtime, STATE, left_out).items():
        reading = _StateStore(name, entry, secret_stores, left_out)
        if (component := reading.component(app_id)) is not None:
            components.append(component)
    desired = {component.secret_store for component in components}
    for name, entry in secret_stores.items():
        if name in desired:
            components.append(Component(name, _secret_type(name, entry), metadata=tuple(_settings(entry))))
        elif not _is_kubernetes(name, entry) or KUBERNETES_SECRETS not in desired:
            left_out.append(LeftOut(f"{SECRET_STORES}.{name}", "no state store takes a secret from it"))
    return components, left_out


def _named(runtime: Json, section: str, left_out: list[LeftOut]) -> dict[str, Json]:
    found = value(runtime, section) or {}
    if not isinstance(found, Mapping):
        left_out.append(LeftOut(section, f"it is {kind_of(found)}, not an object", is_state=section == STATE))
        return {}
    for name, entry in found.items():
        if not isinstance(entry, Mapping):
            why = f"it is {kind_of(entry)}, not an object"
            left_out.append(LeftOut(f"{section}.{name}", why, is_state=section == STATE))
    return {name: entry for name, entry in found.items() if isinstance(entry, Mapping)}


def _settings(entry: Json) -> Iterator[MetadataItem]:
    """Yield the names and values in `metadata`; None for a value that is not text, a number or a boolean."""
    metadata = value(entry, "metadata")
    for name, given in metadata.items() if isinstance(metadata, Mapping) else ():
        yield MetadataItem(name, scalar_text(given))


def _secret_type(name: str, entry: Json) -> str:
    """Return the component type; in older configurations it is part of the name."""
    return f"secretstores.{text(entry, 'type') or name}"


def _is_kubernetes(name: str, entry: Json) -> bool:
    return _secret_type(name, entry) == f"secretstores.{KUBERNETES_SECRETS}"


class _StateStore:
    """Translates one entry of `state` into a component."""

    def __init__(self, name: str, entry: Json, secret_stores: Mapping[str, Json], left_out: list[LeftOut]):
        self._name = name
        self._entry = entry
        self._secret_stores = secret_stores
        self._left_out = left_out
        self._items: dict[str, MetadataItem] = {}
        self._secret_store: str | None = None

    def component(self, app_id: str) -> Component | None:
        """Return the component; None if Pannier has no such store."""
        type_name = f"state.{(text(self._entry, 'type') or self._name).removeprefix('state.')}"
        versions = catalogue.known_versions(type_name)
        if not versions:
            self._leave_out("", _unknown_type(type_name))
            return None
        self._take_settings()
        for reference in entries(self._entry, "secret_ref"):
            self._take_secret(reference)
        self._take_key_prefix(app_id)
        for key in self._entry:
            if key.lower() not in ("type", "metadata", "secret_ref"):
                self._leave_out(f".{key}", "a component has no such field", is_state=False)
        return Component(
            self._name, type_name, versions[0], metadata=tuple(self._items.values()), secret_store=self._secret_store
        )

    def _take_settings(self) -> None:
        for item in _settings(self._entry):
            if item.value is None:
                self._leave_out(f".metadata.{item.name}", "it is no text")
            elif item.name.lower() == KEY_PREFIX.lower() and item.name != KEY_PREFIX:
                self._leave_out(f".metadata.{item.name}", f"Layotto reads {KEY_PREFIX} alone", is_state=False)
            else:
                self._items[item.name] = item

    def _take_secret(self, reference: Json) -> None:
        store, key = text(reference, "store_name"), text(reference, "key")
        part = text(reference, "sub_key") or key
        name = text(reference, "inject_as") or part
        if why := self._why_not(store, key):
            self._leave_out(f".secret_ref[{name}]", why)
            return
        self._secret_store = self._name_of(store)
        self._items[name] = MetadataItem(name, secret=SecretKeyRef(key, part))

    def _why_not(self, store: str, key: str) -> str:
        """Return why a secret cannot be resolved; empty if it can."""
        if store not in self._secret_stores or not key:
            return f"there is no {SECRET_STORES} {quoted(store)}" if key else "it has no key"
        kind = _secret_type(store, self._secret_stores[store])
        if self._name_of(store) != KUBERNETES_SECRETS and not catalogue.known_versions(kind):
            return f"{kind} is not served; served are {listed(catalogue.known_names('secretstores.'))}"
        if self._secret_store not in (None, self._name_of(store)):
            return (
                f"a component has only one secret store, and this one already uses {quoted(self._secret_store or '')}"
            )
        return ""

    def _name_of(self, store: str) -> str:
        return KUBERNETES_SECRETS if _is_kubernetes(store, self._secret_stores[store]) else store

    def _take_key_prefix(self, app_id: str) -> None:
        item = self._items.get(KEY_PREFIX) or MetadataItem(KEY_PREFIX, NO_PREFIX)
        prefix = (item.value or NO_PREFIX).lower()
        if prefix == "namespace":
            why = "for Layotto it is the text 'namespace', here the namespace's name: keys stored so far are not found"
            self._leave_out(f".metadata.{KEY_PREFIX}", why)
        is_none = not item.is_reference and (not item.value or (prefix == "appid" and not app_id))
        self._items[KEY_PREFIX] = MetadataItem(KEY_PREFIX, NO_PREFIX) if is_none else item

    def _leave_out(self, path: str, why: str, *, is_state: bool = True) -> None:
        self._left_out.append(LeftOut(f"{STATE}.{self._name}{path}", why, is_state))


def _unknown_type(type_name: str) -> str:
    stores = catalogue.known_names("state.")
    match = closest(type_name, stores)
    return f"{type_name} is not served; " + (f"{quoted(match)} is" if match else f"served are {listed(stores)}")
