"""Which components of an unknown type are pluggable: those that a socket serves, or will serve.

A component is pluggable if it says so (`dapr.io/component-container`), or a socket of its name is there. If the folder
for sockets is set or exists, a component whose type is no misspelt type of the catalogue waits for its socket, because
its process may start later. Everything else of an unknown type is refused, until a socket of its name appears.
"""

from __future__ import annotations

from dataclasses import replace as marked
from typing import TYPE_CHECKING

from msgspec.structs import replace

from pannier_crds.pluggable import has_foreign_type, is_likely_misspelt
from pannier_sidecar.stores.pluggable.sockets import sockets_of

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from pannier_crds.component import Component
    from pannier_sidecar.loading.folder import Reading
    from pannier_sidecar.loading.resolving import ResolutionContext


def recognized(reading: Reading, context: ResolutionContext) -> tuple[Reading, tuple[str, ...]]:
    """Return the reading with its pluggable components marked as such, and the types of those that are not."""
    awaited: list[str] = []
    components = []
    for parsed in reading.components:
        component = parsed.component
        if has_foreign_type(component) and not component.is_pluggable:
            if _is_served(component, context):
                parsed = replace(parsed, component=marked(component, is_pluggable=True))
            else:
                awaited.append(component.type)
        components.append(parsed)
    return replace(reading, components=tuple(components)), tuple(awaited)


def has_socket_for(types: Iterable[str], folder: Path) -> bool:
    """Return whether a socket serves one of the types."""
    return any(sockets_of(folder, each) for each in types)


def _is_served(component: Component, context: ResolutionContext) -> bool:
    if has_socket_for([component.type], context.sockets_folder):
        return True
    return context.has_sockets and not is_likely_misspelt(component.type)
