"""What the front ends need to know about the process around them: its app, its components' states, how to stop it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, Protocol

import msgspec
from msgspec import Struct

from .secret_reader import SecretReader, no_secrets
from .state.errors import MalformedRequestError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from .state.errors import StateError


class ComponentStatus(Protocol):
    """The state of a component as the API shows it."""

    @property
    def name(self) -> str: ...
    @property
    def type(self) -> str: ...
    @property
    def version(self) -> str: ...
    @property
    def state(self) -> str:
        """Return the state in one word, such as `ready` or `waiting`."""

    @property
    def why(self) -> str:
        """Return why it is not ready; empty if it is."""

    @property
    def capabilities(self) -> Sequence[str]: ...


class Description(Struct, omit_defaults=True):
    """One component as the metadata describes it; without capabilities the field is absent (as in Dapr)."""

    name: str
    type: str
    version: str
    capabilities: list[str] = msgspec.field(default_factory=list)


NO_PLACEMENT: Final = "placement: disconnected"
"""Dapr's text when no actors run."""
_CLAIMED_BY_DAPR: Final = {"state.in-memory": ("DELETE_WITH_PREFIX", "KEYS_LIKE")}
"""A capability that Dapr's stores claim although no API uses it, and the capability before which it is listed."""
MAX_ATTRIBUTES: Final = 100
MAX_ATTRIBUTE_CHARS: Final = 4096
"""Maximum of characters in a name and in a value; both keep an app from filling the sidecar's memory."""


def _no_components() -> Sequence[ComponentStatus]:
    return ()


def _no_version() -> str:
    return ""


def _no_stop(force: bool) -> None:
    pass


def not_counted(error: StateError) -> None:
    """Ignore an error: the default, with which errors are not counted."""


@dataclass(slots=True)
class Runtime:
    """The sidecar as its API describes it."""

    app_id: str
    version: str
    components: Callable[[], Sequence[ComponentStatus]] = _no_components
    stop: Callable[[bool], None] = _no_stop
    """Begins to stop the process; with True at once, without waiting for calls in flight."""
    app_port: int | None = None
    app_protocol: str = "http"
    is_loaded: bool = False
    """The components have been read, and each store is open or has been waited for long enough."""
    ask: Callable[[], Awaitable[Sequence[ComponentStatus]]] | None = None
    """Probes each store now, and returns the state of the components."""
    components_version: Callable[[], str] = _no_version
    """The version that the served folder states; empty if it states none."""
    status_key: Callable[[], str] = _no_version
    """The token with which the folder's writer may query the state of the stores; empty: none is accepted."""
    resiliencies: Callable[[], Sequence[ComponentStatus]] = _no_components
    """The Resiliency objects that are for the app."""
    configurations: Callable[[], Sequence[ComponentStatus]] = _no_components
    """The Configuration that is in effect."""
    secret_stores: Callable[[], Sequence[ComponentStatus]] = _no_components
    secrets: SecretReader = field(default_factory=no_secrets)
    """Reads secrets for the app."""
    claims_as_dapr: bool = False
    """The metadata gives each store the capabilities that Dapr's store of that type claims."""
    enabled_features: list[str] = field(default_factory=list)
    """The features that the Configuration enables, for the metadata."""
    attributes: dict[str, str] = field(default_factory=dict)
    """What apps attached to the metadata; see `attach`."""

    def attach(self, name: str, value: str) -> None:
        """Attach an attribute to the metadata. Raises MalformedRequestError if there are too many or this is too
        long.
        """
        if len(name) + len(value) > MAX_ATTRIBUTE_CHARS:
            limit = MAX_ATTRIBUTE_CHARS
            raise MalformedRequestError(f"attribute {name[:40]!r} is over {limit} characters", "keep it in a store")
        if name not in self.attributes and len(self.attributes) >= MAX_ATTRIBUTES:
            raise MalformedRequestError(f"there are {MAX_ATTRIBUTES} attributes already", f"keep {name!r} in a store")
        self.attributes[name] = value

    def served_components(self) -> list[ComponentStatus]:
        """Return the components that the app may use, whether or not their server answers yet."""
        return [component for component in self.components() if component.state in ("ready", "waiting")]

    def described_components(self) -> list[Description]:
        """Return the components that the app may use, secret stores included, as the metadata shows them."""
        components = [*self.served_components(), *self.secret_stores()]
        return [Description(each.name, each.type, each.version, self._capabilities_of(each)) for each in components]

    def resiliencies_in_effect(self) -> list[str]:
        """Return the names of the Resiliency objects whose policies count, as the metadata shows them."""
        return [each.name for each in self.resiliencies() if each.state == "ready"]

    def _capabilities_of(self, component: ComponentStatus) -> list[str]:
        capabilities = list(component.capabilities)
        claim = _CLAIMED_BY_DAPR.get(component.type) if self.claims_as_dapr else None
        if claim is not None:
            word, follower = claim
            capabilities.insert(capabilities.index(follower), word)
        return capabilities
