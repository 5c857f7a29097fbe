"""Puts the sidecar into a pod."""

from __future__ import annotations

from copy import deepcopy
from typing import TYPE_CHECKING, TypeVar

from pannier_operator.injection.container import container_for
from pannier_operator.injection.environment import app_environment
from pannier_operator.injection.plan import SOCKET_VOLUME
from pannier_operator.injection.pluggable import add_sockets, added_containers, serves_components
from pannier_operator.injection.volumes import volumes_for
from pannier_operator.objects.app_ids import APP_ID_LABEL, has_sidecar

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from pannier_operator.injection.plan import Injection
    from pannier_operator.objects import pod_kinds

N = TypeVar("N", bound="pod_kinds.Named")


def inject(pod: pod_kinds.Pod, injection: Injection) -> pod_kinds.Pod:
    """Return a copy of the pod with the sidecar in it; an equal copy if it has a sidecar.

    So injection is idempotent: Kubernetes may call the webhook again after other webhooks have changed the pod.
    """
    injected = deepcopy(pod)
    if has_sidecar(injected):
        return injected
    sidecar = container_for(injected, injection)
    components = added_containers(injected, injection)
    spec = injected["spec"] = injected.get("spec") or {}
    _set_labels(injected, injection)
    spec["volumes"] = _with_missing(spec.get("volumes"), volumes_for(injected, injection))
    if injection.settings.image_pull_secrets:
        secrets: list[pod_kinds.Named] = [{"name": name} for name in injection.settings.image_pull_secrets]
        spec["imagePullSecrets"] = _with_missing(spec.get("imagePullSecrets"), secrets)
    for container in _every_container(spec):
        if serves_components(container, injection):
            add_sockets(container, injection)
    for container in _app_containers(spec, injection):
        _add_environment(container, injection)
    if injection.is_native:
        # First, so that the app's own init containers find the API too, and before it what its stores need.
        spec["initContainers"] = [*components, sidecar, *(spec.get("initContainers") or ())]
    else:
        # Last: kubectl's logs and exec take a pod's first container for the app.
        spec["containers"] = [*(spec.get("containers") or ()), *components, sidecar]
    return injected


def _set_labels(pod: pod_kinds.Pod, injection: Injection) -> None:
    metadata = pod["metadata"] = pod.get("metadata") or {}
    labels = metadata["labels"] = metadata.get("labels") or {}
    labels["dapr.io/sidecar-injected"] = "true"
    labels[APP_ID_LABEL] = injection.app_id
    labels["dapr.io/metrics-enabled"] = "true" if injection.options.has_metrics else "false"


def _app_containers(spec: pod_kinds.PodSpec, injection: Injection) -> list[pod_kinds.Container]:
    """Return the app's containers that run while the sidecar does; with a native one also its init containers."""
    containers = _every_container(spec) if injection.is_native else list(spec.get("containers") or ())
    return [container for container in containers if not serves_components(container, injection)]


def _every_container(spec: pod_kinds.PodSpec) -> list[pod_kinds.Container]:
    return [*(spec.get("initContainers") or ()), *(spec.get("containers") or ())]


def _add_environment(container: pod_kinds.Container, injection: Injection) -> None:
    """Set the variables and the mount by which a container finds the API; what it sets itself stays."""
    variables = app_environment(injection.options)
    more: list[pod_kinds.EnvVar] = [{"name": name, "value": value} for name, value in variables.items()]
    container["env"] = _with_missing(container.get("env"), more)
    path = injection.options.unix_socket_path
    mounts = container.get("volumeMounts") or []
    if path and all(mount.get("mountPath") != path for mount in mounts):
        container["volumeMounts"] = [*mounts, {"name": SOCKET_VOLUME, "mountPath": path}]


def _with_missing(entries: Sequence[N] | None, more: Iterable[N]) -> list[N]:
    """Return the entries, and those of `more` whose name is not there yet."""
    known = {entry.get("name") for entry in entries or ()}
    return [*(entries or ()), *(entry for entry in more if entry["name"] not in known)]
