"""Warnings about a pod that is admitted. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pannier_crds.problems import quoted
from pannier_operator.injection.container import PORT_ANNOTATIONS, listening_ports
from pannier_operator.injection.ending import too_long
from pannier_operator.injection.environment import not_set
from pannier_operator.injection.plan import SOCKET_VOLUME
from pannier_operator.injection.pluggable import not_served
from pannier_operator.injection.volumes import not_mounted
from pannier_operator.objects.app_ids import owner_kind_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pannier_operator.injection.plan import Injection
    from pannier_operator.objects import pod_kinds


def warnings_about(pod: pod_kinds.Pod, injection: Injection) -> Iterator[str]:
    """Yield all warnings about a pod as it was before injection."""
    yield from _about_containers(pod, injection)
    yield from _about_ports(pod, injection)
    yield from _about_socket(pod, injection)
    yield from not_set(injection.options)
    yield from not_mounted(pod, injection)
    yield from not_served(pod, injection)
    yield from too_long(pod, injection)


def _about_containers(pod: pod_kinds.Pod, injection: Injection) -> Iterator[str]:
    if injection.is_native:
        return
    if injection.options.is_native:
        yield "annotation dapr.io/enable-native-sidecar has no effect; native sidecars need Kubernetes 1.29"
    if owner_kind_of(pod) == "Job":
        yield (
            "the Job never ends while its sidecar runs: let the app call POST /v1.0/shutdown at its end, or use a "
            "native sidecar (Kubernetes 1.29)"
        )


def _about_ports(pod: pod_kinds.Pod, injection: Injection) -> Iterator[str]:
    """Yield warnings about ports: the containers of a pod share one network, so a port can serve one of them."""
    ports = listening_ports(injection)
    for name, port in _declared_ports(pod, injection):
        for use, taken in ports.items():
            if port == taken:
                yield f"{name} has port {port}, which the sidecar needs for {use}; {_way_out(use)}"
    if (pod.get("spec") or {}).get("hostNetwork"):
        listed = ", ".join(str(port) for port in sorted(ports.values()))
        yield f"hostNetwork: the sidecar takes ports {listed} of the node, so each node can run one such pod"


def _about_socket(pod: pod_kinds.Pod, injection: Injection) -> Iterator[str]:
    path = injection.options.unix_socket_path
    for container in (pod.get("spec") or {}).get("containers") or ():
        mounts = container.get("volumeMounts") or ()
        if path and any(m.get("mountPath") == path and m.get("name") != SOCKET_VOLUME for m in mounts):
            name = quoted(str(container.get("name")))
            yield f"container {name} mounts something else at {path} and does not see the sidecar's socket"


def _way_out(use: str) -> str:
    if use in PORT_ANNOTATIONS:
        return f"write another port into the annotation {PORT_ANNOTATIONS[use]}"
    return "let the app listen on another port"


def _declared_ports(pod: pod_kinds.Pod, injection: Injection) -> Iterator[tuple[str, int | None]]:
    for container in (pod.get("spec") or {}).get("containers") or ():
        for declared in container.get("ports") or ():
            if declared.get("protocol", "TCP") == "TCP":
                yield f"container {quoted(str(container.get('name')))}", declared.get("containerPort")
    if injection.options.app_port is not None:
        yield "annotation dapr.io/app-port", injection.options.app_port
