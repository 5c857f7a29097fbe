"""Label selectors as Kubernetes writes them: `matchLabels` and `matchExpressions`, all of which must hold. Pure.

https://kubernetes.io/docs/concepts/overview/working-with-objects/labels/#label-selectors
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

_OPERATORS: Final = ("In", "NotIn", "Exists", "DoesNotExist")


@dataclass(frozen=True)
class Requirement:
    """One entry of `matchExpressions`."""

    key: str
    operator: str
    values: tuple[str, ...] = ()

    def holds(self, labels: Mapping[str, str]) -> bool:
        """Return whether these labels satisfy it."""
        value = labels.get(self.key)
        if self.operator in ("Exists", "DoesNotExist"):
            return (value is not None) == (self.operator == "Exists")
        return (value in self.values) == (self.operator == "In")


@dataclass(frozen=True)
class LabelSelector:
    """Without requirements it selects everything."""

    requirements: tuple[Requirement, ...] = ()

    def matches(self, labels: Mapping[str, str]) -> bool:
        """Return whether these labels satisfy all requirements."""
        return all(requirement.holds(labels) for requirement in self.requirements)


def parse(text: str) -> LabelSelector:
    """Return the selector that a text of JSON describes. Raises ValueError that says what to write."""
    selector = json.loads(text)
    if not isinstance(selector, dict) or not set(selector) <= {"matchLabels", "matchExpressions"}:
        raise ValueError("write an object of matchLabels and matchExpressions")
    equal = (selector.get("matchLabels") or {}).items()
    requirements = [Requirement(key, "In", (value,)) for key, value in equal]
    return LabelSelector((*requirements, *map(_requirement, selector.get("matchExpressions") or ())))


def _requirement(expression: Any) -> Requirement:
    if not isinstance(expression, dict) or expression.get("operator") not in _OPERATORS or "key" not in expression:
        raise ValueError(f"write expressions of a key and an operator: {', '.join(_OPERATORS)}")
    return Requirement(expression["key"], expression["operator"], tuple(expression.get("values") or ()))
