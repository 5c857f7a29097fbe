"""Puts the sidecar into a pod."""

from __future__ import annotations

from copy import deepcopy
from typing import TYPE_CHECKING, Any

from pannier_operator.injection.container import container_for
from pannier_operator.injection.environment import app_environment
from pannier_operator.injection.plan import SOCKET_VOLUME
from pannier_operator.injection.volumes import volumes_for
from pannier_operator.objects.app_ids import APP_ID_LABEL, has_sidecar

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pannier_operator.injection.plan import Injection


def inject(pod: Mapping[str, Any], injection: Injection) -> dict[str, Any]:
    """Return a copy of the pod with the sidecar in it; an equal copy if it has a sidecar.

    So injection is idempotent: Kubernetes may call the webhook again after other webhooks have changed the pod.
    """
    injected = deepcopy(dict(pod))
    if has_sidecar(injected):
        return injected
    sidecar = container_for(injected, injection)
    spec = _part(injected, "spec", {})
    _set_labels(injected, injection)
    _add_by_name(_part(spec, "volumes", []), volumes_for(injection))
    _add_by_name(
        _part(spec, "imagePullSecrets", []) if injection.settings.image_pull_secrets else [],
        [{"name": name} for name in injection.settings.image_pull_secrets],
    )
    for container in _app_containers(spec, injection):
        _add_environment(container, injection)
    if injection.is_native:
        # First, so that the app's own init containers find the API too.
        _part(spec, "initContainers", []).insert(0, sidecar)
    else:
        # Last: kubectl's logs and exec take a pod's first container for the app.
        _part(spec, "containers", []).append(sidecar)
    return injected


def _set_labels(pod: dict[str, Any], injection: Injection) -> None:
    labels = _part(_part(pod, "metadata", {}), "labels", {})
    labels["dapr.io/sidecar-injected"] = "true"
    labels[APP_ID_LABEL] = injection.app_id
    labels["dapr.io/metrics-enabled"] = "true" if injection.options.has_metrics else "false"


def _app_containers(spec: Mapping[str, Any], injection: Injection) -> list[dict[str, Any]]:
    """Return the containers that run while the sidecar does; with a native one also the app's init containers."""
    containers: list[dict[str, Any]] = list(spec.get("containers") or ())
    return [*(spec.get("initContainers") or ()), *containers] if injection.is_native else containers


def _add_environment(container: dict[str, Any], injection: Injection) -> None:
    """Set the variables and the mount by which a container finds the API; what it sets itself stays."""
    variables = app_environment(injection.options)
    _add_by_name(
        _part(container, "env", []),
        [{"name": name, "value": value} for name, value in variables.items()],
    )
    path = injection.options.unix_socket_path
    mounts = container.get("volumeMounts") or ()
    if path and all(mount.get("mountPath") != path for mount in mounts):
        _part(container, "volumeMounts", []).append({"name": SOCKET_VOLUME, "mountPath": path})


def _add_by_name(entries: list[dict[str, Any]], more: list[dict[str, Any]]) -> None:
    """Add the entries whose name is not there yet."""
    known = {entry.get("name") for entry in entries}
    entries.extend(entry for entry in more if entry["name"] not in known)


def _part(parent: dict[str, Any], key: str, empty: Any) -> Any:
    """Return the value under a key, set to `empty` if it is absent or null."""
    if parent.get(key) is None:
        parent[key] = empty
    return parent[key]
