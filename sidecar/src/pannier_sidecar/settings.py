"""Everything that can be set, read once at start and handed down: one frozen Struct in groups.

No other file reads the process's arguments and environment. A value comes from its flag, or else from the environment,
from the verb's defaults, or from the default written here, in this order.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final, Literal

from msgspec import Struct, field
from msgspec.structs import replace

from pannier_crds.folder import INDEX_REQUIRED, INDEX_VARIABLE

LOOPBACK: Final = ("::1", "127.0.0.1")
"""Loopback in IPv6 and IPv4, as Dapr's injector configures it; a family that the machine lacks is skipped."""
EVERYWHERE: Final = ("::", "0.0.0.0")

Profile = Literal["spec", "dapr"]
Mode = Literal["standalone", "kubernetes"]


class SettingsError(ValueError):
    """A setting that cannot be used; the text names it and says what to write."""


class AppSettings(Struct, frozen=True):
    """The app beside this sidecar."""

    id: str = ""
    """The app's name in scopes and key prefixes. Never empty after reading."""
    port: int | None = None
    """Where the app listens. The sidecar never calls it: it is shown in the metadata, and given to the app."""
    protocol: str = "http"
    """Shown in the metadata only."""


class ListenSettings(Struct, frozen=True):
    """Where the sidecar listens. Port 0 is any free port."""

    addresses: tuple[str, ...] = LOOPBACK
    """Addresses of the state API. Loopback, because every client that reaches it may read and write the app's state."""
    http_port: int = 3500
    """Dapr's own, so that its SDKs find it."""
    grpc_port: int | None = None
    """None: 50001, where Dapr's SDKs look, or a free port if that one is taken."""
    layotto_port: int | None = None
    """A second port for gRPC: Layotto's SDKs connect to 34904."""
    unix_socket_folder: Path | None = None
    """If set, the API is served on `dapr-<app id>-http.socket` and `...-grpc.socket` there and on no port, as in
    Dapr.
    """
    public_port: int | None = None
    """The port that serves only health and metadata, for the kubelet's probes (3501 in Dapr's pods)."""
    public_addresses: tuple[str, ...] = EVERYWHERE
    """The kubelet calls the pod's address."""
    metrics_port: int = 9090
    """Dapr's own, which scrape configurations know."""
    metrics_addresses: tuple[str, ...] = ()
    """Empty: every address in a pod, because Prometheus calls the pod's address; loopback elsewhere."""
    serves_metrics: bool = True
    """Whether metrics are served. If not, calls are not counted either."""


class AccessSettings(Struct, frozen=True):
    """Requests that name this machine and no origin are always answered. These settings allow others."""

    allowed_origins: tuple[str, ...] = ()
    """Origins of browser pages that may call. daprd's default is any; ours is none, because a page could read all
    state.
    """
    allowed_hosts: tuple[str, ...] = ()
    """Names by which clients call the sidecar, besides loopback names and the addresses on which it listens."""


_MIB: Final = 1024 * 1024
_OWN_MEMORY: Final = 40 * _MIB
"""What a sidecar takes by itself: 22 MiB idle with a Redis store, 5 more for TLS or a larger client library, and what
Python keeps of memory that it has used.
"""
_OF_ITEM: Final = 4096
"""Memory for each item in flight, which takes one or two KiB; `all_bodies` gets the other half."""
_OF_CONNECTION: Final = 80 * 1024
"""What one takes whose request has begun, three times: Python gives memory of closed ones back late."""
_LEAST_CONNECTIONS: Final = 256


class LimitSettings(Struct, frozen=True):
    """How much one client may send, and how much of all clients is held, which follows from the memory there is."""

    memory: int | None = None
    """Bytes that the process may use; None if they are not limited. In a pod, the container's limit."""
    max_body_size: int = 4 * 1024 * 1024
    """Bytes of one request's body; Dapr's default."""
    read_buffer_size: int = 16 * 1024
    """Bytes of one request's line and headers. Four times Dapr's: with 4 KiB, long keys and big cookies fail."""

    max_request_items: int = 10_000
    """Items, keys or operations of one request. Ten times what clients commonly send at once; the work takes about a
    second.
    """

    @property
    def all_bodies(self) -> int:
        """Bytes that all clients together may make the sidecar hold. Several of the largest bodies must fit, as
        requests and as answers; if memory is limited, at least two, and they get half of what the sidecar itself does
        not need, because objects and copies of what is held take memory too.
        """
        wanted = max(64 * _MIB, 4 * self.max_body_size)
        if self.memory is None:
            return wanted
        return min(wanted, max((self.memory - _OWN_MEMORY) // 2, 2 * self.max_body_size))

    @property
    def largest_answer(self) -> int:
        """Bytes of all values in one answer with several values: half of `all_bodies`, which counts the answer too."""
        return self.all_bodies // 2

    @property
    def items_together(self) -> int:
        """Items of large requests that are in flight at the same time; at least those of one request."""
        if self.memory is None:
            return 4 * self.max_request_items
        return max(self.max_request_items, min(4 * self.max_request_items, (self.memory - _OWN_MEMORY) // _OF_ITEM))

    @property
    def connections(self) -> int:
        """Connections of all ports together. Less when memory is limited."""
        if self.memory is None:
            return sys.maxsize
        return max(_LEAST_CONNECTIONS, (self.memory - _OWN_MEMORY) // _OF_CONNECTION)

    @property
    def max_cursor_length(self) -> int:
        """Characters of a list's cursor, which comes in the request line: the rest is for other headers."""
        return self.read_buffer_size * 3 // 4


class StopSettings(Struct, frozen=True):
    """How the sidecar ends. Times in seconds."""

    graceful: float = 5.0
    """Longest wait for calls in flight; Dapr's default."""
    block: float = 0.0
    """How long the API goes on serving after a signal, so that an app that ends at the same time can save its state."""


class ComponentSettings(Struct, frozen=True):
    """Where the components come from."""

    folders: tuple[Path, ...] = ()
    """Empty: `run` has its own default store, and `serve` reads `/components`, where a pod has them mounted."""
    is_strict: bool = False
    """Whether a wrong component at the start ends the sidecar (in `run` it always does) instead of being left out."""
    needs_index: bool = False
    """From PANNIER_COMPONENTS_INDEX, which the injector sets: folders without an index are not read (`serve`). It is a
    variable, because a sidecar of an earlier version would reject an unknown flag.
    """
    credential_providers: tuple[str, ...] = ()
    """`module:Class` of each credential provider of redis-py that components may name: code that the sidecar then runs.
    Also from PANNIER_CREDENTIAL_PROVIDERS.
    """
    poll_interval: float = 1.0
    """Seconds between two polls of the folders: a change should show within about a second, and a poll costs 50 us."""


class LogSettings(Struct, frozen=True):
    """What is written to standard error."""

    level: str = "info"
    """debug, info, warn, error or fatal."""
    as_json: bool = False
    """JSON lines with Dapr's field names."""
    api_calls: bool | None = None
    """A line for each call. None: as the Configuration says; off without one, because writing the line costs as much
    as the call.
    """


class PlaceSettings(Struct, frozen=True):
    """Where the process runs."""

    mode: Mode = "standalone"
    """In `kubernetes`, `envRef` reaches only the variables that DAPR_ENV_KEYS lists, as in Dapr."""
    namespace: str | None = None
    """From NAMESPACE. If it is unknown, components of every namespace are used."""
    pod_name: str | None = None
    """From POD_NAME."""
    data_folder: Path | None = None
    """The folder of embedded databases without a file name, and of journals of moves; None if neither XDG_DATA_HOME nor
    a home is known.
    """
    environment: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    """The process's environment as it was at the start, for `envRef`, local secrets and the app's own."""

    def __repr__(self) -> str:
        return f"PlaceSettings(mode={self.mode!r}, ...)"  # the environment may hold secrets

    @property
    def is_in_pod(self) -> bool:
        """True even without `--mode`: Kubernetes sets this variable in every container."""
        return self.mode == "kubernetes" or bool(self.environment.get("KUBERNETES_SERVICE_HOST"))


class Settings(Struct, frozen=True):
    """All settings."""

    app: AppSettings = AppSettings()
    listen: ListenSettings = ListenSettings()
    access: AccessSettings = AccessSettings()
    limits: LimitSettings = LimitSettings()
    stop: StopSettings = StopSettings()
    components: ComponentSettings = ComponentSettings()
    log: LogSettings = LogSettings()
    place: PlaceSettings = PlaceSettings()
    profile: Profile = "spec"
    """Whose answers win where the published specs and Dapr 1.18 differ."""
    configurations: tuple[Path, ...] = ()
    """Files with Dapr's kind Configuration; later ones override earlier ones."""
    api_token: str | None = None
    """From DAPR_API_TOKEN: what callers must send as `dapr-api-token`. None: no token is required."""

    def __repr__(self) -> str:
        return f"Settings(app={self.app!r}, ...)"  # without the token

    @property
    def metrics_addresses(self) -> tuple[str, ...]:
        """Where the metrics are served."""
        return self.listen.metrics_addresses or (EVERYWHERE if self.place.is_in_pod else LOOPBACK)

    def changed(self, changes: Mapping[str, Any]) -> Settings:
        """Return a copy of these settings with changes such as `{"listen.http_port": 3600, "profile": "dapr"}`."""
        top: dict[str, Any] = {}
        groups: dict[str, dict[str, Any]] = {}
        for path, value in changes.items():
            group, dot, name = path.partition(".")
            if dot:
                groups.setdefault(group, {})[name] = value
            else:
                top[group] = value
        for group, values in groups.items():
            top[group] = replace(getattr(self, group), **values)
        return replace(self, **top)


RUN_DEFAULTS: Final[Mapping[str, Any]] = {
    "app.id": "app",
    # Several sidecars run on one laptop, and nobody outside it should reach them.
    "listen.metrics_port": 0,
    "listen.metrics_addresses": LOOPBACK,
    "listen.public_addresses": LOOPBACK,
    "components.is_strict": True,
}
"""The defaults of `run` that differ from those of `serve`."""

MOUNTED_COMPONENTS: Final = Path("/components")
"""Where a pod has its components."""


def read_arguments() -> list[str]:
    """Return the arguments with which the process was started, without its name."""
    return sys.argv[1:]


def read_environment() -> Mapping[str, str]:
    """Return an immutable copy of the process's environment."""
    return MappingProxyType(dict(os.environ))


def from_environment(environment: Mapping[str, str], defaults: Mapping[str, Any] | None = None) -> Settings:
    """Return the settings before any flag is read. Empty variables count as absent."""
    changes = dict(defaults or {})
    changes["place.environment"] = environment
    changes["place.namespace"] = environment.get("NAMESPACE") or None
    changes["place.pod_name"] = environment.get("POD_NAME") or None
    changes["place.data_folder"] = _data_folder(environment)
    changes["components.needs_index"] = environment.get(INDEX_VARIABLE) == INDEX_REQUIRED
    providers = environment.get("PANNIER_CREDENTIAL_PROVIDERS", "")
    changes["components.credential_providers"] = tuple(name.strip() for name in providers.split(",") if name.strip())
    changes["api_token"] = environment.get("DAPR_API_TOKEN") or None
    if app_id := environment.get("APP_ID"):
        changes["app.id"] = app_id
    return Settings().changed(changes)


def check(settings: Settings, *, is_new: bool = True) -> None:
    """Raise SettingsError for mistakes that no single flag shows.

    Without `is_new`, an app id that is refused today is accepted, because state stored under it must stay readable.
    """
    if not settings.app.id:
        raise SettingsError("--app-id is missing: state is stored under the app's name; write --app-id NAME")
    if "||" in settings.app.id or not settings.app.id.isprintable():
        raise SettingsError(f"--app-id {settings.app.id!r} can't be used in keys; write a name without '||'")
    if is_new and settings.app.id.endswith("|"):
        raise SettingsError(f"--app-id {settings.app.id!r} can't be used in keys; write a name without '|' at its end")


def _data_folder(environment: Mapping[str, str]) -> Path | None:
    given = environment.get("XDG_DATA_HOME", "")
    if given.startswith("/"):  # the XDG specification says that relative paths are ignored
        return Path(given, "pannier")
    home = environment.get("HOME") or os.path.expanduser("~")  # without HOME, the home comes from the user database
    return Path(home, ".local", "share", "pannier") if home.startswith("/") else None
