"""Variables in the text of a Configuration's file, replaced as Go's `os.ExpandEnv` does, as daprd does."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

from msgspec import Struct

from pannier_crds.problems import Problem, warning

_REFERENCE: Final = re.compile(r"\$(?:\{([^}]*)\}|(\{)|([*#$@!?0-9-])|(\w+))", re.ASCII)
_SHARED: Final = 8
"""A message that has this many characters in a row of a variable's value may not be shown."""


class Expanded(Struct, frozen=True):
    """A text whose variables are replaced."""

    text: str
    values: Mapping[str, str] = {}
    """The values that were put in, by the names of their variables."""
    remarks: tuple[Problem, ...] = ()

    def without_values(self, problem: Problem) -> Problem:
        """Return a problem whose words quote no value of a variable: it may be a secret."""
        words = f"{problem.field} {problem.text}"
        if not any(_share(value, words) for value in self.values.values()):
            return problem
        names = ", ".join(sorted(self.values))
        message = f"what a variable was replaced by ({names}) can't be used here"
        return Problem(problem.severity, "", message, "correct the variable", problem.line)


def expand(text: str, environment: Mapping[str, str]) -> Expanded:
    """Replace `$NAME` and `${NAME}`; a variable that is not set by nothing, which a remark says."""
    values: dict[str, str] = {}
    remarks: list[Problem] = []

    def value_of(match: re.Match[str]) -> str:
        name = match[1] or match[3] or match[4] or ""
        value = environment.get(name, "")
        if value:
            values[name] = value
        elif name.isidentifier():
            line = text.count("\n", 0, match.start()) + 1
            problem = warning("", f"the variable {name[:100]} is not set, so nothing is written in its place")
            remarks.append(Problem(problem.severity, "", problem.message, line=line))
        return value

    return Expanded(_REFERENCE.sub(value_of, text), values, tuple(remarks))


def _share(value: str, words: str) -> bool:
    return any(value[at : at + _SHARED] in words for at in range(len(value) - _SHARED + 1))
