"""The fields of a run file, one table: which flag of `pannier run` a field sets, and where it may be written."""

from __future__ import annotations

from typing import Final, Literal

from msgspec import Struct

from pannier_sidecar.cli.flags import EVERY_FLAG, Flag

Form = Literal["text", "path", "folder", "file", "texts", "folders", "variables", "destination"]
"""What a field holds. A `folder` and a `file` must exist; a `path` need not."""

DESTINATIONS: Final = ("file", "console", "fileAndConsole")


class Field(Struct, frozen=True):
    """One field."""

    name: str
    flag: str = ""
    """The flag of `pannier run` that it sets; empty if the runner itself uses it, or nobody does."""
    form: Form = "text"
    is_used: bool = False
    """Whether the runner itself uses it."""

    @property
    def sets(self) -> Flag | None:
        """The flag that it sets; None if it sets none, or one that has no effect."""
        flag = FLAGS.get(self.flag)
        return flag if flag is not None and flag.setting else None

    @property
    def has_effect(self) -> bool:
        return self.is_used or self.sets is not None


FLAGS: Final = {name: flag for flag in EVERY_FLAG for name in flag.names}

OF_ONE_APP: Final = (
    Field("appDirPath", form="folder", is_used=True),
    Field("appID", "app-id"),
    Field("appChannelAddress", is_used=True),
    Field("appPort", "app-port"),
    Field("daprHTTPPort", "http-port"),
    Field("daprGRPCPort", "grpc-port"),
    Field("daprInternalGRPCPort", "dapr-internal-grpc-port"),
    Field("metricsPort", "metrics-port"),
    Field("profilePort", "profile-port"),
    Field("unixDomainSocket", "unix-domain-socket", "path"),
    Field("command", form="texts", is_used=True),
    Field("containerImage"),
    Field("containerImagePullPolicy"),
    Field("createService"),
)
"""Fields that only an app may have, not `common`."""
OF_ALL: Final = (
    Field("configFilePath", "config", "file"),
    Field("appProtocol", "app-protocol"),
    Field("apiListenAddresses", "listen-addresses"),
    Field("enableProfiling", "enable-profiling"),
    Field("logLevel", "log-level"),
    Field("appMaxConcurrency", "app-max-concurrency"),
    Field("placementHostAddress", "placement-host-address"),
    Field("schedulerHostAddress", "scheduler-host-address"),
    Field("resourcesPath", form="folder", is_used=True),
    Field("resourcesPaths", form="folders", is_used=True),
    Field("appSSL", "app-ssl"),
    Field("maxBodySize", "max-body-size"),
    Field("readBufferSize", "read-buffer-size"),
    Field("daprHTTPMaxRequestSize", "dapr-http-max-request-size"),
    Field("daprHTTPReadBufferSize", "dapr-http-read-buffer-size"),
    Field("enableAppHealthCheck", "enable-app-health-check"),
    Field("appHealthCheckPath", "app-health-check-path"),
    Field("appHealthProbeInterval", "app-health-probe-interval"),
    Field("appHealthProbeTimeout", "app-health-probe-timeout"),
    Field("appHealthThreshold", "app-health-threshold"),
    Field("enableApiLogging", "enable-api-logging"),
    Field("runtimePath"),
    Field("env", form="variables", is_used=True),
    Field("daprdLogDestination", form="destination", is_used=True),
    Field("appLogDestination", form="destination", is_used=True),
)
"""Fields of `common` and of an app."""
TOP: Final = ("version", "name", "common", "apps")
PORTS: Final = ("daprHTTPPort", "daprGRPCPort", "metricsPort")
"""Without these, or with 0 or -1, any free port."""
BY_NAME: Final = {field.name: field for field in (*OF_ONE_APP, *OF_ALL)}
