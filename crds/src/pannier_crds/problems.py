"""What is wrong with a component, in words that say what to write instead."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from collections.abc import Iterable

Severity = Literal["error", "warning"]

_MAX_QUOTE = 60


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is wrong (`error`: the component is refused) or doubtful (`warning`: it is served).

    `field` is a path such as `spec.metadata[redisHost].value`: a list entry goes by its `name` or its index, and
    an empty path is the whole document. `line` counts from 1; None until a document has placed the problem.
    """

    severity: Severity
    field: str
    message: str
    advice: str = ""
    line: int | None = None

    @property
    def is_error(self) -> bool:
        return self.severity == "error"

    @property
    def text(self) -> str:
        """What is wrong and what to write instead, in one line."""
        return f"{self.message}; {self.advice}" if self.advice else self.message

    def __str__(self) -> str:
        return f"{self.field}: {self.text}" if self.field else self.text


class InvalidValueError(Exception):
    """A text that a field does not take: what is wrong with it, and what to write. Neither quotes the text."""

    def __init__(self, message: str, advice: str) -> None:
        super().__init__(message, advice)
        self.message = message
        self.advice = advice


class InvalidManifestError(ValueError):
    """A manifest that is not a component; `problems` holds everything that is wrong with it."""

    def __init__(self, problems: Iterable[Problem]) -> None:
        self.problems = tuple(problems)
        super().__init__("; ".join(str(problem) for problem in self.problems))


def error(field: str, message: str, advice: str = "") -> Problem:
    return Problem("error", field, message, advice)


def warning(field: str, message: str, advice: str = "") -> Problem:
    return Problem("warning", field, message, advice)


def metadata_path(name: str, *further: str) -> str:
    """Return the path of a metadata entry: (`redisHost`, `value`) gives `spec.metadata[redisHost].value`."""
    return ".".join((f"spec.metadata[{one_line(name)}]", *further))


def one_line(text: str) -> str:
    """Return the text without line breaks and control characters, and shortened: fit for a one-line message."""
    shown = text if len(text) <= _MAX_QUOTE else text[: _MAX_QUOTE - 3] + "..."
    if shown.isprintable():  # nearly always, and one review asks for this some twenty times
        return shown
    return "".join(character if character.isprintable() else " " for character in shown)


def quoted(text: str) -> str:
    return f"'{one_line(text)}'"


def listed(names: Iterable[str], last: str = "and") -> str:
    """Return names as prose: `'a'`, `'a' and 'b'`, `'a', 'b' and 'c'`."""
    quotes = [quoted(name) for name in names]
    if len(quotes) < 2:
        return "".join(quotes)
    return f"{', '.join(quotes[:-1])} {last} {quotes[-1]}"
