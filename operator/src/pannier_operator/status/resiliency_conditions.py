"""The status of a Resiliency: conditions that give reasons, the stores that it is for, and counts of apps. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from pannier_operator.delivery.app_secret import resiliency_key
from pannier_operator.status.findings import Finding, conditions_of, delivered, joined, not_delivered, ready
from pannier_operator.status.readiness import trouble_of_resiliency

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime

    from pannier_operator.objects import kinds
    from pannier_operator.objects.namespace_components import NamespaceComponents
    from pannier_operator.objects.namespace_resiliencies import NamespaceResiliencies, ResiliencyMember
    from pannier_operator.status.readiness import App, Report, Trouble

_MAX_STORES: Final = 64
_MAX_NAMED: Final = 3


def status_of_resiliency(
    member: ResiliencyMember,
    resiliencies: NamespaceResiliencies,
    components: NamespaceComponents,
    apps: Mapping[str, App],
    reports: Mapping[str, Sequence[Report]],
    now: datetime,
) -> kinds.ResiliencyStatus:
    """Return the status that the object should have.

    `apps` are the apps that have pods in the namespace by id, and `reports` the reports of their running pods'
    sidecars. `now` becomes the transition time of conditions that have changed; the others keep theirs.
    """
    accepted = member.accepted
    seeing = {app: apps[app] for app in sorted(apps) if accepted is not None and accepted.is_visible_to(app)}
    troubles = {app: _not_ready(member, state, reports.get(app, ())) for app, state in seeing.items()}
    count = sum(trouble is None for trouble in troubles.values())
    stores = _stores(member, resiliencies, components)
    return {
        "observedGeneration": member.generation,
        "stores": stores[:_MAX_STORES],
        "storesSummary": _summary(stores),
        "apps": len(seeing),
        "appsReady": count,
        "appsSummary": f"{count}/{len(seeing)}",
        "conditions": conditions_of(member.manifest, _findings(member, seeing, troubles), now),
    }


def _stores(
    member: ResiliencyMember, resiliencies: NamespaceResiliencies, components: NamespaceComponents
) -> list[str]:
    """Return the state stores that get a policy from it, in an app that sees both."""
    accepted = member.accepted
    if accepted is None:
        return []
    scopes = set(accepted.scopes)
    found = [
        each.name
        for each in components.accepted()
        if each.is_state_store and (not scopes or not each.scopes or scopes.intersection(each.scopes))
    ]
    return sorted(name for name in found if resiliencies.gives_policy(accepted, name))


def _summary(stores: Sequence[str]) -> str:
    named = ", ".join(stores[:_MAX_NAMED])
    return f"{named} and {len(stores) - _MAX_NAMED} more" if len(stores) > _MAX_NAMED else named


def _findings(
    member: ResiliencyMember, seeing: Mapping[str, App], troubles: Mapping[str, Trouble | None]
) -> dict[str, Finding]:
    accepted = _accepted(member)
    in_secrets = delivered(resiliency_key(member.name), accepted, seeing, lambda app: _has_current(member, app))
    return {"Accepted": accepted, "Delivered": in_secrets, "Ready": ready((accepted, in_secrets), troubles)}


def _accepted(member: ResiliencyMember) -> Finding:
    problems = (*member.problems, *member.unknown)
    if member.errors:
        is_alone = any(problem.is_error for problem in member.problems)
        return Finding("False", "Invalid" if is_alone else "UnknownPolicy", joined(member.errors))
    if problems:
        return Finding("True", "Accepted", f"accepted, but {joined(problems)}")
    return Finding("True", "Accepted", "nothing is wrong with it")


def _has_current(member: ResiliencyMember, app: App) -> bool:
    return app.delivered.get(resiliency_key(member.name)) == member.generation


def _not_ready(member: ResiliencyMember, app: App, reports: Sequence[Report]) -> Trouble | None:
    """Return what keeps one app from using the object; None if all its pods do."""
    return trouble_of_resiliency(member.name, reports) if _has_current(member, app) else not_delivered()
