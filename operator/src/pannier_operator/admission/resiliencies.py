"""Decides whether a Resiliency may be created or changed. Nothing prevents its deletion."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Final

from pannier_crds.problems import error, quoted, warning
from pannier_crds.resiliency_policies import remarks_among
from pannier_operator.admission.verdict import Verdict, is_left_alone
from pannier_operator.delivery.app_secret import MAX_BYTES
from pannier_operator.objects.namespace_components import text_of
from pannier_operator.objects.namespace_resiliencies import NamespaceResiliencies

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from pannier_crds.problems import Problem
    from pannier_crds.resiliency import Resiliency
    from pannier_operator.objects import kinds

_MAX_REMARKS: Final = 10
"""Warnings about targets that no component has."""


def judge_resiliency(
    new: kinds.Resiliency | None,
    old: kinds.Resiliency | None,
    others: Iterable[kinds.Resiliency],
    components: Iterable[kinds.Component],
    *,
    admits_unknown_names: bool = False,
) -> Verdict:
    """Return the verdict on one request. It is stateless, so a dry run gets the same verdict.

    `new` is None for DELETE, `old` for CREATE. `others` are the Resiliency objects of the namespace, with or without
    the object itself, and `components` its Components. With `admits_unknown_names` unknown names of policies cause only
    warnings, as in profile dapr.
    """
    if new is None or (old is not None and is_left_alone(new, old)):
        return Verdict()
    if too_large := list(_too_large(new)):
        return Verdict.of(too_large)
    name = text_of(new, "name")
    judged = NamespaceResiliencies(
        [*(other for other in others if text_of(other, "name") != name), new], admits_unknown_names=admits_unknown_names
    )
    member = judged.member(name)
    if member is None:
        return Verdict()
    problems = [*member.problems, *member.unknown]
    if member.resiliency is not None:
        problems += _targets_without_component(member.resiliency, components)
    return Verdict.of(problems)


def _targets_without_component(resiliency: Resiliency, components: Iterable[kinds.Component]) -> Iterator[Problem]:
    """Yield a warning for each target that names no component of the namespace: it may be created later."""
    types = {text_of(each, "name"): _type_of(each) for each in components}
    stores = [name for name, its_type in types.items() if its_type.startswith("state.")]
    misspelt = {problem.field: problem for problem in remarks_among(resiliency, stores, types)}
    missing = [name for name in resiliency.components if name not in types]
    for name in missing[:_MAX_REMARKS]:
        field = f"spec.targets.components.{name}"
        message = f"there is no component {quoted(name)} yet, so the target has no effect"
        yield misspelt.get(field) or warning(field, message, "create it, or take the target out")


def _type_of(component: kinds.Component) -> str:
    spec = component.get("spec")
    its_type = spec.get("type") if isinstance(spec, dict) else None
    return its_type.strip().lower() if isinstance(its_type, str) else ""


def _too_large(new: kinds.Resiliency) -> Iterator[Problem]:
    """Yield an error if the object alone does not fit into a Secret. If only several do not fit, its status says so."""
    size = len(json.dumps(new.get("spec"), ensure_ascii=False).encode())
    if size > MAX_BYTES:
        message = f"the object has {size // 1024} KiB, and all components of an app together may have 1024 KiB"
        yield error("spec", message, "make it smaller")
