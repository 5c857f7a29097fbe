"""The status of a Configuration: conditions that give reasons, and counts of the apps whose pods name it. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pannier_operator.delivery.app_secret import configuration_key
from pannier_operator.objects.references import unresolved_of_configuration
from pannier_operator.status.findings import Finding, conditions_of, delivered, joined, not_delivered, ready, resolved
from pannier_operator.status.readiness import trouble_of_configuration

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime

    from pannier_operator.objects import kinds
    from pannier_operator.objects.namespace_configurations import ConfigurationMember
    from pannier_operator.status.readiness import App, Report, Trouble


def status_of_configuration(
    member: ConfigurationMember,
    secrets: Mapping[str, Mapping[str, bytes]],
    apps: Mapping[str, App],
    reports: Mapping[str, Sequence[Report]],
    now: datetime,
) -> kinds.Status:
    """Return the status that the object should have.

    `secrets` are the namespace's Secrets with their data decoded; `apps` the apps with pods that name the object, by
    id; `reports` the reports of those of their pods that do and run. `now` becomes the transition time of conditions
    that have changed; the others keep theirs.
    """
    using = {app: apps[app] for app in sorted(apps)}
    troubles = {app: _not_ready(member, state, reports.get(app, ())) for app, state in using.items()}
    count = sum(trouble is None for trouble in troubles.values()) if member.accepted is not None else 0
    return {
        "observedGeneration": member.generation,
        "apps": len(using),
        "appsReady": count,
        "appsSummary": f"{count}/{len(using)}",
        "conditions": conditions_of(member.manifest, _findings(member, secrets, using, troubles), now),
    }


def _findings(
    member: ConfigurationMember,
    secrets: Mapping[str, Mapping[str, bytes]],
    using: Mapping[str, App],
    troubles: Mapping[str, Trouble | None],
) -> dict[str, Finding]:
    accepted, found = _accepted(member), _resolved(member, secrets)
    in_secrets = delivered(configuration_key(member.name), accepted, using, lambda app: _has_current(member, app))
    return {
        "Accepted": accepted,
        "SecretsResolved": found,
        "Delivered": in_secrets,
        "Ready": ready((accepted, found, in_secrets), troubles),
    }


def _accepted(member: ConfigurationMember) -> Finding:
    if member.errors:
        return Finding("False", "Invalid", joined(member.errors))
    if member.problems:
        return Finding("True", "Accepted", f"accepted, but {joined(member.problems)}")
    return Finding("True", "Accepted", "nothing is wrong with it")


def _resolved(member: ConfigurationMember, secrets: Mapping[str, Mapping[str, bytes]]) -> Finding:
    if member.accepted is None:
        return Finding("Unknown", "NotJudged", "it is not accepted, so its secrets are not looked up")
    if problems := unresolved_of_configuration(member.accepted, secrets):
        return Finding("False", "SecretMissing", joined(problems))
    return resolved(len(member.accepted.secret_references))


def _has_current(member: ConfigurationMember, app: App) -> bool:
    return app.delivered.get(configuration_key(member.name)) == member.generation


def _not_ready(member: ConfigurationMember, app: App, reports: Sequence[Report]) -> Trouble | None:
    """Return what keeps one app from using the object; None if all its pods that name it do."""
    if not _has_current(member, app):
        return not_delivered()
    return trouble_of_configuration(member.name, member.generation, reports)
