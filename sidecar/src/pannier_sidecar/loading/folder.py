"""Reads the components folder, and detects changes in it.

The same code serves a folder on a laptop and a Secret mounted in a pod, where the kubelet swaps a `..data` link.
Polling is cheap (one `stat` per file). Files are read again only when a `stat` differs, and count as changed only when
their bytes do.
"""

from __future__ import annotations

import codecs
import re
import stat
from dataclasses import dataclass
from time import monotonic, sleep
from typing import TYPE_CHECKING, Final

from msgspec import Struct
from msgspec.structs import replace

from pannier_crds.component import Component
from pannier_crds.digests import blake2b
from pannier_crds.folder import INDEX_FILE, VERSION_FILE
from pannier_crds.manifests import Document, read_documents
from pannier_crds.problems import InvalidManifestError, Problem
from pannier_sidecar.loading.delivered import delivered_documents
from pannier_sidecar.loading.folder_index import FolderIndexes
from pannier_sidecar.loading.half_written import WholeFiles

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

    from pannier_crds.resiliency import Resiliency


SUFFIXES: Final = (".yaml", ".yml", ".json")
_MAX_ATTEMPTS: Final = 5
_MAX_VERSION_CHARS: Final = 100
_MAX_FILE_BYTES: Final = 1024 * 1024
"""Maximum of bytes in a file; a larger one is not read. Also the maximum that is parsed."""
_LOOKS_LIKE_COMPONENT: Final = re.compile(rb"dapr\.io/|kind[\"']?:\s*[\"']?comp", re.IGNORECASE)
"""Matches text that is meant to be a component, even if it cannot be parsed."""

Signature = tuple[tuple[str, int, int, int], ...]


class FolderUnreadableError(Exception):
    """A components folder cannot be read; the text says which one and why."""


class ParsedComponent(Struct, frozen=True):
    """A component and the document that it was read from."""

    component: Component
    source: str
    document: Document | None = None
    """None for a component without a file, such as the default store of `pannier run`."""

    @property
    def remarks(self) -> tuple[Problem, ...]:
        """Return warnings about the document's syntax."""
        return self.document.remarks if self.document is not None else ()

    def place(self, problems: Iterable[Problem]) -> list[Problem]:
        """Return the problems with their line numbers."""
        return self.document.place(problems) if self.document is not None else list(problems)


@dataclass(frozen=True, slots=True)
class ParsedResiliency:
    """A Resiliency and the document that it was read from."""

    resiliency: Resiliency
    source: str
    document: Document

    @property
    def remarks(self) -> tuple[Problem, ...]:
        """Return warnings about the document's syntax, and about fields without effect."""
        return (*self.document.remarks, *self.resiliency.remarks)

    def place(self, problems: Iterable[Problem]) -> list[Problem]:
        """Return the problems with their line numbers."""
        return self.document.place(problems)


class InvalidDocument(Struct, frozen=True):
    """A document, or a whole file, that is not a valid component."""

    source: str
    name: str
    """`metadata.name`; empty if it cannot be read."""
    problems: tuple[Problem, ...]
    is_unrelated: bool = False
    """Nothing shows that the document is meant to be a component. It is skipped, unless the file had a component
    before.
    """


class SkippedDocument(Struct, frozen=True):
    """A document of another kind."""

    source: str
    line: int
    why: str
    is_configuration: bool = False
    """It is a Configuration, which takes effect by a flag."""


class Reading(Struct, frozen=True):
    """The parsed content of the component files."""

    components: tuple[ParsedComponent, ...] = ()
    invalid: tuple[InvalidDocument, ...] = ()
    skipped: tuple[SkippedDocument, ...] = ()
    foreign: tuple[str, ...] = ()
    """Files that are ignored because their folder's index does not list them."""
    empty: tuple[str, ...] = ()
    """Empty files: a file that is being rewritten in place is empty at first."""
    resiliencies: tuple[ParsedResiliency, ...] = ()
    invalid_resiliencies: tuple[InvalidDocument, ...] = ()


def component_files(folder: Path) -> list[Path]:
    """Return the files of a folder that may hold components, sorted by name. Subfolders are not read, as in Dapr.

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
    """Return whether a path is a file or a dangling link; reading from a pipe would never end."""
    try:
        return stat.S_ISREG(path.stat().st_mode)
    except OSError:
        return True


def read_contents(files: Iterable[Path]) -> dict[str, bytes | Problem]:
    """Return the bytes of each file, or why it cannot be read."""
    contents: dict[str, bytes | Problem] = {}
    for path in files:
        try:
            contents[str(path)] = _content(path)
        except OSError as error:
            contents[str(path)] = Problem("error", "", f"cannot be read: {_reason(error)}", line=1)
    return contents


def _content(path: Path) -> bytes | Problem:
    with path.open("rb") as file:
        content = file.read(_MAX_FILE_BYTES + 1)
    if len(content) > _MAX_FILE_BYTES:
        return Problem("error", "", "the file is larger than 1 MiB", "split it, one component a file", 1)
    return content


def parse(contents: Mapping[str, bytes | Problem]) -> Reading:
    """Parse component files; never raises."""
    components: list[ParsedComponent] = []
    invalid: list[InvalidDocument] = []
    skipped: list[SkippedDocument] = []
    empty: list[str] = []
    resiliencies: list[ParsedResiliency] = []
    invalid_resiliencies: list[InvalidDocument] = []
    for source, content in contents.items():
        if isinstance(content, Problem):
            invalid.append(InvalidDocument(source, "", (content,), is_unrelated=content.message.endswith("1 MiB")))
            continue
        documents = delivered_documents(content, source) or read_documents(content, source)
        if not content.removeprefix(codecs.BOM_UTF8).strip():
            empty.append(source)
        for document in documents:
            why = document.why_skipped
            if why is not None:
                is_configuration = document.is_configuration
                skipped.append(SkippedDocument(source, document.line_of("kind"), why, is_configuration))
                continue
            if document.is_resiliency:
                try:
                    resiliencies.append(ParsedResiliency(document.read_resiliency(), source, document))
                except InvalidManifestError as error:
                    invalid_resiliencies.append(InvalidDocument(source, document.name, error.problems))
                continue
            try:
                components.append(ParsedComponent(document.read_component(), source, document))
            except InvalidManifestError as error:
                is_whole_file = document.root is None and len(documents) == 1
                is_unrelated = is_whole_file and _LOOKS_LIKE_COMPONENT.search(content) is None
                invalid.append(InvalidDocument(source, document.name, error.problems, is_unrelated))
    return Reading(
        tuple(components),
        tuple(invalid),
        tuple(skipped),
        empty=tuple(empty),
        resiliencies=tuple(resiliencies),
        invalid_resiliencies=tuple(invalid_resiliencies),
    )


class FolderWatch:
    """The components folders, and what was last read from them."""

    def __init__(
        self,
        folders: Iterable[Path],
        *,
        may_be_missing: bool = False,
        needs_index: bool = False,
        patience: float = 0.0,
    ):
        """Watch the folders. With `may_be_missing`, a folder that does not exist counts as empty.

        With `needs_index`, a folder without an index is not read. A file that has been removed or truncated keeps its
        previous content for `patience` seconds.
        """
        self._folders = tuple(folders)
        self._whole = WholeFiles(patience)
        self._may_be_missing = may_be_missing
        self._further: tuple[Path, ...] = ()
        self._indexes = FolderIndexes(are_needed=needs_index)
        self._signature: Signature | None = None
        self._digest = b""
        self.version = ""
        """The version in the folder's version file when it was last read; empty without such a file."""
        self.status_key = ""
        """The token with which the operator may query the state of the stores; empty without an operator."""

    def also_watch(self, files: Iterable[Path]) -> None:
        """Treat a change in these files, which hold secrets, as a change of the folder."""
        further = tuple(sorted(set(files)))
        if further != self._further:
            self._further = further
            self._signature, self._digest = None, b""  # the files may have changed since they were read

    def has_changed(self) -> bool:
        """Return whether the files differ from the last reading. Raises FolderUnreadableError."""
        return self._whole.is_waiting or self._current_signature() != self._signature

    def read(self, settling: float = 0.0) -> Reading | None:
        """Read the files; None if no byte of them changed since the last reading. Raises FolderUnreadableError.

        They are read again if they change within `settling` seconds: a file that is being rewritten is empty at first,
        which would close its stores, and a swap of the `..data` link between two reads would mix two versions.
        """
        for _ in range(_MAX_ATTEMPTS):
            before = self._current_signature()
            contents = read_contents(self._files())
            version = _version_in(self._folders)
            trouble, foreign = self._indexes.compare(self._folders, contents)
            further = read_contents(self._further)
            sleep(settling)
            if self._current_signature() == before:
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
        intended = {invalid.source for invalid in reading.invalid if not invalid.is_unrelated}
        sources = {parsed.source for parsed in reading.components}
        sources.update(parsed.source for parsed in reading.resiliencies)
        sources.update(invalid.source for invalid in reading.invalid_resiliencies)
        self._whole.remember_only(intended.union(reading.empty, sources))
        return replace(reading, foreign=foreign)

    def _swapped(self) -> set[str]:
        """Return the folders that the kubelet writes, where one link swaps all files atomically."""
        return {str(folder) for folder in self._folders if (folder / "..data").is_symlink()}

    def _files(self) -> list[Path]:
        files: list[Path] = []
        for folder in self._folders:
            if self._may_be_missing and not folder.is_dir():
                continue
            files += component_files(folder)
        return files

    def _current_signature(self) -> Signature:
        versions = (folder / name for folder in self._folders for name in (VERSION_FILE, INDEX_FILE))
        return signature_of((*self._files(), *versions, *self._further))

    def _digest_of(self, contents: Mapping[str, bytes | Problem]) -> bytes:
        digest = blake2b()
        for source, content in contents.items():
            digest.update(repr((source, content)).encode("utf-8", "surrogateescape"))
        return digest.digest()


def signature_of(files: Iterable[Path]) -> Signature:
    """Return what differs when one of the files has changed."""
    return tuple(map(_stat, files))


def _stat(path: Path) -> tuple[str, int, int, int]:
    try:
        status = path.stat()
    except OSError:
        return str(path), 0, 0, 0
    return str(path), status.st_mtime_ns, status.st_size, status.st_ino


def _version_in(folders: Iterable[Path]) -> tuple[str, str]:
    """Return the version and status key of the first folder that has a version file."""
    for folder in folders:
        try:
            lines = (folder / VERSION_FILE).read_text("utf-8", "replace").strip().split("\n")
        except OSError:
            continue
        return lines[0].strip()[:_MAX_VERSION_CHARS], lines[1].strip() if len(lines) > 1 else ""
    return "", ""


def _reason(error: OSError) -> str:
    return (error.strerror or str(error)).lower()
