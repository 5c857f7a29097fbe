"""What a namespace's LimitRanges and ResourceQuotas would refuse in a sidecar, as errors that name the annotation.
Pure.

The API server checks them after the webhooks, and its message names no annotation. The pod's controller would retry for
ever, and it would be unclear that the sidecar is the reason.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING, Final, NamedTuple

from pannier_crds.problems import quoted
from pannier_operator.objects.quantities import amount_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from pannier_operator.objects import kinds, pod_kinds

_RESOURCES: Final = ("cpu", "memory")
_EXAMPLES: Final = {"cpu": "100m", "memory": "128Mi"}
_QUOTA_NAMES: Final = {("requests", resource): (f"requests.{resource}", resource) for resource in _RESOURCES} | {
    ("limits", resource): (f"limits.{resource}",) for resource in _RESOURCES
}
"""The names that a quota has for each bound."""


@dataclass(frozen=True)
class NamespaceBounds:
    """The LimitRanges and ResourceQuotas of a namespace, as the API server gives them."""

    limit_ranges: Sequence[kinds.LimitRange] = ()
    quotas: Sequence[kinds.ResourceQuota] = ()

    @property
    def are_any(self) -> bool:
        return bool(self.limit_ranges or self.quotas)


NO_BOUNDS: Final = NamespaceBounds()


def objections(resources: pod_kinds.Resources, bounds: NamespaceBounds) -> Iterator[str]:
    """Yield what would refuse a sidecar with these requests and limits, whatever else is in its pod."""
    items = [(each, item) for each in bounds.limit_ranges for item in _items(each)]
    filled = _with_defaults(resources, [item for _, item in items])
    for limit_range, item in items:
        name = quoted(limit_range["metadata"]["name"])
        for resource in _RESOURCES:
            yield from _against_range(filled, item, resource, name)
    for quota in bounds.quotas:
        yield from _against_quota(filled, quota)


def _items(limit_range: kinds.LimitRange) -> Iterator[kinds.LimitRangeItem]:
    for item in (limit_range.get("spec") or {}).get("limits") or ():
        if item.get("type") == "Container":
            yield item


def _with_defaults(resources: pod_kinds.Resources, items: Sequence[kinds.LimitRangeItem]) -> dict[tuple[str, str], str]:
    """Return the requests and limits after the API server has filled in what the sidecar leaves out."""
    filled = {("requests", resource): text for resource, text in (resources.get("requests") or {}).items()}
    filled |= {("limits", resource): text for resource, text in (resources.get("limits") or {}).items()}
    for item in items:
        for resource in _RESOURCES:
            limit = (item.get("default") or {}).get(resource)
            if limit is not None:
                filled.setdefault(("limits", resource), limit)
            request = (item.get("defaultRequest") or {}).get(resource) or filled.get(("limits", resource))
            if request is not None:
                filled.setdefault(("requests", resource), request)
    return filled


def _against_range(
    filled: Mapping[tuple[str, str], str], item: kinds.LimitRangeItem, resource: str, name: str
) -> Iterator[str]:
    for bounds, kind, is_over in ((item.get("max"), "limits", True), (item.get("min"), "requests", False)):
        bound = (bounds or {}).get(resource)
        if bound is None:
            continue
        given = filled.get((kind, resource))
        what, advice = f"{resource} {kind[:-1]}", f"{_way_out(kind, resource)}: '{bound}'"
        if given is None:
            yield f"the sidecar has no {what} and LimitRange {name} requires one; {advice}"
        elif (_amount(given) > _amount(bound)) if is_over else (_amount(given) < _amount(bound)):
            bounded = "allows at most" if is_over else "requires at least"
            yield f"the sidecar's {what} is {given} and LimitRange {name} {bounded} {bound}; {advice}"


def _against_quota(filled: Mapping[tuple[str, str], str], quota: kinds.ResourceQuota) -> Iterator[str]:
    spec = quota.get("spec") or {}
    if spec.get("scopes") or spec.get("scopeSelector"):
        return  # it may not be about this pod
    name = quoted(quota["metadata"]["name"])
    hard = spec.get("hard") or {}
    used = (quota.get("status") or {}).get("used") or {}
    for (kind, resource), names in _QUOTA_NAMES.items():
        for bounded in names:
            if bounded in hard:
                left = _Left(hard[bounded], used.get(bounded, "0"))
                yield from _against_sum(filled.get((kind, resource)), left, kind, resource, name)


class _Left(NamedTuple):
    """What a quota allows in all, and what is used of it."""

    hard: str
    used: str


def _against_sum(given: str | None, left: _Left, kind: str, resource: str, name: str) -> Iterator[str]:
    what, advice = f"{resource} {kind[:-1]}", f"{_way_out(kind, resource)}: '{_EXAMPLES[resource]}'"
    if given is None:
        yield f"the sidecar has no {what} and ResourceQuota {name} requires one; {advice}"
    elif _amount(given) > _amount(left.hard) - _amount(left.used):
        yield (
            f"the sidecar's {what} of {given} is more than ResourceQuota {name} has left ({left.used} of {left.hard} "
            f"are used); raise the quota, or write a smaller one into dapr.io/sidecar-{resource}-{kind[:-1]}"
        )


def _way_out(kind: str, resource: str) -> str:
    return f"write the annotation dapr.io/sidecar-{resource}-{kind[:-1]}"


def _amount(quantity: str) -> Decimal:
    try:
        return amount_of(quantity)
    except ValueError:
        return Decimal(0)
