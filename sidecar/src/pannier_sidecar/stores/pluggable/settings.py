"""A component's metadata, of which the component gets everything that is not the sidecar's own."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Final

from pannier_crds.catalogue import every_state_store
from pannier_crds.secret import reveal

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pannier_sidecar.state.store import Setting

TYPE: Final = "(type)"
INSTANCE: Final = "(component)"
FOLDER: Final = "(sockets folder)"
TIMEOUT: Final = "(timeout)"
"""Names of what the sidecar adds to the metadata, with parentheses so that they differ from the component's own."""
_DEFAULT_TIMEOUT: Final = 10.0
_OF_THE_SIDECAR: Final = frozenset(
    (TYPE, INSTANCE, FOLDER, TIMEOUT, *(known.canonical_name for known in every_state_store.FIELDS))
)


@dataclass(frozen=True, slots=True)
class PluggableSettings:
    """What a component is called, where its socket is, and what it is given."""

    type: str
    instance: str
    """The component's name: one process may serve several components of a type."""
    folder: Path
    timeout: float
    """Seconds for each call, and for making a connection."""
    holds_actor_state: bool
    properties: Mapping[str, Setting] = field(repr=False)

    @property
    def where(self) -> str:
        """Return what the component is called in messages."""
        return f"the pluggable component {self.type}"


def chosen(
    component_type: str, instance: str, folder: Path, timeout: float = _DEFAULT_TIMEOUT
) -> Mapping[str, Setting]:
    """Return what the sidecar adds to a component's settings. `timeout` is in seconds."""
    return {TYPE: component_type, INSTANCE: instance, FOLDER: str(folder), TIMEOUT: timeout}


def read_settings(settings: Mapping[str, Setting]) -> PluggableSettings:
    """Return the settings of a component that `chosen` has completed.

    Fields that the sidecar applies itself are not passed on: prefixes of keys, the TTL of all entries, roles, and keys
    of encryption.
    """
    given = {name: value for name, value in settings.items() if value is not None and name not in _OF_THE_SIDECAR}
    return PluggableSettings(
        reveal(settings[TYPE]),
        reveal(settings[INSTANCE]),
        Path(reveal(settings[FOLDER])),
        float(reveal(settings[TIMEOUT])),
        settings.get("actorStateStore") is True,
        given,
    )
