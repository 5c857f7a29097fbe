"""What the statuses of all kinds have in common: conditions with reasons, counts of apps, and Events. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Final, Literal, NamedTuple

from pannier_crds.problems import listed, quoted
from pannier_operator.objects.namespace_components import generation_of
from pannier_operator.status.readiness import Trouble

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from datetime import datetime

    from pannier_crds.problems import Problem
    from pannier_operator.objects import kinds
    from pannier_operator.status.readiness import App
    from pannier_operator.status.reasons import Reason

Truth = Literal["True", "False", "Unknown"]

STATUS_ANNOTATION: Final = "pannier.dev/status"
"""The status as JSON, on objects whose definition has no status subresource, such as Dapr's."""
_PASSING: Final[frozenset[Reason]] = frozenset(("Delivering", "NotLoadedYet", "NoRunningPod"))
"""Reasons that every change passes through for a moment: they cause no Events."""
_MAX_NAMED: Final = 3
_MAX_MESSAGE: Final = 4096


class Finding(NamedTuple):
    """The content of one condition."""

    status: Truth
    reason: Reason
    message: str


class Event(NamedTuple):
    """Something that happened to an object, for `kubectl describe`."""

    type: Literal["Normal", "Warning"]
    reason: str
    message: str


def differs(wanted: kinds.Status, manifest: kinds.Configured) -> bool:
    """Return whether the status must be written."""
    return manifest.get("status") != wanted


def is_current(manifest: kinds.Configured) -> bool:
    """Return whether the object's status is about its current generation."""
    status = manifest.get("status")
    return isinstance(status, Mapping) and status.get("observedGeneration") == generation_of(manifest)


def is_ready(manifest: kinds.Configured) -> bool:
    """Return whether the object's status says that every app has it ready."""
    return _by_type(manifest.get("status")).get("Ready", {}).get("status") == "True"


def events_between(before: object, after: kinds.Status) -> list[Event]:
    """Return the Events for a change of status: conditions that became false, and Ready if it became true."""
    events = []
    earlier = _by_type(before)
    for type_, condition in _by_type(after).items():
        was = earlier.get(type_, {})
        if condition.get("status") == was.get("status") and condition.get("reason") == was.get("reason"):
            continue
        reason, message = str(condition.get("reason")), str(condition.get("message"))
        if condition.get("status") == "Unknown":
            continue
        if condition.get("status") == "True":
            if type_ == "Ready":
                events.append(Event("Normal", reason, message))
        elif reason not in _PASSING and all(event.reason != reason for event in events):  # Ready repeats what blocks it
            events.append(Event("Warning", reason, message))
    return events


def conditions_of(manifest: kinds.Configured, findings: Mapping[str, Finding], now: datetime) -> list[kinds.Condition]:
    """Return the conditions, by type. `now` becomes the transition time of those that have changed."""
    earlier = _by_type(manifest.get("status"))
    generation = generation_of(manifest)
    time = now.strftime("%Y-%m-%dT%H:%M:%SZ")
    conditions: list[kinds.Condition] = []
    for type_, finding in findings.items():
        was = earlier.get(type_, {})
        since = was.get("lastTransitionTime")
        conditions.append(
            {
                "type": type_,
                "status": finding.status,
                "reason": finding.reason,
                "message": finding.message[:_MAX_MESSAGE],
                "lastTransitionTime": since if isinstance(since, str) and was.get("status") == finding.status else time,
                "observedGeneration": generation,
            }
        )
    return conditions


def delivered(key: str, accepted: Finding, seeing: Mapping[str, App], has_current: Callable[[App], bool]) -> Finding:
    """Return whether the Secrets of these apps hold what is called `key` there, in its current generation."""
    if accepted.status != "True":
        return Finding("False", accepted.reason, "it is not accepted, so no app gets it")
    for app, state in seeing.items():
        for left_out in state.too_large:
            if left_out.key == key:
                return _too_large(app, left_out.size, left_out.total)
    waiting = [app for app, state in seeing.items() if not has_current(state)]
    if refused := [app for app in waiting if seeing[app].refusal]:
        return _refused(refused, seeing)
    if waiting:
        return Finding("False", "Delivering", f"not yet in the Secret of {_apps(waiting)}")
    if not seeing:
        return Finding("True", "NotUsed", "no running app sees it")
    return Finding("True", "Delivered", f"in the Secret of {_apps(list(seeing))}")


def ready(before: Iterable[Finding], troubles: Mapping[str, Trouble | None]) -> Finding:
    """Return whether all apps have an object ready. `before` are the conditions that must hold first; `troubles` has,
    for each app that sees it, what keeps the app from having it ready.
    """
    blocking = next((each for each in before if each.status != "True"), None)
    if blocking is not None:
        return Finding("False", blocking.reason, blocking.message)
    if not troubles:
        return Finding("True", "NotUsed", "no running app sees it")
    found = [(app, trouble) for app, trouble in troubles.items() if trouble is not None]
    if not found:
        return Finding("True", "Ready", f"{_apps(list(troubles))} {'has' if len(troubles) == 1 else 'have'} it ready")
    worst = min(found, key=lambda each: each[1].rank)[1]
    lines = [f"{quoted(app)}: {trouble.message}" for app, trouble in found[:_MAX_NAMED]]
    more = f"; and {len(found) - len(lines)} more" if len(found) > len(lines) else ""
    return Finding(
        "False", worst.reason, f"not ready in {len(found)} of {len(troubles)} apps: {'; '.join(lines)}{more}"
    )


def not_delivered() -> Trouble:
    return Trouble("Delivering", "not yet in its Secret")


def resolved(references: int) -> Finding:
    """Return that all secrets exist to which an object has this many references."""
    if references:
        return Finding("True", "Resolved", f"{references} secret{'s' if references > 1 else ''} found")
    return Finding("True", "NotNeeded", "it refers to no Kubernetes Secret")


def joined(problems: Iterable[Problem]) -> str:
    return "; ".join(str(problem) for problem in problems)


def _refused(refused: Sequence[str], seeing: Mapping[str, App]) -> Finding:
    reasons = dict.fromkeys(seeing[app].refusal for app in refused)
    return Finding("False", "SecretRefused", f"not given to {_apps(refused)}: {'; '.join(list(reasons)[:_MAX_NAMED])}")


def _too_large(app: str, size: int, total: int) -> Finding:
    message = (
        f"it has {_kib(size)}, and all components of app {quoted(app)} together have {_kib(total)} where a Secret "
        "holds 1024 KiB; make it smaller, or remove the app from the scopes of components that it does not need"
    )
    return Finding("False", "TooLarge", message)


def _kib(size: int) -> str:
    return f"{-(-size // 1024)} KiB"


def _by_type(status: object) -> dict[str, Mapping[str, object]]:
    conditions = status.get("conditions") if isinstance(status, Mapping) else None
    if not isinstance(conditions, list):
        return {}
    return {str(each.get("type")): each for each in conditions if isinstance(each, Mapping)}


def _apps(app_ids: Sequence[str]) -> str:
    if len(app_ids) > _MAX_NAMED:
        return f"{len(app_ids)} apps"
    return f"app{'s' if len(app_ids) > 1 else ''} {listed(app_ids)}"
