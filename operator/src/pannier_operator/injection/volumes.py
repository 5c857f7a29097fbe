"""The volumes of a pod that its sidecar uses, and where they are mounted."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pannier_operator.delivery.app_secret import configuration_file, secret_name
from pannier_operator.injection.plan import (
    COMPONENTS_PATH,
    COMPONENTS_VOLUME,
    CONFIGURATION_PATH,
    CONFIGURATION_VOLUME,
    SOCKET_PATH,
    SOCKET_VOLUME,
    TOKEN_MASK_VOLUME,
    TOKEN_PATH,
)
from pannier_operator.injection.pluggable import component_volumes, sockets_folder, sockets_mounts

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pannier_operator.injection.annotation_values import Mount
    from pannier_operator.injection.plan import Injection
    from pannier_operator.objects import pod_kinds


def volumes_for(pod: pod_kinds.Pod, injection: Injection) -> list[pod_kinds.Volume]:
    """Return the volumes that the pod gets.

    The Secret is not optional: the kubelet waits until the operator has written it, so no app runs without its
    components. Nor is the key with the Configuration that the pod names: a sidecar without it would allow every call,
    so the kubelet waits until there is one. The empty volume covers the path of the service account's token. The
    ServiceAccount admission plugin runs again after webhooks, and mounts no token into containers that have a mount at
    that path.
    """
    volumes: list[pod_kinds.Volume] = [
        {"name": COMPONENTS_VOLUME, "secret": {"secretName": secret_name(injection.app_id)}},
        {"name": TOKEN_MASK_VOLUME, "emptyDir": {"medium": "Memory", "sizeLimit": "4Ki"}},
    ]
    if name := injection.options.config:
        items: list[pod_kinds.KeyToPath] = [{"key": configuration_file(name), "path": f"{name}.yaml"}]
        secret: pod_kinds.SecretVolume = {"secretName": secret_name(injection.app_id), "items": items}
        volumes.append({"name": CONFIGURATION_VOLUME, "secret": secret})
    if injection.options.unix_socket_path:
        volumes.append({"name": SOCKET_VOLUME, "emptyDir": {"medium": "Memory"}})
    return [*volumes, *component_volumes(pod, injection)]


def mounts_for(pod: pod_kinds.Pod, injection: Injection) -> list[pod_kinds.VolumeMount]:
    """Return the sidecar's mounts."""
    mounts: list[pod_kinds.VolumeMount] = [
        {"name": COMPONENTS_VOLUME, "mountPath": COMPONENTS_PATH, "readOnly": True},
        {"name": TOKEN_MASK_VOLUME, "mountPath": TOKEN_PATH, "readOnly": True},
    ]
    if injection.options.config:
        mounts.append({"name": CONFIGURATION_VOLUME, "mountPath": CONFIGURATION_PATH, "readOnly": True})
    if injection.options.unix_socket_path:
        mounts.append({"name": SOCKET_VOLUME, "mountPath": SOCKET_PATH})
    mounts += sockets_mounts(injection)
    for mount, problem in _asked_for(pod, injection):
        if problem is None:
            mounted: pod_kinds.VolumeMount = {"name": mount.volume, "mountPath": mount.path}
            if mount.is_read_only:
                mounted["readOnly"] = True
            mounts.append(mounted)
    return mounts


def not_mounted(pod: pod_kinds.Pod, injection: Injection) -> Iterator[str]:
    """Yield a warning for each mount that an annotation sets but that is not possible."""
    for mount, problem in _asked_for(pod, injection):
        if problem is not None:
            name = "dapr.io/volume-mounts" if mount.is_read_only else "dapr.io/volume-mounts-rw"
            yield f"annotation {name}: '{mount.volume}:{mount.path}' has no effect; {problem}"


def _asked_for(pod: pod_kinds.Pod, injection: Injection) -> Iterator[tuple[Mount, str | None]]:
    """Yield the mounts that annotations set, each with its problem, if any."""
    known = {volume.get("name") for volume in (pod.get("spec") or {}).get("volumes") or ()}
    taken = {COMPONENTS_PATH, SOCKET_PATH, TOKEN_PATH, sockets_folder(injection)}
    options = injection.options
    if options.config:
        taken.add(CONFIGURATION_PATH)
    for mount in (*options.mounts, *options.writable_mounts):
        if mount.volume not in known:
            yield mount, "the pod has no such volume"
        elif f"{mount.path}/".startswith(f"{TOKEN_PATH}/"):
            yield mount, "a sidecar gets no credentials of the cluster; write another path"
        elif mount.path in taken:
            yield mount, "something else is mounted there; write another path"
        else:
            taken.add(mount.path)
            yield mount, None
