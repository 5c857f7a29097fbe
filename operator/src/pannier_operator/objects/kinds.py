"""Kubernetes' objects as typed dictionaries, with the fields that the operator reads or writes.

Any field may be absent or null, and the API server may send fields that are not named here. A field that only users
write, such as a Component's `spec`, has type `object`: it may have any shape. The fields are documented at
https://kubernetes.io/docs/reference/kubernetes-api/.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, TypedDict

if TYPE_CHECKING:
    from collections.abc import Sequence


class OwnerReference(TypedDict, total=False):
    apiVersion: str
    kind: str
    name: str
    uid: str
    controller: bool


class ManagedFields(TypedDict, total=False):
    """Which client wrote an object, and when."""

    manager: str
    time: str


class ObjectMeta(TypedDict, total=False):
    name: str
    generateName: str
    namespace: str
    uid: str
    resourceVersion: str
    generation: int
    creationTimestamp: str
    deletionTimestamp: str
    labels: dict[str, str]
    annotations: dict[str, str]
    ownerReferences: Sequence[OwnerReference]
    finalizers: Sequence[str]
    managedFields: Sequence[ManagedFields]


class Object(TypedDict, total=False):
    """What all kinds have in common."""

    apiVersion: str
    kind: str
    metadata: ObjectMeta


class Namespace(Object, total=False):
    pass


# --- Components, Resiliency objects and Configurations ----------------------------------------------------------------


class Condition(TypedDict):
    type: str
    status: str
    reason: str
    message: str
    lastTransitionTime: str
    observedGeneration: int


class Status(TypedDict):
    """A status as the operator writes it, of any kind that it reports on."""

    observedGeneration: int
    apps: int
    appsReady: int
    appsSummary: str
    conditions: list[Condition]


class ComponentStatus(Status):
    actor: bool


class ResiliencyStatus(Status):
    stores: list[str]
    storesSummary: str


class Configured(Object, total=False):
    """What users write and the operator reports on. Users may write a status too, in an annotation."""

    spec: object
    scopes: object
    status: object


class Component(Configured, total=False):
    """`pannier_crds.Component` reads its parts."""

    auth: object


class Resiliency(Configured, total=False):
    """`pannier_crds.resiliency.Resiliency` reads its parts."""


class Configuration(Configured, total=False):
    """`pannier_crds.configuration.Configuration` reads its parts."""


# --- Secrets, Leases, Events ------------------------------------------------------------------------------------------


class Secret(Object, total=False):
    type: str
    data: dict[str, str]
    """Values in base64."""


class CachedSecret(Secret, total=False):
    """A Secret as `ClusterCache` keeps it. `data` has digests of the values of our own Secrets, and nothing of
    others'.
    """

    changed: str
    """When it was last written, in whole seconds; only of our own."""


class LeaseSpec(TypedDict, total=False):
    holderIdentity: str
    leaseDurationSeconds: int
    acquireTime: str
    renewTime: str
    leaseTransitions: int


class Lease(Object, total=False):
    spec: LeaseSpec


class ObjectReference(TypedDict, total=False):
    apiVersion: str
    kind: str
    name: str
    namespace: str
    uid: str


class EventSource(TypedDict, total=False):
    component: str


class Event(Object, total=False):
    involvedObject: ObjectReference
    type: str
    reason: str
    message: str
    firstTimestamp: str
    lastTimestamp: str
    count: int
    source: EventSource
    reportingComponent: str
    reportingInstance: str


# --- bounds of a namespace --------------------------------------------------------------------------------------------


class LimitRangeItem(TypedDict, total=False):
    """Quantities by resource, for one type of object."""

    type: str
    default: dict[str, str]
    defaultRequest: dict[str, str]
    max: dict[str, str]
    min: dict[str, str]


class LimitRangeSpec(TypedDict, total=False):
    limits: Sequence[LimitRangeItem]


class LimitRange(Object, total=False):
    spec: LimitRangeSpec


class ResourceQuotaSpec(TypedDict, total=False):
    hard: dict[str, str]
    scopes: Sequence[str]
    scopeSelector: object


class ResourceQuotaStatus(TypedDict, total=False):
    used: dict[str, str]


class ResourceQuota(Object, total=False):
    spec: ResourceQuotaSpec
    status: ResourceQuotaStatus


# --- admission --------------------------------------------------------------------------------------------------------


class ClientConfig(TypedDict, total=False):
    caBundle: str


class Webhook(TypedDict, total=False):
    name: str
    clientConfig: ClientConfig


class WebhookConfiguration(Object, total=False):
    """A ValidatingWebhookConfiguration or a MutatingWebhookConfiguration."""

    webhooks: list[Webhook]


class AdmissionRequest(TypedDict, total=False):
    uid: str
    operation: Literal["CREATE", "UPDATE", "DELETE"]
    namespace: str
    object: Any
    """What the webhook's path says: a Component, a Resiliency, a Configuration or a workload; None for a deletion."""
    oldObject: Any
    userInfo: dict[str, Any]


class AdmissionResponse(TypedDict, total=False):
    uid: str
    allowed: bool
    warnings: list[str]
    status: dict[str, str | int]


class AdmissionReview(TypedDict, total=False):
    apiVersion: str
    kind: str
    request: AdmissionRequest
    response: AdmissionResponse


# --- the server -------------------------------------------------------------------------------------------------------


class ServerVersion(TypedDict, total=False):
    """The answer to GET /version."""

    major: str
    minor: str
