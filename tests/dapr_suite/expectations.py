"""What is expected of each case: that it passes, or that certain of its assertions fail for a reason."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from dapr_suite.output import Outcome


@dataclass(frozen=True, slots=True)
class Expectations:
    """The cases of `[suite]` in docs/dapr-compatibility.toml."""

    version: str
    passing: tuple[str, ...]
    failing: Mapping[str, frozenset[str]]
    """The lines that fail, for each case of which the rest passes."""
    rest: tuple[str, ...]
    """Cases that need what is not served, so that nothing of them is expected."""

    @classmethod
    def read(cls, suite: Mapping[str, Any]) -> Expectations:
        failing, rest = {}, []
        for exception in suite["exception"]:
            for case in exception["cases"].split():
                if "lines" in exception:
                    failing[case] = frozenset(exception["lines"].split())
                else:
                    rest.append(case)
        return cls(suite["version"], tuple(suite["passed"].split()), failing, tuple(rest))

    def cases(self, *, with_rest: bool) -> list[str]:
        return sorted((*self.passing, *self.failing, *(self.rest if with_rest else ())))


def judged(expectations: Expectations, case: str, outcome: Outcome) -> tuple[str, bool]:
    """Return how the case ended, in words, and whether that is expected."""
    excepted = expectations.failing.get(case)
    if outcome.passed:
        is_expected = case in expectations.passing
        return ("passed" if is_expected else "passed, although it is an exception: move it"), is_expected
    if not outcome.is_complete:
        return "broken off", case in expectations.rest
    if excepted is None:
        return f"failed at {', '.join(sorted(outcome.lines))}", case in expectations.rest
    others = outcome.lines - excepted
    if others:
        return f"failed, also at {', '.join(sorted(others))}", False
    return "passed but for the exceptions", True
