"""The status of a Component: conditions that give reasons, and counts of apps. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from pannier_crds.checks import is_served, secret_store_problems
from pannier_crds.problems import metadata_path
from pannier_operator.objects.namespace_components import NamespaceComponents, judge_alone, text_of
from pannier_operator.objects.references import references_of, unresolved_in
from pannier_operator.status.findings import Finding, conditions_of, delivered, joined, not_delivered, ready, resolved
from pannier_operator.status.readiness import trouble_of
from pannier_operator.status.reasons import CONDITIONS

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from datetime import datetime

    from pannier_crds.component import Component
    from pannier_operator.objects import kinds
    from pannier_operator.objects.namespace_components import Member
    from pannier_operator.status.readiness import App, Report, Trouble
    from pannier_operator.status.reasons import NotAccepted

_CONFLICTS: Final[Mapping[str, NotAccepted]] = {
    metadata_path("actorStateStore", "value"): "ActorStateStoreConflict",
    metadata_path("defaultStateStore", "value"): "DefaultStateStoreConflict",
}


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
    troubles = {app: _not_ready(member, accepted, app, seeing, reports) for app in seeing if accepted is not None}
    count = sum(trouble is None for trouble in troubles.values())
    findings = _findings(member, components, secrets, seeing, troubles)
    return {
        "observedGeneration": member.generation,
        "actor": accepted is not None and accepted.holds_actor_state,
        "apps": len(seeing),
        "appsReady": count,
        "appsSummary": f"{count}/{len(seeing)}",
        "conditions": conditions_of(component, dict(zip(CONDITIONS, findings, strict=True)), now),
    }


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
    troubles: Mapping[str, Trouble | None],
) -> list[Finding]:
    accepted = _accepted(member)
    resolved = _resolved(member, components, secrets)
    in_secrets = delivered(member.name, accepted, seeing, lambda app: _has_current(member, app))
    return [accepted, resolved, in_secrets, ready((accepted, resolved, in_secrets), troubles)]


def _accepted(member: Member) -> Finding:
    component = member.component
    if component is not None and not is_served(component):
        return Finding("False", "NotServed", joined(member.problems))
    if member.conflicts:
        known = (_CONFLICTS[each.field] for each in member.conflicts if each.field in _CONFLICTS)
        reason: NotAccepted = next(known, "Conflict")
        return Finding("False", reason, joined(member.conflicts))
    if member.errors:
        return Finding("False", "Invalid", joined(member.errors))
    if member.problems:
        return Finding("True", "Accepted", f"accepted, but {joined(member.problems)}")
    return Finding("True", "Accepted", "nothing is wrong with it")


def _resolved(member: Member, components: NamespaceComponents, secrets: Mapping[str, Mapping[str, bytes]]) -> Finding:
    component = member.component
    if component is None or not is_served(component):
        return Finding("Unknown", "NotJudged", "it is not accepted, so its secrets are not looked up")
    missing = [lack.problem for lack in unresolved_in(component, secrets)]
    if missing:
        return Finding("False", "SecretMissing", joined(missing))
    strange = list(secret_store_problems(component, components.accepted_or_left()))
    if strange:
        return Finding("False", "SecretStoreMissing", joined(strange))
    return resolved(len(references_of(component)))


def _has_current(member: Member, app: App) -> bool:
    """Return whether the app's Secret holds the component in its current generation.

    If the Secret cannot be written, the secrets that the component refers to may be outdated in it.
    """
    is_stale = bool(app.refusal) and member.component is not None and bool(references_of(member.component))
    return app.delivered.get(member.name) == member.generation and not is_stale


def _not_ready(
    member: Member,
    component: Component,
    app: str,
    seeing: Mapping[str, App],
    reports: Mapping[str, Sequence[Report]],
) -> Trouble | None:
    """Return what keeps one app from having the component ready; None if all its pods have it."""
    if not _has_current(member, seeing[app]):
        return not_delivered()
    if not component.is_state_store:  # sidecars report on stores only; a secret store is ready once its file is there
        return None
    return trouble_of(component.name, reports.get(app, ()))
