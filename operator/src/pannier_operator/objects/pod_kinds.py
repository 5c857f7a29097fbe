"""Pods, and the workloads that make them, as typed dictionaries with the fields that the operator reads or writes.

What `kinds` says of fields holds here too.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, TypedDict

from .kinds import Object

if TYPE_CHECKING:
    from collections.abc import Sequence

    from .kinds import ObjectMeta


class KeySelector(TypedDict, total=False):
    """A key of a Secret."""

    name: str
    key: str


class FieldSelector(TypedDict, total=False):
    fieldPath: str


class EnvVarSource(TypedDict, total=False):
    secretKeyRef: KeySelector
    fieldRef: FieldSelector


class EnvVar(TypedDict, total=False):
    name: str
    value: str
    valueFrom: EnvVarSource


class ContainerPort(TypedDict, total=False):
    name: str
    containerPort: int
    protocol: str


class VolumeMount(TypedDict, total=False):
    name: str
    mountPath: str
    readOnly: bool


class Resources(TypedDict, total=False):
    """Quantities by resource, such as `cpu`."""

    requests: dict[str, str]
    limits: dict[str, str]


class HttpGet(TypedDict):
    path: str
    port: int


class Probe(TypedDict, total=False):
    httpGet: HttpGet
    initialDelaySeconds: int
    timeoutSeconds: int
    periodSeconds: int
    failureThreshold: int


class Probes(TypedDict, total=False):
    """The probes of a container, which are one part of it."""

    startupProbe: Probe
    readinessProbe: Probe
    livenessProbe: Probe


class Capabilities(TypedDict, total=False):
    drop: list[str]


class SeccompProfile(TypedDict, total=False):
    type: str


class SecurityContext(TypedDict, total=False):
    allowPrivilegeEscalation: bool
    capabilities: Capabilities
    readOnlyRootFilesystem: bool
    runAsNonRoot: bool
    runAsUser: int
    seccompProfile: SeccompProfile


class Container(Probes, total=False):
    name: str
    image: str
    imagePullPolicy: str
    args: list[str]
    ports: list[ContainerPort]
    env: list[EnvVar]
    resources: Resources
    securityContext: SecurityContext
    terminationMessagePolicy: str
    volumeMounts: list[VolumeMount]
    restartPolicy: str


class KeyToPath(TypedDict):
    """A key of a Secret, and the file that has its value."""

    key: str
    path: str


class SecretVolume(TypedDict, total=False):
    secretName: str
    items: Sequence[KeyToPath]


class EmptyDir(TypedDict, total=False):
    medium: str
    sizeLimit: str


class Volume(TypedDict, total=False):
    name: str
    secret: SecretVolume
    emptyDir: EmptyDir


class Named(TypedDict, total=False):
    """A reference to an object of the same namespace. Also what all entries of a pod's lists have in common."""

    name: str


class PodOs(TypedDict, total=False):
    name: str


class PodSpec(TypedDict, total=False):
    containers: Sequence[Container]
    initContainers: Sequence[Container]
    volumes: Sequence[Volume]
    imagePullSecrets: Sequence[Named]
    terminationGracePeriodSeconds: int
    nodeSelector: dict[str, str]
    os: PodOs
    hostNetwork: bool


class PodCondition(TypedDict, total=False):
    type: str
    status: str


class PodStatus(TypedDict, total=False):
    phase: str | None
    podIP: str | None
    conditions: Sequence[PodCondition]


class Pod(Object, total=False):
    spec: PodSpec
    status: PodStatus


class CachedPod(Pod, total=False):
    """A pod as `ClusterCache` keeps it: without the fields that nothing depends on."""

    ready: str | None
    """The status of its condition `Ready`."""
    mistakes: tuple[str, ...]
    """What is wrong with its annotations."""
    configuration: str
    """The name of the Configuration that it mounts; empty for none."""


class PodTemplate(TypedDict, total=False):
    metadata: ObjectMeta
    spec: PodSpec


class JobTemplate(TypedDict, total=False):
    spec: WorkloadSpec


class WorkloadSpec(TypedDict, total=False):
    template: PodTemplate
    jobTemplate: JobTemplate
    """Of a CronJob."""


class Workload(Object, total=False):
    """A Deployment, StatefulSet, DaemonSet, Job or CronJob."""

    spec: WorkloadSpec
