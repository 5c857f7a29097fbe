"""`http.pathMatching` of a Configuration's metrics: patterns of paths in the syntax of Go's `ServeMux`, as in Dapr.

A segment is literal, or a variable `{name}` for any one segment. At the end `{name...}` or a slash stands for the rest,
and `{$}` for nothing after the slash. Unlike Go, two patterns never conflict: see `observing/path_labels.py`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from pannier_crds.problems import quoted, warning

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pannier_crds.problems import Problem
    from pannier_crds.structure import Part

MAX_SEGMENTS: Final = 50
_KEY: Final = "pathMatching"
_EXAMPLE: Final = "/v1.0/state/{store}/{key}"
_MAX_PATTERNS: Final = 1_000
_MAX_CHARS: Final = 20_000
_VARIABLE: Final = re.compile(r"\{([^\W\d]\w*)\}")
_REST: Final = re.compile(r"\{([^\W\d]\w*)\.\.\.\}")
_SERVED: Final = re.compile(
    r"/(?:|\{.*|v1\.0(?:-alpha1)?/(?:|\{.*|(?:actors|healthz|metadata|secrets|shutdown|state)(?:/.*)?))"
)


@dataclass(frozen=True, slots=True)
class PathPattern:
    """One pattern."""

    text: str
    """As the label has it: with a slash in front, and no empty segments."""
    segments: tuple[str | None, ...]
    """Literal segments, perhaps percent-encoded; None for any one segment, an empty text for a slash at the end."""
    takes_rest: bool
    """Whether anything may follow."""


def read_path_patterns(part: Part, remarks: list[Problem]) -> tuple[PathPattern, ...]:
    """Read the list; one remark is added for patterns that match no path of this sidecar."""
    written = part.texts(_KEY, _EXAMPLE)
    if len(written) > _MAX_PATTERNS or sum(map(len, written)) > _MAX_CHARS:
        part.refuse(_KEY, "is too long", f"write {_MAX_PATTERNS} patterns and {_MAX_CHARS} characters at most")
        return ()
    read = tuple(_read(part, written))
    without_effect = [pattern.text for pattern in read if not _SERVED.fullmatch(pattern.text)]
    if without_effect:
        message = f"has patterns of paths that are not served here, such as {quoted(without_effect[0])}"
        remarks.append(warning(part.path_of(_KEY), message))
    return read


def _read(part: Part, written: tuple[str, ...]) -> Iterator[PathPattern]:
    for index, text in enumerate(written):
        pattern = _parsed(re.sub("/+", "/", f"/{text}"))
        if pattern is not None:
            yield pattern
            continue
        advice = f"write variables as whole segments, each name once: {_EXAMPLE}"
        part.refuse(f"{_KEY}[{index}]", f"{quoted(text)} is not a pattern of paths", advice)


def _parsed(text: str) -> PathPattern | None:
    """Return the pattern; None if Go would refuse it, or if it has too many segments."""
    written = text[1:].split("/")
    if len(written) > MAX_SEGMENTS or re.search(r"\s", text):
        return None
    rest = _REST.fullmatch(written[-1])
    takes_rest = rest is not None or not written[-1]
    if takes_rest:
        written.pop()
    names = [rest[1]] if rest is not None else []
    segments: list[str | None] = []
    for index, segment in enumerate(written, 1):
        variable = _VARIABLE.fullmatch(segment)
        is_end = segment == "{$}" and index == len(written) and not takes_rest
        if variable is not None:
            names.append(variable[1])
        elif "{" in segment and not is_end:
            return None
        segments.append(None if variable is not None else "" if is_end else segment)
    return PathPattern(text, tuple(segments), takes_rest) if len(set(names)) == len(names) else None
