"""Whether two versions of a component keep their data in the same place."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pannier_crds import catalogue
from pannier_crds.catalogue import Setting
from pannier_crds.pluggable import type_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pannier_crds.catalogue import ComponentType
    from pannier_crds.component import Component, MetadataItem

Source = tuple[str, Setting]


def changes_of_place(old: Component, new: Component) -> tuple[str, ...]:
    """Return the fields that make `new` look for its data elsewhere, such as `spec.type` or `spec.metadata[redisHost]`.

    Empty if both have the same place. Parsed values are compared, so another spelling of the same value is no change.
    Only the name and key of a reference are known, so another reference is a change.
    """
    before, after = type_of(old), type_of(new)
    if before is None or after is None:
        return () if (old.type.lower(), old.version) == (new.type.lower(), new.version) else ("spec.type",)
    if (before.name, before.versions) != (after.name, after.versions):
        return ("spec.type",) if before.name != after.name else ("spec.version",)
    return tuple(_different_settings(old, new, before))


def _different_settings(old: Component, new: Component, component_type: ComponentType) -> Iterator[str]:
    there, here = _sources(old, component_type), _sources(new, component_type)
    for field in component_type.fields:
        if field.places_data and there[field.name] != here[field.name]:
            yield f"spec.metadata[{field.name}]"


def _sources(component: Component, component_type: ComponentType) -> dict[str, Source]:
    """Return the value or the reference of each setting that says where the data is."""
    literal = {item.name: item.literal for item in component.metadata if item.literal is not None}
    settings, _ = catalogue.read_settings(component_type, literal)
    sources: dict[str, Source] = {
        field.name: ("value", settings.get(field.name)) for field in component_type.fields if field.places_data
    }
    for item in component.metadata:
        field = component_type.field(item.name)
        if field is not None and item.is_reference and field.canonical_name in sources:
            sources[field.canonical_name] = _reference(item, component)
    return sources


def _reference(item: MetadataItem, component: Component) -> Source:
    if item.secret is not None:
        store = "kubernetes" if component.reads_kubernetes_secrets else component.secret_store
        return f"secret of {store}", f"{item.secret.name}/{item.secret.key}"
    return "variable", item.env
