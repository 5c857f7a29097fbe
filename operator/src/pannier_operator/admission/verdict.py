"""The answer to an admission request."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from pannier_operator.objects.namespace_components import metadata_of

if TYPE_CHECKING:
    from collections.abc import Iterable

    from pannier_crds.problems import Problem
    from pannier_operator.objects import kinds


_MAX_SHOWN: Final = 100
"""Errors that a refusal names, one in each line: an object may have thousands."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """Errors refuse the request; warnings are shown by kubectl. Each is one line without line breaks."""

    errors: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()

    @classmethod
    def of(cls, problems: Iterable[Problem]) -> Verdict:
        """Return the verdict for these problems, each of which is named once."""
        found = list(dict.fromkeys(problems))
        return cls(
            tuple(str(problem) for problem in found if problem.is_error),
            tuple(str(problem) for problem in found if not problem.is_error),
        )

    @property
    def is_admitted(self) -> bool:
        return not self.errors

    @property
    def refusal(self) -> str:
        """The errors as one text, which kubectl prints after "denied the request: "."""
        if len(self.errors) < 2:
            return "".join(self.errors)
        shown = [f"- {line}" for line in self.errors[:_MAX_SHOWN]]
        more = [f"- and {len(self.errors) - _MAX_SHOWN} more"] if len(self.errors) > _MAX_SHOWN else []
        return "\n".join((f"{len(self.errors)} problems", *shown, *more))


def is_left_alone(new: kinds.Configured, old: kinds.Configured) -> bool:
    """Return whether a change is admitted without a verdict.

    An object that is being deleted changes only by losing finalizers, which nothing may prevent. If only labels,
    annotations and the like differ, an error that was there before is no reason to refuse.
    """
    is_ending = bool(metadata_of(new).get("deletionTimestamp"))
    return is_ending or all(new.get(key) == old.get(key) for key in ("apiVersion", "kind", "spec", "auth", "scopes"))
