"""The index of a components folder: which files its writer lists, and whether the folder's files match it.

Others can change the Secret that the operator writes. Files that the index does not name are not read. While a file
does not match the index, no file is read: the operator repairs the Secret, and until then everything stays as it is.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from pannier_crds.folder import INDEX_FILE, digest_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from pannier_crds.problems import Problem


class _Index(msgspec.Struct):
    files: dict[str, str]
    """The digest of each file by its name."""


class FolderIndexes:
    """The indexes of some folders. A folder that has had an index must keep it."""

    def __init__(self, *, are_needed: bool = False):
        """With `are_needed` a folder without an index is not read, because somebody may have removed the index."""
        self._are_needed = are_needed
        self._indexed: set[Path] = set()

    def compare(self, folders: Iterable[Path], contents: Mapping[str, bytes | Problem]) -> tuple[str, tuple[str, ...]]:
        """Return what is wrong with the folders (empty if nothing), and the files among `contents` that no index names.

        `contents` are the component files of the folders; other files that an index names are read here.
        """
        foreign: list[str] = []
        for folder in folders:
            try:
                index = (folder / INDEX_FILE).read_bytes()
            except OSError:
                if folder in self._indexed:
                    return f"components folder {folder}: its index ({INDEX_FILE}) is missing", ()
                if self._are_needed:
                    return f"components folder {folder}: it has no index ({INDEX_FILE}), so nothing in it is read", ()
                continue
            self._indexed.add(folder)
            try:
                named = msgspec.json.decode(index, type=_Index).files
            except (msgspec.DecodeError, UnicodeError, RecursionError) as error:
                return f"components folder {folder}: its index ({INDEX_FILE}) cannot be read: {error}", ()
            if wrong := _first_mismatch(folder, named, contents):
                return f"components folder {folder}: {wrong} does not match its index ({INDEX_FILE})", ()
            foreign += [source for source in contents if _is_foreign(Path(source), folder, named)]
        return "", tuple(foreign)


def _is_foreign(path: Path, folder: Path, named: Mapping[str, str]) -> bool:
    return path.parent == folder and path.name not in named


def _first_mismatch(folder: Path, named: Mapping[str, str], contents: Mapping[str, bytes | Problem]) -> str:
    """Return the first file that is missing or differs from the index; empty if there is none."""
    for name, digest in named.items():
        content = contents.get(str(folder / name))
        if content is None:
            content = _content_of(folder / name)
        if not isinstance(content, bytes) or digest_of(content) != digest:
            return name
    return ""


def _content_of(path: Path) -> bytes | None:
    try:
        return path.read_bytes()
    except OSError:
        return None
