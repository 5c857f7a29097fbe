"""Files that are being written: their previous content is used until they are complete, or removed for good.

A file that is written in place is empty first and then filled piece by piece; an editor that keeps a backup moves the
old file away before it creates the new one; and a writer can be killed at any byte. If a file were read at such a
moment, stores would be closed, or opened without their last settings, such as scopes. Nothing here does I/O or waits.
"""

from __future__ import annotations

from os.path import dirname
from typing import TYPE_CHECKING, Final

from pannier_crds.problems import Problem

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

PATIENCE: Final = 2.0
"""Seconds for which a file must be missing, or shorter than before, until the change is believed."""

Content = bytes | Problem


class WholeFiles:
    """The last complete contents of the files in some folders."""

    def __init__(self, patience: float):
        """`patience` is in seconds; with 0 every change is believed at once, unless it ends in the middle of a line."""
        self._patience = patience
        self._whole: dict[str, Content] = {}
        self._names: frozenset[str] = frozenset()
        self._doubtful: dict[str, tuple[Content | None, float]] = {}
        """What was found in files that are apparently being written, and since when."""
        self.is_waiting = False
        """A file was truncated or removed less than `patience` seconds ago, so the files have to be read again."""

    def of(self, found: Mapping[str, Content], now: float, swapped: Collection[str] = ()) -> dict[str, Content]:
        """Return the contents to use, by the path of their file. `now` is in seconds of a monotonic clock. `swapped`
        are the folders whose files are all exchanged at once, as the kubelet does: their contents are always complete.
        """
        has_moved = bool(found.keys() - self._names)  # a file that has gone may have been renamed
        settled: dict[str, Content] = {}
        doubtful: dict[str, tuple[Content | None, float]] = {}
        self.is_waiting = False
        for source in sorted(found.keys() | self._whole.keys()):
            before, content = self._whole.get(source), found.get(source)
            if before is not None and dirname(source) in swapped:
                before = None
            earlier, since = self._doubtful.get(source, (None, now))
            is_growing = _is_appended(content, earlier) and now - since < 2 * self._patience
            if before not in (None, content) and (is_growing or _is_doubtful(before, content, has_moved=has_moved)):
                since = since if earlier == content else now
                doubtful[source] = content, since
                if now - since < self._patience:
                    content = before
                    self.is_waiting = True
            if content is not None:
                settled[source] = _broken_off(content, before) or content
                self._whole[source] = content if before is None or _is_whole(content, before) else before
        self._doubtful = doubtful
        self._whole = {source: self._whole[source] for source in settled}
        self._names = frozenset(settled)
        return settled

    def remember_only(self, sources: Collection[str]) -> None:
        """Forget the contents of all other files, because no store comes from them."""
        self._whole = {source: content for source, content in self._whole.items() if source in sources}


def _is_doubtful(before: Content, content: Content | None, *, has_moved: bool) -> bool:
    if content is None:
        return not has_moved
    if isinstance(content, Problem) or isinstance(before, Problem):
        return False
    return len(content) < len(before) or (before.endswith(b"\n") and not content.endswith(b"\n"))


def _is_whole(content: Content, before: Content) -> bool:
    """Return whether later contents must be compared with this one."""
    return isinstance(content, bytes) and bool(content.strip()) and _broken_off(content, before) is None


def _is_appended(content: Content | None, earlier: Content | None) -> bool:
    """Return whether a file that is apparently being written has only been appended to since it was last read."""
    if not isinstance(content, bytes) or not isinstance(earlier, bytes) or not earlier.strip():
        return False
    return content.startswith(earlier)


def _is_beginning(content: bytes, of: bytes) -> bool:
    return len(content) < len(of) and of.startswith(content)


def _broken_off(content: Content, before: Content | None) -> Problem | None:
    """Return the problem if a file has its previous content cut off within a line: its writer may have been killed."""
    if not isinstance(content, bytes) or not isinstance(before, bytes) or not _is_beginning(content, before):
        return None
    rest = before[len(content) :]
    if not content.strip() or content.endswith(b"\n") or rest[:1] in (b"\n", b"\r") or not rest.strip():
        return None
    message = "the file ends in the middle of a line that was longer before"
    advice = "write the rest of it, or a line break behind it if that is all"
    return Problem("error", "", message, advice, content.count(b"\n") + 1)
