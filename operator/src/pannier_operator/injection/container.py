"""The sidecar's container. It passes the `restricted` Pod Security Standard."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from pannier_crds.values import format_duration
from pannier_operator.injection.ending import shutdown_block
from pannier_operator.injection.environment import sidecar_environment
from pannier_operator.injection.plan import COMPONENTS_PATH, CONFIGURATION_PATH, HTTP_PORT, PUBLIC_PORT, SOCKET_PATH
from pannier_operator.injection.pluggable import sockets_environment
from pannier_operator.injection.probes import probes_of
from pannier_operator.injection.resources import resources_of
from pannier_operator.injection.volumes import mounts_for
from pannier_operator.objects.app_ids import SIDECAR_NAME

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pannier_operator.injection.plan import Injection
    from pannier_operator.objects import pod_kinds


def container_for(pod: pod_kinds.Pod, injection: Injection) -> pod_kinds.Container:
    """Return the container; the image's entry point is the command `pannier`."""
    options, settings = injection.options, injection.settings
    probes = probes_of(options)
    container: pod_kinds.Container = {
        "name": SIDECAR_NAME,
        "image": options.image or settings.image,
        "imagePullPolicy": settings.image_pull_policy,
        "args": ["serve", *(f"--{name}={value}" for name, value in _flags(pod, injection))],
        "ports": _ports(injection),
        "env": [*sidecar_environment(options), *sockets_environment(injection)],
        "resources": resources_of(options, settings),
        "startupProbe": probes["startupProbe"],
        "readinessProbe": probes["readinessProbe"],
        "livenessProbe": probes["livenessProbe"],
        "securityContext": _security_context(injection),
        "terminationMessagePolicy": "FallbackToLogsOnError",  # a start that fails says why in the pod's status
        "volumeMounts": mounts_for(pod, injection),
    }
    if injection.is_native:
        container["restartPolicy"] = "Always"
    return container


PORT_ANNOTATIONS: Final = {"metrics": "dapr.io/metrics-port", "the gRPC API": "dapr.io/grpc-port"}
"""The annotations that set ports, by what the port is for."""


def listening_ports(injection: Injection) -> dict[str, int]:
    """Return the ports on which the sidecar listens, by what they are for."""
    ports = {"the public port": PUBLIC_PORT}
    if not injection.options.unix_socket_path:
        ports["the API"] = HTTP_PORT
        ports["the gRPC API"] = injection.options.grpc_port
    if injection.options.has_metrics:
        ports["metrics"] = injection.options.metrics_port
    return ports


def _ports(injection: Injection) -> list[pod_kinds.ContainerPort]:
    """Return the container's ports, named as in Dapr.

    If the pod shares its node's network, they let the scheduler keep pods with the same ports apart.
    """
    names = {
        "the API": "dapr-http",
        "the gRPC API": "dapr-grpc",
        "the public port": "dapr-public",
        "metrics": "dapr-metrics",
    }
    taken = listening_ports(injection)
    return [{"name": name, "containerPort": taken[use]} for use, name in names.items() if use in taken]


def _flags(pod: pod_kinds.Pod, injection: Injection) -> Iterator[tuple[str, str]]:
    """Yield the flags of `pannier serve`: first what identifies the app, then what annotations and settings add."""
    options = injection.options
    yield "app-id", injection.app_id
    if options.app_port is not None:
        yield "app-port", str(options.app_port)
    yield "app-protocol", options.app_protocol
    yield "components", COMPONENTS_PATH
    yield "mode", "kubernetes"
    yield "profile", options.profile or injection.settings.profile
    yield from _listening_flags(injection)
    yield from _logging_flags(injection)
    block = shutdown_block(pod, injection)
    optional = {
        "max-body-size": options.max_body_size,
        "read-buffer-size": options.read_buffer_size,
        "max-request-items": "" if options.max_request_items is None else str(options.max_request_items),
        "allowed-hosts": options.allowed_hosts,
        "allowed-origins": options.allowed_origins,
        "credential-providers": options.credential_providers,
        "graceful-shutdown-seconds": "" if options.graceful_shutdown is None else str(options.graceful_shutdown),
        "block-shutdown-duration": format_duration(block) if block else "",
        "config": f"{CONFIGURATION_PATH}/{options.config}.yaml" if options.config else "",
    }
    yield from ((name, value) for name, value in optional.items() if value)


def _listening_flags(injection: Injection) -> Iterator[tuple[str, str]]:
    options = injection.options
    if options.unix_socket_path:
        yield "unix-domain-socket", SOCKET_PATH
    else:
        yield "http-port", str(HTTP_PORT)
        yield "grpc-port", str(options.grpc_port)
        if options.listen_addresses:
            yield "listen-addresses", options.listen_addresses
    yield "public-port", str(PUBLIC_PORT)
    if options.has_metrics:
        yield "metrics-port", str(options.metrics_port)
    else:
        yield "enable-metrics", "false"


def _logging_flags(injection: Injection) -> Iterator[tuple[str, str]]:
    options, settings = injection.options, injection.settings
    yield "log-level", options.log_level or settings.log_level
    if settings.log_as_json if options.log_as_json is None else options.log_as_json:
        yield "log-as-json", "true"
    if options.logs_api_calls:
        yield "enable-api-logging", "true"


def _security_context(injection: Injection) -> pod_kinds.SecurityContext:
    context: pod_kinds.SecurityContext = {
        "allowPrivilegeEscalation": False,
        "capabilities": {"drop": ["ALL"]},
        "readOnlyRootFilesystem": True,
        "runAsNonRoot": True,
        "seccompProfile": {"type": injection.options.seccomp_profile or "RuntimeDefault"},
    }
    if injection.settings.run_as_user is not None:
        context["runAsUser"] = injection.settings.run_as_user
    return context
