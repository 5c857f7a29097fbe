"""The status of a Component: conditions that give reasons, and counts of apps. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Final, Literal, NamedTuple

from pannier_crds.checks import is_served, secret_store_problems
from pannier_crds.problems import listed, metadata_path, quoted
from pannier_operator.objects.namespace_components import NamespaceComponents, generation_of, judge_alone, text_of
from pannier_operator.objects.references import references_of, unresolved_in
from pannier_operator.status.readiness import Trouble, trouble_of
from pannier_operator.status.reasons import CONDITIONS

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from datetime import datetime

    from pannier_crds.component import Component
    from pannier_crds.problems import Problem
    from pannier_operator.objects import kinds
    from pannier_operator.objects.namespace_components import Member
    from pannier_operator.status.readiness import App, Report
    from pannier_operator.status.reasons import NotAccepted, Reason

Truth = Literal["True", "False", "Unknown"]

STATUS_ANNOTATION: Final = "pannier.dev/status"
"""The status as JSON, on Components whose definition has no status subresource, such as Dapr's."""
_CONFLICTS: Final[Mapping[str, NotAccepted]] = {
    metadata_path("actorStateStore", "value"): "ActorStateStoreConflict",
    metadata_path("defaultStateStore", "value"): "DefaultStateStoreConflict",
}
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
    """Something that happened to a Component, for `kubectl describe`."""

    type: Literal["Normal", "Warning"]
    reason: str
    message: str


def status_of(
    component: kinds.Component,
    neighbours: NamespaceComponents | Iterable[kinds.Component],
    secrets: Mapping[str, Mapping[str, bytes]],
    apps: Mapping[str, App],
    reports: Mapping[str, Sequence[Report]],
    now: datetime,
) -> kinds.ComponentStatus:
    """Return the status that the Component should have.

    `neighbours` are the Components of its namespace, with or without itself; `secrets` the namespace's Secrets with
    their data decoded; `apps` the apps that have pods there by id; `reports` the reports of their running pods'
    sidecars. `now` becomes the transition time of conditions that have changed; the others keep theirs.
    """
    components = _with(component, neighbours)
    member = components.member(text_of(component, "name")) or judge_alone(component)
    accepted = member.accepted
    seeing = {app: apps[app] for app in sorted(apps) if accepted is not None and accepted.is_visible_to(app)}
    ready = [app for app in seeing if accepted is not None and not _not_ready(member, accepted, app, seeing, reports)]
    findings = _findings(member, components, secrets, seeing, reports)
    return {
        "observedGeneration": member.generation,
        "actor": accepted is not None and accepted.holds_actor_state,
        "apps": len(seeing),
        "appsReady": len(ready),
        "appsSummary": f"{len(ready)}/{len(seeing)}",
        "conditions": _conditions(component, findings, now),
    }


def differs(wanted: kinds.ComponentStatus, component: kinds.Component) -> bool:
    """Return whether the status must be written."""
    return component.get("status") != wanted


def is_current(component: kinds.Component) -> bool:
    """Return whether the Component's status is about its current generation."""
    status = component.get("status")
    return isinstance(status, Mapping) and status.get("observedGeneration") == generation_of(component)


def is_ready(component: kinds.Component) -> bool:
    """Return whether the Component's status says that every app has it ready."""
    return _by_type(component.get("status")).get("Ready", {}).get("status") == "True"


def events_between(before: object, after: kinds.ComponentStatus) -> list[Event]:
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


def _with(
    component: kinds.Component, neighbours: NamespaceComponents | Iterable[kinds.Component]
) -> NamespaceComponents:
    if isinstance(neighbours, NamespaceComponents):
        return neighbours
    name, namespace = text_of(component, "name"), text_of(component, "namespace")
    others = [other for other in neighbours if text_of(other, "name") != name]
    return NamespaceComponents.of([*others, component], namespace or None)


def _findings(
    member: Member,
    components: NamespaceComponents,
    secrets: Mapping[str, Mapping[str, bytes]],
    seeing: Mapping[str, App],
    reports: Mapping[str, Sequence[Report]],
) -> list[Finding]:
    accepted = _accepted(member)
    resolved = _resolved(member, components, secrets)
    delivered = _delivered(member, accepted, seeing)
    blocking = next((each for each in (accepted, resolved, delivered) if each.status != "True"), None)
    if blocking is not None:
        ready = Finding("False", blocking.reason, blocking.message)
    else:
        ready = _ready(member, seeing, reports)
    return [accepted, resolved, delivered, ready]


def _accepted(member: Member) -> Finding:
    component = member.component
    if component is not None and not is_served(component):
        return Finding("False", "NotServed", _joined(member.problems))
    if member.conflicts:
        known = (_CONFLICTS[each.field] for each in member.conflicts if each.field in _CONFLICTS)
        reason: NotAccepted = next(known, "Conflict")
        return Finding("False", reason, _joined(member.conflicts))
    if member.errors:
        return Finding("False", "Invalid", _joined(member.errors))
    if member.problems:
        return Finding("True", "Accepted", f"accepted, but {_joined(member.problems)}")
    return Finding("True", "Accepted", "nothing is wrong with it")


def _resolved(member: Member, components: NamespaceComponents, secrets: Mapping[str, Mapping[str, bytes]]) -> Finding:
    component = member.component
    if component is None or not is_served(component):
        return Finding("Unknown", "NotJudged", "it is not accepted, so its secrets are not looked up")
    missing = [lack.problem for lack in unresolved_in(component, secrets)]
    if missing:
        return Finding("False", "SecretMissing", _joined(missing))
    strange = list(secret_store_problems(component, components.accepted_or_left()))
    if strange:
        return Finding("False", "SecretStoreMissing", _joined(strange))
    count = len(references_of(component))
    if count:
        return Finding("True", "Resolved", f"{count} secret{'s' if count > 1 else ''} found")
    return Finding("True", "NotNeeded", "it refers to no Kubernetes Secret")


def _delivered(member: Member, accepted: Finding, seeing: Mapping[str, App]) -> Finding:
    if accepted.status != "True":
        return Finding("False", accepted.reason, "it is not accepted, so no app gets it")
    for app, state in seeing.items():
        for left_out in state.too_large:
            if left_out.component == member.name:
                return _too_large(app, left_out.size, left_out.total)
    waiting = [app for app, state in seeing.items() if not _has_current(member, state)]
    if refused := [app for app in waiting if seeing[app].refusal]:
        return _refused(refused, seeing)
    if waiting:
        return Finding("False", "Delivering", f"not yet in the Secret of {_apps(waiting)}")
    if not seeing:
        return Finding("True", "NotUsed", "no running app sees it")
    return Finding("True", "Delivered", f"in the Secret of {_apps(list(seeing))}")


def _has_current(member: Member, app: App) -> bool:
    """Return whether the app's Secret holds the component in its current generation.

    If the Secret cannot be written, the secrets that the component refers to may be outdated in it.
    """
    is_stale = bool(app.refusal) and member.component is not None and bool(references_of(member.component))
    return app.delivered.get(member.name) == member.generation and not is_stale


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


def _ready(member: Member, seeing: Mapping[str, App], reports: Mapping[str, Sequence[Report]]) -> Finding:
    component = member.accepted
    assert component is not None, "only what is accepted can be delivered"
    if not seeing:
        return Finding("True", "NotUsed", "no running app sees it")
    troubles = {app: _not_ready(member, component, app, seeing, reports) for app in seeing}
    found = [(app, trouble) for app, trouble in troubles.items() if trouble is not None]
    if not found:
        return Finding("True", "Ready", f"{_apps(list(seeing))} {'has' if len(seeing) == 1 else 'have'} it ready")
    worst = min(found, key=lambda each: each[1].rank)[1]
    lines = [f"{quoted(app)}: {trouble.message}" for app, trouble in found[:_MAX_NAMED]]
    more = f"; and {len(found) - len(lines)} more" if len(found) > len(lines) else ""
    return Finding("False", worst.reason, f"not ready in {len(found)} of {len(seeing)} apps: {'; '.join(lines)}{more}")


def _not_ready(
    member: Member,
    component: Component,
    app: str,
    seeing: Mapping[str, App],
    reports: Mapping[str, Sequence[Report]],
) -> Trouble | None:
    """Return what keeps one app from having the component ready; None if all its pods have it."""
    if not _has_current(member, seeing[app]):
        return Trouble("Delivering", "not yet in its Secret")
    if not component.is_state_store:  # sidecars report on stores only; a secret store is ready once its file is there
        return None
    return trouble_of(component.name, reports.get(app, ()))


def _conditions(component: kinds.Component, findings: Sequence[Finding], now: datetime) -> list[kinds.Condition]:
    earlier = _by_type(component.get("status"))
    generation = generation_of(component)
    time = now.strftime("%Y-%m-%dT%H:%M:%SZ")
    conditions: list[kinds.Condition] = []
    for type_, finding in zip(CONDITIONS, findings, strict=True):
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


def _by_type(status: object) -> dict[str, Mapping[str, object]]:
    conditions = status.get("conditions") if isinstance(status, Mapping) else None
    if not isinstance(conditions, list):
        return {}
    return {str(each.get("type")): each for each in conditions if isinstance(each, Mapping)}


def _joined(problems: Iterable[Problem]) -> str:
    return "; ".join(str(problem) for problem in problems)


def _apps(app_ids: Sequence[str]) -> str:
    if len(app_ids) > _MAX_NAMED:
        return f"{len(app_ids)} apps"
    return f"app{'s' if len(app_ids) > 1 else ''} {listed(app_ids)}"
