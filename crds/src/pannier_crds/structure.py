"""Reads a manifest's mappings and records every value of the wrong kind, instead of raising at the first."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import islice
from math import isfinite
from typing import TYPE_CHECKING, Final

from pannier_crds.problems import Problem, error, one_line, quoted
from pannier_crds.suggestions import closest

if TYPE_CHECKING:
    from collections.abc import Iterator


_MAX_ENTRIES: Final = 1_000
_MAX_KEYS: Final = 100  # looking for a similar name takes time, so only a mapping of sensible size is searched
_MAX_SEARCHES: Final = 500  # and of all mappings of a manifest together, no more unknown names than this


class Part:
    """One mapping inside a manifest: its content, its path, and what all mappings of the manifest share: the list that
    problems are added to, and the searches for similar names that are left.
    """

    __slots__ = ("_searches", "content", "path", "problems")

    def __init__(
        self,
        content: Mapping[str, object],
        path: str,
        problems: list[Problem],
        searches: Iterator[int] | None = None,
    ) -> None:
        self.content = content
        self.path = path
        self.problems = problems
        self._searches = iter(range(_MAX_SEARCHES)) if searches is None else searches

    def path_of(self, key: str) -> str:
        return f"{self.path}.{key}" if self.path else key

    def refuse(self, key: str, message: str, advice: str) -> None:
        self.problems.append(error(self.path_of(key), message, advice))

    def expect(self, key: str, wanted: str) -> None:
        """Add a problem unless the value is exactly the wanted text."""
        value = self.content.get(key)
        if value is None:
            self.refuse(key, "is missing", f"write '{key}: {wanted}'")
        elif value != wanted:
            self.refuse(key, f"is {quoted(str(value))}", f"write '{key}: {wanted}'")

    def required_text(self, key: str, example: str) -> str:
        """Return the text; if it is missing or empty, add a problem and return ''."""
        text = self.text(key)
        if text is None and self.content.get(key) is None:
            self.refuse(key, "is missing", f"write '{key}: {example}'")
        elif text is not None and not text.strip():
            self.refuse(key, "is empty", f"write '{key}: {example}'")
        return text or ""

    def text(self, key: str) -> str | None:
        value = self.content.get(key)
        if value is None or isinstance(value, str):
            return value
        shown = scalar_text(value)
        advice = f'write it in quotes: {key}: "{one_line(shown)}"' if shown else "write text"
        self.refuse(key, f"is {kind_of(value)} but should be text", advice)
        return None

    def boolean(self, key: str) -> bool:
        value = self.content.get(key)
        if value is None or isinstance(value, bool):
            return bool(value)
        shown = quoted(value) if isinstance(value, str) else kind_of(value)
        self.refuse(key, f"is {shown}", f"write '{key}: true' or '{key}: false', without quotes")
        return False

    def texts(self, key: str, example: str) -> tuple[str, ...]:
        """Return a list of texts; `example` is one entry as the user could write it."""
        found = []
        for index, value in enumerate(self._entries(key, f"write a list: {key}: [{example}]")):
            if isinstance(value, str):
                found.append(value)
            else:
                self.refuse(f"{key}[{index}]", f"is {kind_of(value)} but should be text", f"write {example}")
        return tuple(found)

    def part(self, key: str) -> Part:
        """Return the mapping under a key, or an empty one if it is absent. For anything else, add a problem too."""
        value = self.content.get(key)
        if value is not None and not isinstance(value, Mapping):
            self.refuse(key, f"is {kind_of(value)} but should be a mapping", _mapping_advice(value))
        return Part(value if isinstance(value, Mapping) else {}, self.path_of(key), self.problems, self._searches)

    def parts(self, key: str) -> Iterator[Part]:
        """Yield the mappings of a list; add a problem for anything else in it."""
        entries = self._entries(key, "start each entry with '- name: '")
        if len(entries) > _MAX_ENTRIES:
            self.refuse(key, f"has {len(entries)} entries", f"write {_MAX_ENTRIES} at most")
        for index, value in enumerate(entries[:_MAX_ENTRIES]):
            if isinstance(value, Mapping):
                yield Part(value, f"{self.path_of(key)}[{index}]", self.problems, self._searches)
            else:
                self.refuse(
                    f"{key}[{index}]",
                    f"is {kind_of(value)} but should be a mapping",
                    _mapping_advice(value),
                )

    def _entries(self, key: str, advice: str) -> list[object]:
        value = self.content.get(key)
        if value is None:
            return []
        if isinstance(value, list | tuple):
            return list(value)
        shown = kind_of(value) if key == "metadata" else _shown(value)  # settings may hold a password
        self.refuse(key, f"is {shown} but should be a list", advice)
        return []

    def refuse_misspelt(self, known: tuple[str, ...]) -> None:
        """Add a problem for each key that misspells a known one: the known one would be silently missing."""
        for key in islice(self.content, _MAX_KEYS):
            if key in known:
                continue
            if next(self._searches, None) is None:
                return
            match = closest(str(key), known)
            if match and match not in self.content:
                self.refuse(one_line(str(key)), "is not a known field", f"write '{match}'")


def kind_of(value: object) -> str:
    """Return YAML's word for the kind of a value, with its article."""
    if isinstance(value, bool):
        return "a boolean"
    if isinstance(value, int | float):
        return "a number"
    if isinstance(value, str):
        return "text"
    if isinstance(value, Mapping):
        return "a mapping"
    return "a list" if isinstance(value, list | tuple) else "nothing" if value is None else "an unknown kind of value"


def scalar_text(value: object) -> str | None:
    """Return the text of a string, number or boolean as JSON writes it (`true`, `6379`, `1` for 1.0), `""` for null.

    None for anything else, and for numbers that JSON cannot write.
    """
    if value is None:
        return ""
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        return str(value) if value.bit_length() <= 1024 else None
    if isinstance(value, float) and isfinite(value):
        return str(int(value)) if value.is_integer() and abs(value) < 1e21 else repr(value)
    return None


def _shown(value: object) -> str:
    return f"the text {quoted(value)}" if isinstance(value, str) else kind_of(value)


def _mapping_advice(value: object) -> str:
    if isinstance(value, str) and ":" in value:
        return "put a space after each colon, as in 'name: redisHost'"
    return "write 'name: value' lines, indented under it"
