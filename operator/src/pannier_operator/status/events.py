"""Events, for `kubectl describe`: changes of objects that users write, and pods without their sidecar or Configuration.
Pure.

An Event's name is derived from its content, so creating it twice, by whichever replica, makes one Event.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from datetime import datetime

    from pannier_operator.objects import kinds, pod_kinds
    from pannier_operator.status.findings import Event

MISSED: Final = "SidecarMissing"
UNDELIVERED: Final = "ComponentsNotDelivered"
UNCONFIGURED: Final = "ConfigurationMissing"
EVICTED: Final = "EvictedForSidecar"
MISTAKE: Final = "AnnotationWithoutEffect"
_REPORTER: Final = "pannier-operator"
_MAX_MESSAGE: Final = 1024
"""Kubernetes' limit for the message."""
_MAX_NAME_LENGTH: Final = 200
"""Characters of the object's name in the Event's: its limit is 253."""


def event_of_transition(
    kind: str, manifest: kinds.Configured, event: Event, status: kinds.Status, now: datetime
) -> kinds.Event:
    """Return an Event for one transition: the same trouble at another time is another Event."""
    metadata = manifest["metadata"]
    about = _reference("dapr.io/v1alpha1", kind, metadata["namespace"], metadata["name"], metadata["uid"])
    times = [each["lastTransitionTime"] for each in status["conditions"] if each["reason"] == event.reason]
    return _event(about, event.type, event.reason, event.message, now, distinct=max(times, default=""))


def event_of_missed_pod(pod: pod_kinds.Pod, now: datetime) -> kinds.Event:
    message = (
        "the annotation dapr.io/enabled asks for a sidecar and the pod has none, because Pannier's webhook could not "
        "be reached when it was created; delete the pod, so that its owner creates it again"
    )
    return _event(_reference_to_pod(pod), "Warning", MISSED, message, now)


def event_of_undelivered_pod(pod: pod_kinds.Pod, why: str, now: datetime) -> kinds.Event:
    return _event(_reference_to_pod(pod), "Warning", UNDELIVERED, why, now)


def event_of_unconfigured_pod(pod: pod_kinds.Pod, why: str, now: datetime) -> kinds.Event:
    return _event(_reference_to_pod(pod), "Warning", UNCONFIGURED, why, now)


def event_of_eviction(pod: pod_kinds.Pod, now: datetime) -> kinds.Event:
    message = "evicted, so that its owner creates it again with the sidecar that it asks for"
    return _event(_reference_to_pod(pod), "Normal", EVICTED, message, now)


def event_of_mistake(about: kinds.OwnerReference, namespace: str, mistake: str, now: datetime) -> kinds.Event:
    """Return an Event about a pod, or about an owner of pods."""
    reference = _reference(about["apiVersion"], about["kind"], namespace, about["name"], about["uid"])
    return _event(reference, "Warning", MISTAKE, mistake, now)


def _reference_to_pod(pod: pod_kinds.Pod) -> kinds.ObjectReference:
    metadata = pod["metadata"]
    return _reference("v1", "Pod", metadata["namespace"], metadata["name"], metadata["uid"])


def _reference(version: str, kind: str, namespace: str, name: str, uid: str) -> kinds.ObjectReference:
    return {"apiVersion": version, "kind": kind, "name": name, "namespace": namespace, "uid": uid}


def _event(
    about: kinds.ObjectReference, kind: str, reason: str, message: str, now: datetime, distinct: str = ""
) -> kinds.Event:
    words = "\0".join((about["uid"], reason, message, distinct))
    mark = hashlib.sha256(words.encode()).hexdigest()[:16]
    time = now.strftime("%Y-%m-%dT%H:%M:%SZ")
    return {
        "apiVersion": "v1",
        "kind": "Event",
        "metadata": {"name": f"{about['name'][:_MAX_NAME_LENGTH]}.{mark}", "namespace": about["namespace"]},
        "involvedObject": about,
        "type": kind,
        "reason": reason,
        "message": message[:_MAX_MESSAGE],
        "firstTimestamp": time,
        "lastTimestamp": time,
        "count": 1,
        "source": {"component": _REPORTER},
        "reportingComponent": _REPORTER,
        "reportingInstance": _REPORTER,
    }
