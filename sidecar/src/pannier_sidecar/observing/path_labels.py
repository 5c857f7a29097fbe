"""The label `path` of HTTP requests that match a Configuration's patterns. Imported only where there are some."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final
from urllib.parse import unquote_to_bytes

from msgspec import Struct

from pannier_crds.path_patterns import MAX_SEGMENTS, PathPattern

if TYPE_CHECKING:
    from collections.abc import Sequence

_MERGED_SLASHES: Final = re.compile(rb"/{2,}")
_CUT_AFTER_STORE: Final = (b"state", b"secrets")


class _Node(Struct):
    """Where patterns with the same beginning part."""

    literals: dict[bytes, _Node] = {}
    variable: _Node | None = None
    whole: PathPattern | None = None
    """The pattern that ends here."""
    rest: PathPattern | None = None
    """The pattern that takes what follows the next slash."""


class PathLabels:
    """Finds the pattern of a path.

    Of several, that counts which is more specific in the first segment where they differ: a literal segment before a
    variable, and a variable before the rest. Of two that match the same paths, the first one counts. So it is the one
    that Go's `ServeMux` finds, which panics where none of two patterns is more specific.
    """

    def __init__(self, patterns: Sequence[PathPattern]):
        self._root = _Node()
        for pattern in patterns:
            self._add(pattern)

    def _add(self, pattern: PathPattern) -> None:
        node = self._root
        for segment in pattern.segments:
            if segment is not None:
                node = node.literals.setdefault(unquote_to_bytes(segment), _Node())
                continue
            if node.variable is None:
                node.variable = _Node()
            node = node.variable
        if pattern.takes_rest:
            node.rest = node.rest or pattern
        else:
            node.whole = node.whole or pattern

    def find(self, path: bytes) -> str | None:
        """Return the pattern of a path, as sent; None if there is none.

        As in Dapr, a path that matches none is tried again without its key and the id of its actor.
        """
        segments = _segments(path)
        found = self._find(segments) or self._find(_without_key(segments))
        return None if found is None else found.text

    def _find(self, segments: list[bytes]) -> PathPattern | None:
        found = _search(self._root, segments)
        if segments[-1] and (found is None or found.takes_rest):
            slashed = [*segments, b""]  # as Go, which would redirect to the path with a slash
            other = _search(self._root, slashed)
            if other is not None and (not other.takes_rest or len(other.segments) + 1 == len(slashed)):
                return other
        return found

    def depends_on_key(self, path: bytes) -> bool:
        """Return whether paths that differ from this one in the last segment may have other patterns."""
        nodes = [self._root]
        for segment in _segments(path)[:-1]:
            nexts = [each for node in nodes for each in (node.literals.get(segment), node.variable)]
            nodes = [each for each in nexts if each is not None]
        return any(node.literals for node in nodes)


def _segments(path: bytes) -> list[bytes]:
    """Return the segments of a path; what is longer than any pattern is left in one."""
    return list(map(unquote_to_bytes, _MERGED_SLASHES.sub(b"/", path)[1:].split(b"/", MAX_SEGMENTS)))


def _without_key(segments: list[bytes]) -> list[bytes]:
    api = segments[1] if len(segments) > 1 else b""
    if api in _CUT_AFTER_STORE:
        return segments[:3]
    if api == b"actors" and len(segments) > 4:
        return [*segments[:3], b"{id}", segments[4]]
    return segments


def _search(node: _Node, segments: list[bytes]) -> PathPattern | None:
    """Return the pattern of the segments. No node is visited twice, because each has its own place in the tree."""
    if not segments:
        return node.whole
    first, others = segments[0], segments[1:]
    found = _search(node.literals[first], others) if first in node.literals else None
    if found is None and node.variable is not None and first:
        found = _search(node.variable, others)
    return node.rest if found is None else found
