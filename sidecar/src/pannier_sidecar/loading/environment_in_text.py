"""Variables in the text of a Configuration's file, replaced as Go's `os.ExpandEnv` does, as daprd does."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

from msgspec import Struct

from pannier_crds.problems import Problem

_REFERENCE: Final = re.compile(r"\$(?:\{([^}]*)\}|(\{)|([*#$@!?0-9-])|(\w+))", re.ASCII)
_SHARED: Final = 8
"""A message that has this many characters in a row of a variable's value may not be shown."""
_MAX_CHARS: Final = 1024 * 1024
"""Maximum of characters that variables may add; a file of Components may not be larger either."""
_MAX_REMARKS: Final = 100


class TooLargeError(ValueError):
    """The text would be too large with its variables."""


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
    """Replace `$NAME` and `${NAME}`; a variable that is not set by nothing, which a remark says.

    Raises TooLargeError.
    """
    values: dict[str, str] = {}
    remarks: dict[str, Problem] = {}
    added = 0

    def value_of(match: re.Match[str]) -> str:
        nonlocal added
        name = match[1] or match[3] or match[4] or ""
        value = environment.get(name, "")
        added += len(value)
        if added > _MAX_CHARS:
            raise TooLargeError
        if value:
            values[name] = value
        elif name.isidentifier() and name not in remarks and len(remarks) < _MAX_REMARKS:
            line = text.count("\n", 0, match.start()) + 1
            message = f"the variable {name[:100]} is not set, so nothing is written in its place"
            remarks[name] = Problem("warning", "", message, line=line)
        return value

    return Expanded(_REFERENCE.sub(value_of, text), values, tuple(remarks.values()))


def _share(value: str, words: str) -> bool:
    return any(value[at : at + _SHARED] in words for at in range(len(value) - _SHARED + 1))
