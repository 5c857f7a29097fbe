"""Pluggable components in a pod: the folder in which they and the sidecar find each other's sockets, and containers
that Components describe.
"""

from __future__ import annotations

from copy import deepcopy
from typing import TYPE_CHECKING, Any, Final

from pannier_crds.component_container import read_container
from pannier_crds.pluggable import DEFAULT_SOCKETS_FOLDER, SOCKETS_FOLDER_VARIABLE
from pannier_crds.problems import InvalidValueError, quoted
from pannier_operator.objects.app_ids import SIDECAR_NAME
from pannier_operator.objects.namespace_components import CONTAINERS_ANNOTATION

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from pannier_crds.component import Component
    from pannier_operator.injection.plan import Injection
    from pannier_operator.objects import pod_kinds

SOCKETS_VOLUME: Final = "dapr-components-unix-domain-socket"
_OLDER_VARIABLE: Final = "DAPR_COMPONENT_SOCKETS_FOLDER"
"""What Dapr's injector writes, while its sidecar reads the other one."""
INJECTED: Final = "dapr.io/inject-pluggable-components"
SOCKETS_FOLDER: Final = "dapr.io/pluggable-components-sockets-folder"
MAX_CONTAINERS: Final = 20
"""Containers that Components may add to a pod."""


def sockets_folder(injection: Injection) -> str:
    """Return the folder of the sockets; empty if the pod has no pluggable components."""
    options = injection.options
    if not options.pluggable_components and not injection.component_containers:
        return ""
    return options.sockets_folder or DEFAULT_SOCKETS_FOLDER


def sockets_environment(injection: Injection) -> list[pod_kinds.EnvVar]:
    """Return the variables that name the folder; none without pluggable components."""
    folder = sockets_folder(injection)
    names = (SOCKETS_FOLDER_VARIABLE, _OLDER_VARIABLE) if folder else ()
    return [{"name": name, "value": folder} for name in names]


def sockets_mounts(injection: Injection) -> list[pod_kinds.VolumeMount]:
    folder = sockets_folder(injection)
    return [{"name": SOCKETS_VOLUME, "mountPath": folder}] if folder else []


def serves_components(container: pod_kinds.Container, injection: Injection) -> bool:
    """Return whether a container of the pod serves pluggable components."""
    return container.get("name") in injection.options.pluggable_components


def containers_of(components: Iterable[Component]) -> list[pod_kinds.Container]:
    """Return the containers that components describe, one for each image, in the order of the components.

    A container that cannot be read is left out: admission has refused it, or its annotation was changed since.
    """
    by_image: dict[object, Any] = {}
    for component in sorted(components, key=lambda component: component.name):
        try:
            container = read_container(component)
        except InvalidValueError:
            continue
        if container is not None and len(by_image) < MAX_CONTAINERS:
            by_image.setdefault(container["image"], container)
    return list(by_image.values())


def added_containers(pod: pod_kinds.Pod, injection: Injection) -> list[pod_kinds.Container]:
    """Return the containers that are added to the pod, with the sockets' folder."""
    added = []
    for container in _free_to_add(pod, injection):
        container = deepcopy(container)
        add_sockets(container, injection)
        if injection.is_native:
            container["restartPolicy"] = "Always"
        added.append(container)
    return added


def add_sockets(container: pod_kinds.Container, injection: Injection) -> None:
    """Let a container find the folder; what it sets itself stays."""
    variables, mounts = container.get("env") or [], container.get("volumeMounts") or []
    set_ = {each.get("name") for each in variables}
    container["env"] = [*variables, *(each for each in sockets_environment(injection) if each["name"] not in set_)]
    paths = {each.get("mountPath") for each in mounts}
    more = [each for each in sockets_mounts(injection) if each["mountPath"] not in paths]
    container["volumeMounts"] = [*mounts, *more]


def component_volumes(pod: pod_kinds.Pod, injection: Injection) -> list[pod_kinds.Volume]:
    """Return the volumes for sockets and, as in Dapr, an empty one for each that an added container mounts and the pod
    does not have.
    """
    if not sockets_folder(injection):
        return []
    wanted = [SOCKETS_VOLUME]
    wanted += [mount["name"] for each in _free_to_add(pod, injection) for mount in each.get("volumeMounts") or ()]
    return [{"name": name, "emptyDir": {}} for name in dict.fromkeys(wanted)]


def not_served(pod: pod_kinds.Pod, injection: Injection) -> Iterator[str]:
    """Yield a warning for each container that cannot serve components: the pod does not have it, it mounts something
    else at the folder of the sockets, or it is not added.
    """
    names = _names_in(pod)
    for name in injection.options.pluggable_components:
        if name not in names:
            yield f"annotation {CONTAINERS_ANNOTATION}: the pod has no container {quoted(name)}; write one that it has"
    folder = sockets_folder(injection)
    for container in (pod.get("spec") or {}).get("containers") or ():
        mounts = container.get("volumeMounts") or () if serves_components(container, injection) else ()
        if any(each.get("mountPath") == folder and each.get("name") != SOCKETS_VOLUME for each in mounts):
            name = quoted(str(container.get("name")))
            yield f"container {name} mounts something else at {folder}, so the sidecar does not see its sockets"
    added = [each["name"] for each in _free_to_add(pod, injection)]
    for container in injection.component_containers:
        if container["name"] not in added:
            name = quoted(container["name"])
            yield f"annotation {INJECTED}: container {name} is not added; another one of the pod has its name"


def _free_to_add(pod: pod_kinds.Pod, injection: Injection) -> list[pod_kinds.Container]:
    """Return the containers whose names are not taken."""
    taken = {*_names_in(pod), SIDECAR_NAME}
    free = []
    for container in injection.component_containers:
        if container["name"] not in taken:
            taken.add(container["name"])
            free.append(container)
    return free


def _names_in(pod: pod_kinds.Pod) -> set[str]:
    spec = pod.get("spec") or {}
    every = (*(spec.get("containers") or ()), *(spec.get("initContainers") or ()))
    return {str(container.get("name")) for container in every}
