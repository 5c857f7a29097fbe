"""What a plan says: which stores are desired, and what is reported of everything else that was read."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Final

from msgspec import Struct

from pannier_crds.catalogue.every_state_store import FIELDS
from pannier_sidecar.loading.folder import ParsedResiliency
from pannier_sidecar.loading.secrets import SecretStores
from pannier_sidecar.loading.states import ComponentState, Refused
from pannier_sidecar.settings import LimitSettings
from pannier_sidecar.state.directory import Waiting

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pannier_crds.catalogue import ComponentType, Setting
    from pannier_crds.component import Component
    from pannier_crds.resiliency_policies import StorePolicies
    from pannier_sidecar.state.keys import KeyScheme

_SHARED_FIELDS: Final = frozenset(known.canonical_name for known in FIELDS)
"""Settings that the sidecar applies itself: changing them does not reopen the store."""

Identity = tuple[object, ...]


@dataclass(frozen=True)
class DesiredStore:
    """A store as its component describes it."""

    component: Component
    source: str
    type: ComponentType
    settings: Mapping[str, Setting] = field(repr=False)
    keys: KeyScheme = field(compare=False)
    note: str = ""
    """Why this is an earlier version of the component; empty for the latest version."""
    policies: StorePolicies | None = field(default=None, compare=False)
    """Of the Resiliency objects; None: none applies to this store."""
    is_daprd: bool = False
    """Whether the sidecar answers as daprd: with encryption, texts are then stored as daprd encrypts them."""
    limits: LimitSettings = field(default=LimitSettings(), compare=False)
    """How much a message and an answer may hold: a larger value that is kept in parts is only read part by part."""

    @property
    def name(self) -> str:
        return self.component.name

    @property
    def version(self) -> str:
        return self.component.version

    @property
    def identity(self) -> Identity:
        """Return the type, version and store settings: when these change, the store is opened again."""
        own = ((name, value) for name, value in self.settings.items() if name not in _SHARED_FIELDS)
        return (self.type.name, self.type.versions, *sorted(own, key=lambda setting: setting[0]))

    @property
    def default_ttl(self) -> int | None:
        seconds = self.settings["ttlInSeconds"]
        return seconds if isinstance(seconds, int) and seconds > 0 else None

    @property
    def idempotency_ttl(self) -> int:
        seconds = self.settings["idempotencyKeyTTLInSeconds"]
        assert isinstance(seconds, int), "the catalogue has a default"
        return seconds

    @property
    def poll_interval(self) -> float:
        """Seconds between two looks for changes, where the store does not report them."""
        seconds = self.settings["changesPollInterval"]
        assert isinstance(seconds, float)
        return seconds

    @property
    def is_default(self) -> bool:
        return self.settings["defaultStateStore"] is True

    @property
    def holds_actor_state(self) -> bool:
        return self.settings["actorStateStore"] is True


class Hidden(Struct, frozen=True):
    """A component whose scopes or namespace exclude this app."""

    name: str
    type: str
    version: str
    why: str


class Plan(Struct, frozen=True):
    """What to serve, and what to report about everything that was read."""

    desired: tuple[DesiredStore, ...] = ()
    refused: tuple[Refused, ...] = ()
    hidden: tuple[Hidden, ...] = ()
    warnings: tuple[str, ...] = ()
    secret_files: tuple[Path, ...] = ()
    secret_stores: tuple[ComponentState, ...] = ()
    secrets: SecretStores = SecretStores({})  # never changes
    pending: tuple[Waiting, ...] = ()
    """Components whose secrets have not been read yet."""
    skipped: tuple[str, ...] = ()
    """A line for each document that is not a component."""
    duplicates: tuple[str, ...] = ()
    """A line for each component whose name is already taken, with which daprd would not start."""
    awaited: tuple[str, ...] = ()
    """Refused types of state stores that a socket may serve later."""
    resiliencies: tuple[ParsedResiliency, ...] = ()
    """The Resiliency objects that count."""
    refused_resiliencies: tuple[Refused, ...] = ()
