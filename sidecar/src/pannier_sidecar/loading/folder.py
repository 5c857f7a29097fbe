"""The components folder: reading it, and noticing that it changed.

The same code serves a folder on a laptop and a Secret mounted in a pod, where the kubelet swaps a `..data` link.
Looking is cheap (one `stat` a file). Files are read again only when a look shows a difference, and count as changed
only when their bytes do.
"""

from __future__ import annotations

import codecs
import hashlib
import re
import stat
from dataclasses import dataclass
from time import monotonic, sleep
from typing import TYPE_CHECKING, Final

from msgspec import Struct
from msgspec.structs import replace

from pannier_crds.folder import INDEX_FILE, VERSION_FILE
from pannier_crds.problems import InvalidManifestError, Problem
from pannier_sidecar.loading.folder_index import FolderIndexes
from pannier_sidecar.loading.half_written import WholeFiles

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

    from pannier_crds.component import Component
    from pannier_crds.manifests import Document

SUFFIXES: Final = (".yaml", ".yml", ".json")
_MOST_ATTEMPTS: Final = 5
_LONGEST_VERSION: Final = 100
_LARGEST: Final = 1024 * 1024
"""Bytes of a file; more is not read. The same as what is parsed at most."""
_MEANT: Final = re.compile(rb"dapr\.io/|kind[\"']?:\s*[\"']?comp", re.IGNORECASE)
"""What a text holds that is meant to be a component, however broken."""

Signature = tuple[tuple[str, int, int, int], ...]


class FolderUnreadableError(Exception):
    """A components folder cannot be read; the text says which one and why."""


@dataclass(frozen=True)
class Found:
    """A component and where it is written."""

    component: Component
    source: str
    document: Document | None = None
    """None for a component that is written nowhere."""

    @property
    def remarks(self) -> tuple[Problem, ...]:
        """What is to be said of how it is written."""
        return self.document.remarks if self.document is not None else ()

    def place(self, problems: Iterable[Problem]) -> list[Problem]:
        """The problems with their lines."""
        return self.document.place(problems) if self.document is not None else list(problems)


class Broken(Struct, frozen=True):
    """A document, or a whole file, that is no component."""

    source: str
    name: str
    """What the document calls itself; empty where that cannot be read."""
    problems: tuple[Problem, ...]
    is_unrelated: bool = False
    """Nothing shows that it is meant to be a component: it is left aside, unless it was one before."""


class LeftAside(Struct, frozen=True):
    """A document that is of some other kind."""

    source: str
    line: int
    why: str


class Reading(Struct, frozen=True):
    """What stands in the files."""

    found: tuple[Found, ...] = ()
    broken: tuple[Broken, ...] = ()
    left_aside: tuple[LeftAside, ...] = ()
    foreign: tuple[str, ...] = ()
    """Files that were not read, because the index of their folder does not name them."""
    empty: tuple[str, ...] = ()
    """Files that hold nothing at all, as one does that is about to be written."""


def component_files(folder: Path) -> list[Path]:
    """The files of a folder that may hold components, by name; not those of folders in it, as in Dapr.

    Hidden files are left out: the kubelet's own and those of editors. Raises FolderUnreadableError.
    """
    try:
        return sorted(
            path
            for path in folder.iterdir()
            if path.suffix.lower() in SUFFIXES and not path.name.startswith(".") and _may_be_read(path)
        )
    except OSError as error:
        raise FolderUnreadableError(f"components folder {folder}: {_reason(error)}") from error


def _may_be_read(path: Path) -> bool:
    """Whether a path is a file, or a link that leads nowhere at the moment; reading from a pipe would never end."""
    try:
        return stat.S_ISREG(path.stat().st_mode)
    except OSError:
        return True


def read_contents(files: Iterable[Path]) -> dict[str, bytes | Problem]:
    """The bytes of each file, or why there are none."""
    contents: dict[str, bytes | Problem] = {}
    for path in files:
        try:
            contents[str(path)] = _content(path)
        except OSError as error:
            contents[str(path)] = Problem("error", "", f"cannot be read: {_reason(error)}", line=1)
    return contents


def _content(path: Path) -> bytes | Problem:
    with path.open("rb") as file:
        content = file.read(_LARGEST + 1)
    if len(content) > _LARGEST:
        return Problem("error", "", "the file is larger than 1 MiB", "split it, one component a file", 1)
    return content


def parse(contents: Mapping[str, bytes | Problem]) -> Reading:
    """What stands in these files; never raises."""
    from pannier_crds.manifests import read_documents  # PyYAML: a sidecar without a folder never needs it

    found: list[Found] = []
    broken: list[Broken] = []
    left_aside: list[LeftAside] = []
    empty: list[str] = []
    for source, content in contents.items():
        if isinstance(content, Problem):
            broken.append(Broken(source, "", (content,), is_unrelated=content.message.endswith("1 MiB")))
            continue
        documents = read_documents(content, source)
        if not content.removeprefix(codecs.BOM_UTF8).strip():
            empty.append(source)
        for document in documents:
            why = document.left_aside
            if why is not None:
                left_aside.append(LeftAside(source, document.line_of("kind"), why))
                continue
            try:
                found.append(Found(document.read_component(), source, document))
            except InvalidManifestError as invalid:
                is_unrelated = document.root is None and len(documents) == 1 and _MEANT.search(content) is None
                broken.append(Broken(source, document.name, invalid.problems, is_unrelated))
    return Reading(tuple(found), tuple(broken), tuple(left_aside), empty=tuple(empty))


class FolderWatch:
    """Some folders, and what was last read in them."""

    def __init__(
        self,
        folders: Iterable[Path],
        *,
        may_be_missing: bool = False,
        needs_index: bool = False,
        patience: float = 0.0,
    ):
        """Watch the folders; those that `may_be_missing` are as good as empty until they are there.

        Without the index that it needs a folder is not read. A file that is gone, or shorter than it was, counts as it
        was for `patience` seconds.
        """
        self._folders = tuple(folders)
        self._whole = WholeFiles(patience)
        self._may_be_missing = may_be_missing
        self._further: tuple[Path, ...] = ()
        self._indexes = FolderIndexes(are_needed=needs_index)
        self._signature: Signature | None = None
        self._digest = b""
        self.version = ""
        """What the folder called itself when it was read last; empty where it has no name for its versions."""
        self.status_key = ""
        """By which whoever writes the folder may ask how its stores are; empty: nobody does."""

    def also_watch(self, files: Iterable[Path]) -> None:
        """Count a change in these files, those of secrets, as a change of the folder."""
        further = tuple(sorted(set(files)))
        if further != self._further:
            self._further = further
            self._signature, self._digest = None, b""  # they may have changed since they were used: read once more

    def has_news(self) -> bool:
        """Say whether a look shows a difference since the last reading. Raises FolderUnreadableError."""
        return self._whole.is_waiting or self._look() != self._signature

    def read(self, settling: float = 0.0) -> Reading | None:
        """Read the files; None if no byte of them changed since the last reading. Raises FolderUnreadableError.

        They are read again if they change within `settling` seconds: a file that is being written is first empty, and
        its stores would be taken away; a swap of links between two reads would show a mixture.
        """
        for _ in range(_MOST_ATTEMPTS):
            before = self._look()
            contents = read_contents(self._files())
            version = _version_in(self._folders)
            trouble, foreign = self._indexes.compare(self._folders, contents)
            further = read_contents(self._further)
            sleep(settling)
            if self._look() == before:
                break
        if trouble:
            raise FolderUnreadableError(trouble)
        contents = self._whole.of(contents, monotonic(), self._swapped())
        digest = self._digest_of({**contents, **further})
        self._signature = before
        if not self._whole.is_waiting:
            self.version, self.status_key = version
        if digest == self._digest:
            return None
        self._digest = digest
        reading = parse({source: content for source, content in contents.items() if source not in foreign})
        meant = {broken.source for broken in reading.broken if not broken.is_unrelated}
        self._whole.remember_only(meant.union(reading.empty, (found.source for found in reading.found)))
        return replace(reading, foreign=foreign)

    def _swapped(self) -> set[str]:
        """The folders that the kubelet writes, which exchanges all files by one link."""
        return {str(folder) for folder in self._folders if (folder / "..data").is_symlink()}

    def _files(self) -> list[Path]:
        files: list[Path] = []
        for folder in self._folders:
            if self._may_be_missing and not folder.is_dir():
                continue
            files += component_files(folder)
        return files

    def _look(self) -> Signature:
        versions = (folder / name for folder in self._folders for name in (VERSION_FILE, INDEX_FILE))
        return tuple(_stat(path) for path in (*self._files(), *versions, *self._further))

    def _digest_of(self, contents: Mapping[str, bytes | Problem]) -> bytes:
        digest = hashlib.blake2b()
        for source, content in contents.items():
            digest.update(repr((source, content)).encode("utf-8", "surrogateescape"))
        return digest.digest()


def _stat(path: Path) -> tuple[str, int, int, int]:
    try:
        status = path.stat()
    except OSError:
        return str(path), 0, 0, 0
    return str(path), status.st_mtime_ns, status.st_size, status.st_ino


def _version_in(folders: Iterable[Path]) -> tuple[str, str]:
    """What the first folder that has a name for its versions calls this one, and its writer's key."""
    for folder in folders:
        try:
            lines = (folder / VERSION_FILE).read_text("utf-8", "replace").strip().split("\n")
        except OSError:
            continue
        return lines[0].strip()[:_LONGEST_VERSION], lines[1].strip() if len(lines) > 1 else ""
    return "", ""


def _reason(error: OSError) -> str:
    return (error.strerror or str(error)).lower()
