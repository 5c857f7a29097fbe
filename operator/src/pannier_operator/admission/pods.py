"""Decides which new pods get a sidecar, which are refused, and which warnings are given. Pure."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from pannier_crds.problems import quoted
from pannier_crds.values import is_truthy
from pannier_operator.admission.namespace_bounds import NO_BOUNDS, objections
from pannier_operator.admission.pod_warnings import warnings_about
from pannier_operator.admission.verdict import Verdict
from pannier_operator.injection.annotations import read as read_annotations
from pannier_operator.injection.container import PORT_ANNOTATIONS, listening_ports
from pannier_operator.injection.plan import (
    COMPONENTS_PATH,
    COMPONENTS_VOLUME,
    CONFIGURATION_PATH,
    CONFIGURATION_VOLUME,
    SOCKET_PATH,
    TOKEN_MASK_VOLUME,
    TOKEN_PATH,
    Injection,
)
from pannier_operator.injection.pluggable import INJECTED, SOCKETS_FOLDER, containers_of, sockets_folder
from pannier_operator.injection.pod import inject
from pannier_operator.injection.resources import contradictions, resources_of
from pannier_operator.objects.app_ids import (
    APP_ID_ANNOTATION,
    APP_ID_LABEL,
    DISABLED,
    INJECTION_LABEL,
    MIRROR_ANNOTATION,
    app_id_of,
    has_sidecar,
    problem_with,
)
from pannier_operator.objects.namespace_configurations import CONFIG_ANNOTATION, problem_with_name

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from pannier_crds.component import Component
    from pannier_operator.admission.namespace_bounds import NamespaceBounds
    from pannier_operator.injection.annotations import SidecarOptions
    from pannier_operator.objects import kinds, pod_kinds
    from pannier_operator.settings import OperatorSettings

NATIVE_FROM: Final = (1, 29)
"""The first Kubernetes that keeps init containers with `restartPolicy: Always` running by default."""

_OWN_VOLUMES: Final = frozenset((COMPONENTS_VOLUME, CONFIGURATION_VOLUME, TOKEN_MASK_VOLUME))
_SYSTEM_NAMESPACES: Final = frozenset(("kube-system", "kube-public", "kube-node-lease"))


@dataclass(frozen=True, slots=True)
class PodVerdict(Verdict):
    """The answer to the creation of a pod."""

    pod: pod_kinds.Pod = field(kw_only=True)
    """The pod with its sidecar; the same object as in the request if nothing changes."""


def mutate(
    pod: pod_kinds.Pod,
    namespace_labels: Mapping[str, str],
    settings: OperatorSettings,
    *,
    namespace: str,
    server_version: tuple[int, int],
    cron_job: str = "",
    bounds: NamespaceBounds = NO_BOUNDS,
    components: Iterable[Component] = (),
) -> PodVerdict:
    """Return the verdict on a new pod. `namespace` is the request's: the pod itself often names none.

    A pod that has a sidecar, asks for none, or is labelled to get none stays as it is. `server_version` is the API
    server's, as (1, 35). `cron_job` is the name of the CronJob that made the pod's Job, if that was looked up; `bounds`
    are the namespace's bounds on containers. `components` are its Components, for pods that ask for their containers.
    """
    if has_sidecar(pod) or DISABLED in (_labels(pod).get(INJECTION_LABEL), namespace_labels.get(INJECTION_LABEL)):
        return PodVerdict(pod=pod)
    options, warnings = read_annotations(_metadata(pod).get("annotations") or {})
    if not options.is_enabled:
        return PodVerdict(warnings=tuple(warnings), pod=pod)
    if untouchable := _why_untouchable(pod, namespace, settings):
        return PodVerdict(warnings=(f"no sidecar is injected: {untouchable}",), pod=pod)
    if impossible := _why_impossible(pod, namespace, settings):
        text = f"no sidecar can be injected: {impossible}"
        if namespace_labels.get(INJECTION_LABEL) != "required":
            return PodVerdict(warnings=(text,), pod=pod)
        return PodVerdict((f"{text}; its namespace requires one ({INJECTION_LABEL}: required)",), pod=pod)
    is_native = _is_native(options, settings, server_version)
    app_id = app_id_of(pod, cron_job)
    seen = (each for each in components if options.injects_components and each.is_visible_to(app_id, namespace))
    injection = Injection(app_id, options, settings.sidecar, is_native, tuple(containers_of(seen)))
    errors = (*_errors(pod, injection), *objections(resources_of(options, settings.sidecar), bounds))
    if errors:
        return PodVerdict(errors, tuple(warnings), pod=pod)
    warnings.extend(warnings_about(pod, injection))
    return PodVerdict(warnings=tuple(warnings), pod=inject(pod, injection))


def asks_for_components(pod: pod_kinds.Pod) -> bool:
    """Return whether a pod is to get the containers that Components describe."""
    return is_truthy((_metadata(pod).get("annotations") or {}).get(INJECTED, ""))


def _why_untouchable(pod: pod_kinds.Pod, namespace: str, settings: OperatorSettings) -> str | None:
    """Return why a pod is never changed or refused, whatever its namespace's label: it belongs to the cluster, or to
    Pannier.
    """
    if namespace in _SYSTEM_NAMESPACES:
        return f"pods of {namespace} are the cluster's own"
    if namespace == settings.operator.namespace and _labels(pod).get("app.kubernetes.io/name") == "pannier":
        return "the pod is one of Pannier's own"
    if MIRROR_ANNOTATION in (_metadata(pod).get("annotations") or {}):
        return "the kubelet runs a static pod as its file says; add the sidecar to the file"
    return None


def _why_impossible(pod: pod_kinds.Pod, namespace: str, settings: OperatorSettings) -> str | None:
    watched = settings.operator.watched_namespaces
    if watched and namespace not in watched:
        return f"namespace {namespace} is not among those that Pannier watches"
    spec = _spec(pod)
    selector = spec.get("nodeSelector") or {}
    if "windows" in ((spec.get("os") or {}).get("name"), selector.get("kubernetes.io/os")):
        return "the pod runs on Windows and the sidecar's image on Linux"
    return None


def _is_native(options: SidecarOptions, settings: OperatorSettings, server_version: tuple[int, int]) -> bool:
    """Return whether the sidecar is a native one.

    Before Kubernetes 1.29 an init container that keeps running would prevent the app from starting, so it is never used
    there.
    """
    if server_version < NATIVE_FROM:
        return False
    return settings.sidecar.native != "never" if options.is_native is None else options.is_native


def _errors(pod: pod_kinds.Pod, injection: Injection) -> Iterator[str]:
    """Yield the errors of a pod that could not run, or whose label would make it count as another app."""
    app_id = injection.app_id
    if problem := problem_with(app_id):
        yield f"app id {quoted(app_id)} {problem}, in the annotation {APP_ID_ANNOTATION}"
    labelled = _labels(pod).get(APP_ID_LABEL, app_id)
    if labelled != app_id:
        yield (
            f"label {APP_ID_LABEL}: {quoted(labelled)} is not the app id, {quoted(app_id)}; take the label out, or "
            f"write the same into the annotation {APP_ID_ANNOTATION}"
        )
    for name in {str(volume.get("name")) for volume in _spec(pod).get("volumes") or ()} & _OWN_VOLUMES:
        yield f"volume '{name}' has the name of one of the sidecar's volumes; rename it"
    ports = listening_ports(injection)
    for use, annotation in PORT_ANNOTATIONS.items():
        port = ports.pop(use, None)
        if port in ports.values():
            yield f"annotation {annotation}: {port} is another port of the sidecar; write one that is free"
    config = injection.options.config
    if config and (problem := problem_with_name(config)):
        yield f"annotation {CONFIG_ANNOTATION}: {quoted(config)} {problem}"
    if sockets_folder(injection) in (COMPONENTS_PATH, CONFIGURATION_PATH, SOCKET_PATH, TOKEN_PATH):
        yield f"annotation {SOCKETS_FOLDER}: something else is mounted there; write another folder"
    yield from contradictions(injection.options)


def _metadata(pod: pod_kinds.Pod) -> kinds.ObjectMeta:
    return pod.get("metadata") or {}


def _labels(pod: pod_kinds.Pod) -> Mapping[str, str]:
    return _metadata(pod).get("labels") or {}


def _spec(pod: pod_kinds.Pod) -> pod_kinds.PodSpec:
    return pod.get("spec") or {}
