"""Events, for `kubectl describe`: changes of Components, and pods without their sidecar. Pure.

An Event's name is derived from its content, so creating it twice, by whichever replica, makes one Event.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from pannier_operator.status.conditions import Event

MISSED: Final = "SidecarMissing"
UNDELIVERED: Final = "ComponentsNotDelivered"
EVICTED: Final = "EvictedForSidecar"
MISTAKE: Final = "AnnotationWithoutEffect"
_REPORTER: Final = "pannier-operator"
_MAX_MESSAGE: Final = 1024
"""Kubernetes' limit for the message."""
_MAX_NAME_LENGTH: Final = 200
"""Characters of the object's name in the Event's: its limit is 253."""


def event_of_component(component: Mapping[str, Any], event: Event, status: Mapping[str, Any], now: datetime) -> Any:
    """Return an Event for one transition: the same trouble at another time is another Event."""
    about = {"apiVersion": "dapr.io/v1alpha1", "kind": "Component", **_reference(component)}
    times = [each["lastTransitionTime"] for each in status["conditions"] if each["reason"] == event.reason]
    return _event(about, event.type, event.reason, event.message, now, distinct=max(times, default=""))


def event_of_missed_pod(pod: Mapping[str, Any], now: datetime) -> Any:
    message = (
        "the annotation dapr.io/enabled asks for a sidecar and the pod has none, because Pannier's webhook could not "
        "be reached when it was created; delete the pod, so that its owner creates it again"
    )
    return _event({"apiVersion": "v1", "kind": "Pod", **_reference(pod)}, "Warning", MISSED, message, now)


def event_of_undelivered_pod(pod: Mapping[str, Any], why: str, now: datetime) -> Any:
    return _event({"apiVersion": "v1", "kind": "Pod", **_reference(pod)}, "Warning", UNDELIVERED, why, now)


def event_of_eviction(pod: Mapping[str, Any], now: datetime) -> Any:
    message = "evicted, so that its owner creates it again with the sidecar that it asks for"
    return _event({"apiVersion": "v1", "kind": "Pod", **_reference(pod)}, "Normal", EVICTED, message, now)


def event_of_mistake(about: Mapping[str, Any], namespace: str, mistake: str, now: datetime) -> Any:
    """Return an Event about the object with this reference: apiVersion, kind, name and uid, of a pod or an owner."""
    reference = {key: str(about[key]) for key in ("apiVersion", "kind", "name", "uid")}
    return _event({**reference, "namespace": namespace}, "Warning", MISTAKE, mistake, now)


def _reference(manifest: Mapping[str, Any]) -> dict[str, str]:
    return {key: manifest["metadata"][key] for key in ("name", "namespace", "uid")}


def _event(about: dict[str, str], kind: str, reason: str, message: str, now: datetime, distinct: str = "") -> Any:
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
