"""The flags of all verbs. `run` and `serve` take Pannier's own flags, and those of daprd by daprd's names.

A table: what a flag is called, how its text is read, and which setting it fills. Defaults are in `settings`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from msgspec import Struct

from pannier_sidecar.cli import flag_values as read


class Flag(Struct, frozen=True):
    """One flag. Without `setting` and `asks` it is one of daprd's that has no effect here."""

    name: str
    read: Callable[[str], Any] = read.text
    setting: str = ""
    """The path of the setting, such as `listen.http_port`."""
    help: str = ""
    aliases: tuple[str, ...] = ()
    repeats: bool = False
    placeholder: str = ""
    asks: str = ""
    """What the flag asks for instead of serving; a value of `Parsed.asks`."""

    @property
    def is_boolean(self) -> bool:
        return self.read is read.boolean

    @property
    def names(self) -> tuple[str, ...]:
        return (self.name, *self.aliases)


APP: Final = (
    Flag("app-id", setting="app.id", help="the app's name; its state is stored under it", placeholder="NAME"),
    Flag("app-port", read.app_port, "app.port", "where the app listens", placeholder="PORT"),
    Flag("app-protocol", setting="app.protocol", help="shown in the metadata", placeholder="NAME"),
)
COMPONENTS: Final = (
    Flag(
        "components",
        read.paths,
        "components.folders",
        "folder of component files; may be given several times; watched",
        ("resources-path", "components-path"),
        repeats=True,
        placeholder="DIR",
    ),
    Flag("strict", read.boolean, "components.is_strict", "exit if a component is invalid at the start (run: always)"),
    Flag(
        "profile",
        read.profile,
        "profile",
        "which answers to give where the specs and Dapr differ",
        placeholder="spec|dapr",
    ),
    Flag(
        "config",
        read.paths,
        "configurations",
        "file with a Configuration of Dapr's; may be given several times; watched",
        repeats=True,
        placeholder="FILE",
    ),
    Flag(
        "credential-providers",
        read.credential_providers,
        "components.credential_providers",
        "classes that components may name to sign in to Redis",
        placeholder="MODULE:CLASS,...",
    ),
)
LISTENING: Final = (
    Flag("http-port", read.port, "listen.http_port", "port of the API", ("dapr-http-port",), placeholder="PORT"),
    Flag(
        "grpc-port",
        read.port,
        "listen.grpc_port",
        "port of the gRPC API (50001, or a free one if that is taken)",
        ("dapr-grpc-port",),
        placeholder="PORT",
    ),
    Flag(
        "layotto-port",
        read.port,
        "listen.layotto_port",
        "a second gRPC port; Layotto's SDKs use 34904",
        placeholder="PORT",
    ),
    Flag(
        "listen-addresses",
        read.addresses,
        "listen.addresses",
        "addresses of the API, HTTP and gRPC",
        ("dapr-listen-addresses",),
        placeholder="LIST",
    ),
    Flag(
        "unix-domain-socket",
        read.path,
        "listen.unix_socket_folder",
        "serve the API on a socket in this folder instead of a port",
        placeholder="DIR",
    ),
    Flag(
        "public-port",
        read.port,
        "listen.public_port",
        "port for health and, with the token, metadata",
        ("dapr-public-port",),
        placeholder="PORT",
    ),
    Flag(
        "public-listen-address",
        read.addresses,
        "listen.public_addresses",
        "addresses of that port",
        ("dapr-public-listen-address",),
        placeholder="LIST",
    ),
    Flag("metrics-port", read.port, "listen.metrics_port", "port of the Prometheus metrics", placeholder="PORT"),
    Flag(
        "metrics-listen-address",
        read.addresses,
        "listen.metrics_addresses",
        "addresses of that port (in a pod all, elsewhere loopback)",
        placeholder="LIST",
    ),
    Flag("enable-metrics", read.boolean, "listen.serves_metrics", "whether to serve metrics at all"),
    Flag(
        "allowed-origins",
        read.origins,
        "access.allowed_origins",
        "origins whose pages may call the API from a browser; * for any (none)",
        placeholder="LIST",
    ),
    Flag(
        "allowed-hosts",
        read.hosts,
        "access.allowed_hosts",
        "additional host names that clients use; .NAME for all its subdomains",
        placeholder="LIST",
    ),
)
LIMITS: Final = (
    Flag("max-body-size", read.size, "limits.max_body_size", "maximum size of a request's body", placeholder="SIZE"),
    Flag(
        "max-request-items",
        read.positive,
        "limits.max_request_items",
        "maximum number of items, keys or operations in a request",
        placeholder="N",
    ),
    Flag(
        "read-buffer-size",
        read.size,
        "limits.read_buffer_size",
        "maximum size of a request's headers",
        placeholder="SIZE",
    ),
    Flag(
        "graceful-shutdown-seconds",
        read.seconds,
        "stop.graceful",
        "maximum wait for calls in flight at the end",
        ("dapr-graceful-shutdown-seconds",),
        placeholder="N",
    ),
    Flag(
        "block-shutdown-duration",
        read.duration,
        "stop.block",
        "how long to continue serving after a signal",
        ("dapr-block-shutdown-duration",),
        placeholder="TIME",
    ),
)
LOGGING: Final = (
    Flag("log-level", read.log_level, "log.level", "debug, info, warn, error or fatal", placeholder="LEVEL"),
    Flag("log-as-json", read.boolean, "log.as_json", "whether to write logs as JSON"),
    Flag("enable-api-logging", read.boolean, "log.api_calls", "whether to log each call"),
    Flag("mode", read.mode, "place.mode", "where the sidecar runs", placeholder="standalone|kubernetes"),
)
OLDER: Final = (
    Flag("dapr-http-max-request-size", read.megabytes, "limits.max_body_size"),
    Flag("dapr-http-read-buffer-size", read.kilobytes, "limits.read_buffer_size"),
)
"""daprd's older spellings, which have other units."""

INSTEAD: Final = (
    Flag("version", read.boolean, asks="version"),
    Flag("build-info", read.boolean, asks="version"),
    Flag("wait", read.boolean, asks="wait"),
)
"""daprd's flags that make it do something other than serve."""

WITHOUT_EFFECT: Final = (
    *(
        Flag(name)
        for name in (
            "actors-service",
            "app-channel-address",
            "app-max-concurrency",
            "app-health-check-path",
            "app-health-port",
            "app-health-probe-interval",
            "app-health-probe-timeout",
            "app-health-threshold",
            "app-token",
            "actors-disseminate-timeout",
            "control-plane-address",
            "control-plane-namespace",
            "control-plane-trust-domain",
            "dapr-internal-grpc-listen-address",
            "dapr-internal-grpc-port",
            "kubeconfig",
            "placement-host-address",
            "profile-port",
            "reminders-service",
            "scheduler-host-address",
            "scheduler-job-streams",
            "sentry-address",
            "sentry-request-jwt-audiences",
            "trust-anchors-file",
            "trust-domain",
        )
    ),
    *(
        Flag(name, read.boolean)
        for name in (
            "app-ssl",
            "disable-builtin-k8s-secret-store",
            "disable-init-endpoints",
            "enable-app-health-check",
            "enable-mtls",
            "enable-profiling",
        )
    ),
)

SECTIONS: Final = (
    ("The app", APP),
    ("Components", COMPONENTS),
    ("Listening", LISTENING),
    ("Limits", LIMITS),
    ("Logging and place", LOGGING),
)
EVERY_FLAG: Final = (*APP, *COMPONENTS, *LISTENING, *LIMITS, *LOGGING, *OLDER, *INSTEAD, *WITHOUT_EFFECT)
SHOWN: Final = tuple(flag for _, flags in SECTIONS for flag in flags)
"""The flags of `run` and `serve` that help and completion show."""

FROM: Final = Flag("from", setting="source", help="component file of the source", placeholder="FILE")
TO: Final = Flag("to", setting="target", help="component file of the target", placeholder="FILE")
APP_ID: Final = APP[0]
COMPONENT: Final = Flag("component", setting="component", help="component file of the store", placeholder="FILE")
OVERWRITE: Final = Flag("overwrite", read.boolean, "overwrites", "replace what exists")
JOURNAL: Final = Flag("journal", read.path, "journal", "where to record what was written", placeholder="FILE")
OUTPUT: Final = Flag("output", read.path, "output", "file to write", ("o",), placeholder="FILE")
COPY: Final = (FROM, TO, APP_ID, OVERWRITE, JOURNAL)
EXPORT: Final = (FROM, APP_ID, OUTPUT, OVERWRITE)
IMPORT: Final = (TO, APP_ID, OVERWRITE, JOURNAL)
REENCRYPT: Final = (COMPONENT, APP_ID)
IMPORT_LAYOTTO: Final = (
    Flag("output", setting="output", help="folder to write to", aliases=("o",), placeholder="DIR|-"),
)
CHECK: Final = (
    Flag("output", read.output_format, "output", "format of the report", ("o",), placeholder="text|json|sarif"),
)
RUN_FILE: Final = Flag(
    "run-file",
    read.path,
    "run_file",
    "run file of several apps, or the folder of a dapr.yaml",
    ("f",),
    placeholder="FILE",
)
RUN: Final = (*EVERY_FLAG, RUN_FILE)
LIST: Final = (Flag("output", read.list_format, "output", "format of the list", ("o",), placeholder="table|json|yaml"),)
STOP: Final = (
    Flag("app-id", read.names, "app_ids", "app to stop; may be given several times", ("a",), True, "NAME"),
    RUN_FILE,
)
SIDECAR: Final = (
    Flag("store", setting="store", help="name of the state store (the default one)", placeholder="NAME"),
    Flag("http-port", read.port, "http_port", "port of the sidecar (DAPR_HTTP_PORT, or 3500)", placeholder="PORT"),
)
"""The flags of verbs that call a sidecar."""
ETAG: Final = Flag("etag", setting="etag", help="do it only if the value has this ETag", placeholder="ETAG")
TTL: Final = Flag("ttl", read.whole_number, "ttl", "seconds until it expires, or -1 for never", placeholder="SECONDS")
VALUE_FORMAT: Final = Flag(
    "output", read.value_format, "output", "the value, or JSON with its ETag", ("o",), placeholder="value|json"
)
INCREMENT: Final = (
    Flag("by", read.whole_number, "by", "what to add (1)", placeholder="N"),
    Flag("initial", read.whole_number, "initial", "what an absent key counts as (0)", placeholder="N"),
    Flag("floor", read.whole_number, "floor", "do not go below this number", placeholder="N"),
    Flag("ceiling", read.whole_number, "ceiling", "do not go above this number", placeholder="N"),
)
MAX_LENGTH: Final = Flag(
    "max-length", read.whole_number, "maxLength", "drop the first elements beyond this length", placeholder="N"
)
ONCE: Final = Flag(
    "idempotency-key", setting="once", help="repeat a command with the same key, and it is done once", placeholder="KEY"
)
WATCH: Final = (
    Flag("values", read.boolean, "values", "print the values too"),
    Flag("since", setting="since", help="go on after the event with this id", placeholder="ID"),
)
STATE: Final = (*SIDECAR, ETAG, TTL, VALUE_FORMAT, *INCREMENT, MAX_LENGTH, ONCE, *WATCH)
