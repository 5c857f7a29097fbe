"""Decides whether a Configuration may be created or changed, and warns where a pod names none. Nothing prevents its
deletion.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pannier_operator.admission.verdict import Verdict, is_left_alone
from pannier_operator.objects.app_ids import lacks_sidecar
from pannier_operator.objects.namespace_configurations import CONFIG_ANNOTATION, problem_with_name
from pannier_operator.objects.references import missing_secrets

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from pannier_operator.objects import kinds, pod_kinds
    from pannier_operator.objects.namespace_configurations import ConfigurationMember


def judge_configuration(
    member: ConfigurationMember | None,
    old: kinds.Configuration | None,
    known_secrets: Mapping[str, Collection[str]] | None,
) -> Verdict:
    """Return the verdict on one request. It is stateless, so a dry run gets the same verdict.

    `member` is the new object, None for DELETE; `old` is None for CREATE. `known_secrets` are the keys of the
    namespace's Secrets; with None references are not checked.
    """
    if member is None or (old is not None and is_left_alone(member.manifest, old)):
        return Verdict()
    problems = list(member.problems)
    if member.accepted is not None and known_secrets is not None:
        problems += missing_secrets(member.accepted, known_secrets)
    return Verdict.of(problems)


def named_by(pod: pod_kinds.Pod | None) -> str:
    """Return the Configuration that the sidecar of a new pod will need; empty for none, or for no possible name."""
    if pod is None or not lacks_sidecar(pod):
        return ""
    name = ((pod.get("metadata") or {}).get("annotations") or {}).get(CONFIG_ANNOTATION, "").strip()
    return "" if problem_with_name(name) else name
