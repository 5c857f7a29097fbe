"""What a pod's annotations set for its sidecar: Dapr's under `dapr.io/`, and ours under `pannier.dev/`.

A table of each annotation's name, parser and option. Dapr's annotations that mean nothing for a state sidecar are
accepted. Those that are unknown or malformed have no effect, and a warning says so.

Options that the sidecar has as flags are passed to it in `container.py`. The default of an option is below, or in the
operator's `settings.py`; else in the module that uses it, such as `probes.py`, or in the sidecar.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Final, Literal

from pannier_crds.problems import one_line, quoted
from pannier_crds.suggestions import closest
from pannier_operator.injection import annotation_values as read_as

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from pannier_operator.injection.annotation_values import Mount, Variable

__all__ = ["PREFIXES", "ProbeOptions", "SidecarOptions", "read"]


@dataclass(frozen=True)
class ProbeOptions:
    """The settings of one probe: seconds, and failures in a row. None: the default."""

    delay: int | None = None
    timeout: int | None = None
    period: int | None = None
    threshold: int | None = None


@dataclass(frozen=True)
class SidecarOptions:
    """What a pod sets for its sidecar. None and empty texts leave it to the operator's settings or the sidecar."""

    is_enabled: bool = False
    app_id: str = ""
    app_port: int | None = None
    app_protocol: str = "http"
    """Passed to the app and shown in the metadata; the sidecar never calls the app."""
    config: str = ""
    """Name of a Configuration of the pod's namespace."""
    profile: Literal["spec", "dapr"] | None = None
    is_native: bool | None = None

    image: str = ""
    cpu_request: str = ""
    cpu_limit: str = ""
    memory_request: str = ""
    memory_limit: str = ""
    seccomp_profile: str = ""
    liveness: ProbeOptions = ProbeOptions()
    readiness: ProbeOptions = ProbeOptions()
    variables: tuple[Variable, ...] = ()
    secret_variables: tuple[Variable, ...] = ()
    mounts: tuple[Mount, ...] = ()
    writable_mounts: tuple[Mount, ...] = ()
    api_token_secret: str = field(default="", repr=False)
    """Name of a Secret; its key `token` is what callers must send."""

    listen_addresses: str = ""
    allowed_hosts: str = ""
    allowed_origins: str = ""
    credential_providers: str = ""
    """The classes that components may name to sign in to Redis."""
    grpc_port: int = 50001
    """Where the app finds gRPC, Dapr's and Layotto's."""
    metrics_port: int = 9090
    has_metrics: bool = True
    unix_socket_path: str = ""
    """The folder in the app's container that holds the socket on which the API is served instead of a port."""
    pluggable_components: tuple[str, ...] = ()
    """The pod's containers that serve pluggable components."""
    sockets_folder: str = ""
    """The folder of their sockets."""
    injects_components: bool = False
    """Whether the containers that Components describe are added to the pod."""

    max_body_size: str = ""
    read_buffer_size: str = ""
    max_request_items: int | None = None
    graceful_shutdown: int | None = None
    """Seconds."""
    shutdown_block: float | None = None
    """Seconds."""
    log_level: str = ""
    log_as_json: bool | None = None
    logs_api_calls: bool | None = None


@dataclass(frozen=True)
class Annotation:
    """One annotation. Without `option` it means nothing for a state sidecar."""

    name: str
    option: str = ""
    """The path of the option, such as `liveness.delay`."""
    read: Callable[[str], Any] = read_as.text


def _of_probe(probe: str) -> tuple[Annotation, ...]:
    return (
        Annotation(f"dapr.io/sidecar-{probe}-probe-delay-seconds", f"{probe}.delay", read_as.delay),
        Annotation(f"dapr.io/sidecar-{probe}-probe-timeout-seconds", f"{probe}.timeout", read_as.count),
        Annotation(f"dapr.io/sidecar-{probe}-probe-period-seconds", f"{probe}.period", read_as.count),
        Annotation(f"dapr.io/sidecar-{probe}-probe-threshold", f"{probe}.threshold", read_as.count),
    )


ENABLED: Final = "dapr.io/enabled"

OLDER: Final = (
    Annotation("dapr.io/http-max-request-size", "max_body_size", read_as.megabytes),
    Annotation("dapr.io/http-read-buffer-size", "read_buffer_size", read_as.kilobytes),
)
"""Older spellings, with other units. If both are written, the newer one counts."""

HONOURED: Final = (
    Annotation(ENABLED, "is_enabled", read_as.boolean),
    Annotation("dapr.io/app-id", "app_id"),
    Annotation("dapr.io/app-port", "app_port", read_as.app_port),
    Annotation("dapr.io/app-protocol", "app_protocol", read_as.protocol),
    Annotation("dapr.io/config", "config"),
    Annotation("dapr.io/enable-native-sidecar", "is_native", read_as.boolean),
    Annotation("dapr.io/sidecar-image", "image", read_as.image),
    Annotation("dapr.io/sidecar-cpu-request", "cpu_request", read_as.quantity),
    Annotation("dapr.io/sidecar-cpu-limit", "cpu_limit", read_as.quantity),
    Annotation("dapr.io/sidecar-memory-request", "memory_request", read_as.quantity),
    Annotation("dapr.io/sidecar-memory-limit", "memory_limit", read_as.quantity),
    Annotation("dapr.io/sidecar-seccomp-profile-type", "seccomp_profile", read_as.seccomp_profile),
    *_of_probe("liveness"),
    *_of_probe("readiness"),
    Annotation("dapr.io/env", "variables", read_as.variables),
    Annotation("dapr.io/env-from-secret", "secret_variables", read_as.secret_variables),
    Annotation("dapr.io/volume-mounts", "mounts", read_as.mounts),
    Annotation("dapr.io/volume-mounts-rw", "writable_mounts", read_as.writable_mounts),
    Annotation("dapr.io/api-token-secret", "api_token_secret", read_as.secret_name),
    Annotation("dapr.io/sidecar-listen-addresses", "listen_addresses", read_as.addresses),
    Annotation("dapr.io/grpc-port", "grpc_port", read_as.port),
    Annotation("dapr.io/metrics-port", "metrics_port", read_as.port),
    Annotation("dapr.io/enable-metrics", "has_metrics", read_as.boolean),
    Annotation("dapr.io/unix-domain-socket-path", "unix_socket_path", read_as.folder),
    Annotation("dapr.io/pluggable-components", "pluggable_components", read_as.containers),
    Annotation("dapr.io/pluggable-components-sockets-folder", "sockets_folder", read_as.folder),
    Annotation("dapr.io/inject-pluggable-components", "injects_components", read_as.boolean),
    Annotation("dapr.io/max-body-size", "max_body_size", read_as.size),
    Annotation("dapr.io/read-buffer-size", "read_buffer_size", read_as.size),
    Annotation("dapr.io/graceful-shutdown-seconds", "graceful_shutdown", read_as.graceful_seconds),
    Annotation("dapr.io/block-shutdown-duration", "shutdown_block", read_as.duration),
    Annotation("dapr.io/log-level", "log_level", read_as.log_level),
    Annotation("dapr.io/log-as-json", "log_as_json", read_as.boolean),
    Annotation("dapr.io/enable-api-logging", "logs_api_calls", read_as.boolean),
    Annotation("pannier.dev/profile", "profile", read_as.profile),
    Annotation("pannier.dev/allowed-hosts", "allowed_hosts", read_as.hosts),
    Annotation("pannier.dev/allowed-origins", "allowed_origins", read_as.origins),
    Annotation("pannier.dev/credential-providers", "credential_providers", read_as.credential_providers),
    Annotation("pannier.dev/max-request-items", "max_request_items", read_as.count),
)

ACCEPTED: Final = (
    *(
        Annotation(f"dapr.io/{name}")
        for name in (
            "actors-disseminate-timeout",
            "app-binding-options-timeout",
            "app-channel-address",
            "app-health-check-path",
            "app-health-probe-interval",
            "app-health-probe-timeout",
            "app-health-threshold",
            "app-max-concurrency",
            "app-ssl",
            "app-token-secret",
            "component-container",
            "debug-port",
            "disable-builtin-k8s-secret-store",
            "disable-init-endpoints",
            "enable-app-health-check",
            "enable-debug",
            "enable-profiling",
            "internal-grpc-port",
            "placement-host-address",
            "scheduler-host-address",
            "sentry-request-jwt-audiences",
            "sidecar-svc-annotations",
        )
    ),
    Annotation("pannier.dev/components"),  # written by the operator when an app's components have changed
)

_MEANING: Final = {annotation.name: annotation for annotation in (*OLDER, *HONOURED)}
_KNOWN: Final = frozenset((*_MEANING, *(annotation.name for annotation in ACCEPTED)))
PREFIXES: Final = ("dapr.io/", "pannier.dev/")
_SHORTER: Final = {"id": "app-id", "port": "app-port", "protocol": "app-protocol", "inject": "enabled"}
"""Names from Dapr's oldest releases, or that people write from memory."""
_BY_LAST_PART: Final = {name.partition("/")[2]: name for name in (*_MEANING, *(each.name for each in ACCEPTED))}
_MAX_TEXT: Final = 32_768
"""Characters of an annotation that is read; a pod's annotations may have 256 KiB together."""
_MAX_UNKNOWN: Final = 10
"""How many unknown annotations get a warning each; one more warning counts the rest."""


def read(annotations: Mapping[str, str]) -> tuple[SidecarOptions, list[str]]:
    """Return what the annotations set, and a warning for each that has no effect because of a mistake."""
    changes: dict[str, Any] = {}
    warnings: list[str] = []
    for name, annotation in _MEANING.items():
        text = annotations.get(name, "").strip()
        if not text:  # an empty annotation counts as absent, as in Dapr
            continue
        try:
            value = annotation.read(_short_enough(text))
        except ValueError as error:
            warnings.append(_malformed(name, text, str(error)))
            continue
        if value is not None:
            changes[annotation.option] = value
    warnings.extend(_about_unknown([name for name in annotations if name.startswith(PREFIXES) and name not in _KNOWN]))
    return _with(SidecarOptions(), changes), warnings


def _short_enough(text: str) -> str:
    if len(text) > _MAX_TEXT:
        raise ValueError(f"write {_MAX_TEXT} characters at most")
    return text


def _about_unknown(names: list[str]) -> list[str]:
    """Return warnings about the first of these names: each is compared with all known ones."""
    rest = len(names) - _MAX_UNKNOWN
    more = [f"{rest} more annotations of {' and '.join(PREFIXES)} are unknown and have no effect"] if rest > 0 else []
    return [*map(_unknown, names[:_MAX_UNKNOWN]), *more]


def _malformed(name: str, text: str, advice: str) -> str:
    if name == ENABLED:
        return f"annotation {name}: {quoted(text)} is neither true nor false, so no sidecar is injected; {advice}"
    return f"annotation {name}: {quoted(text)} has no effect; {advice}"


def _unknown(name: str) -> str:
    last = name.partition("/")[2]
    match = _SHORTER.get(last.lower()) or closest(last, _BY_LAST_PART)  # the prefixes would make all names similar
    advice = f"; did you mean {_BY_LAST_PART[match]}?" if match else "; remove it or correct its name"
    return f"annotation {one_line(name)} is unknown and has no effect{advice}"


def _with(options: SidecarOptions, changes: Mapping[str, Any]) -> SidecarOptions:
    top: dict[str, Any] = {}
    for path, value in changes.items():
        group, dot, name = path.partition(".")
        if dot:
            top[group] = replace(top.get(group) or getattr(options, group), **{name: value})
        else:
            top[group] = value
    return replace(options, **top)
