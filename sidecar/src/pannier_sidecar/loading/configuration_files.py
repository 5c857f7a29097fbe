"""Reads the Configuration of the files that `--config` names, and reads it again when they change.

The last one that was right stays in effect while a changed file is wrong. Imported only with such a file.
"""

from __future__ import annotations

import asyncio
import json
import logging
from dataclasses import replace
from time import monotonic
from typing import TYPE_CHECKING

from msgspec import Struct

from pannier_crds.configuration import HOT_RELOAD, KIND, Configuration, merged
from pannier_crds.folder import GENERATION
from pannier_crds.manifests import Document, read_documents
from pannier_crds.problems import InvalidManifestError, Problem, error, warning
from pannier_crds.secret import Secret
from pannier_sidecar.loading.environment_in_text import Expanded, TooLargeError, expand
from pannier_sidecar.loading.folder import read_contents, signature_of
from pannier_sidecar.loading.half_written import PATIENCE, WholeFiles
from pannier_sidecar.loading.states import ComponentState, place

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

log = logging.getLogger(__name__)


class WrongConfigurationError(Exception):
    """The files cannot be used; the text has a line for each mistake."""


class ConfigurationFile(Struct, frozen=True):
    """What one file says."""

    documents: tuple[Document, ...] = ()
    """Its Configurations."""
    problems: tuple[Problem, ...] = ()
    """What is wrong and what is doubtful, with lines."""

    @property
    def is_wrong(self) -> bool:
        return any(problem.is_error for problem in self.problems)


def read_file(content: bytes, environment: Mapping[str, str], *, has_secrets: bool = False) -> ConfigurationFile:
    """Read the Configurations of a file, and judge them. Documents of other kinds are left out.

    `has_secrets`: the values of `secretKeyRef` are known.
    """
    expanded = Expanded("")
    if b"$" in content:
        try:
            expanded = expand(content.decode(), environment)
        except TooLargeError:
            message = "the file is larger than 1 MiB with its variables"
            return ConfigurationFile(problems=(Problem("error", "", message, "write shorter variables", 1),))
        except UnicodeDecodeError:
            pass  # which the reader reports
    documents = read_documents(expanded.text or content)
    meant = [document for document in documents if document.is_configuration or document.root is None]
    if not meant:
        meant = documents[:1]  # its kind is wrong, which is said as for any other field
    if not meant:
        advice = f"write a {KIND}, or leave out the flag"
        return ConfigurationFile(problems=(replace(error("", "there is nothing in the file", advice), line=1),))
    problems = [*expanded.remarks]
    for document in meant:
        problems += map(expanded.without_values, _judge(document, has_secrets=has_secrets))
    return ConfigurationFile(tuple(meant), tuple(problems))


def _judge(document: Document, *, has_secrets: bool) -> list[Problem]:
    try:
        read = document.read_configuration()
        message = "is read in a cluster only: with --config FILE the header is not sent"
        unread = [warning(field, message, "write value or envRef") for field, _ in read.secret_references]
        return document.place((*document.remarks, *read.remarks, *(() if has_secrets else unread)))
    except InvalidManifestError as invalid:
        return [*document.place(document.remarks), *invalid.problems]


class ConfigurationFiles:
    """The files of one sidecar, and the Configuration that is in effect."""

    def __init__(self, files: Sequence[Path], environment: Mapping[str, str], secrets: Path | None = None):
        """Nothing is read yet. Later files override earlier ones. `secrets` is a JSON file with the values of
        `secretKeyRef`, by the name of the Secret and the key; None: they have none.
        """
        self._files = tuple(dict.fromkeys(files))
        self._secrets = secrets
        self._watched = self._files if secrets is None else (*self._files, secrets)
        self._environment = environment
        self._whole = WholeFiles(PATIENCE)
        self._signature: object = None
        self._contents: Mapping[str, bytes | Problem] = {}
        self._refusal = ""
        """What is wrong with the latest version; empty if nothing is."""
        self._generation = ""
        self._warned: frozenset[str] = frozenset()
        self._watching: asyncio.Task[None] | None = None
        self.current = Configuration()
        self.on_change: Callable[[Configuration, Configuration], None] | None = None
        """Called with the Configuration that was in effect, and with the one that is from now on."""

    def read(self) -> Configuration:
        """Read the files for the first time. Raises WrongConfigurationError."""
        self._signature = signature_of(self._watched)
        self._contents = self._whole.of(self._read(), monotonic())
        self.current, self._generation = self._parse(self._contents)
        return self.current

    def states(self) -> list[ComponentState]:
        """Return the state of the Configuration that is in effect: its `version` is the generation of the delivered
        object, empty for a file of the user's own; `why` says why a later version is not in effect.
        """
        why = f"its latest version is refused: {self._refusal}" if self._refusal else ""
        if not self.current.reloads:
            why = f"the feature {HOT_RELOAD} is off, so a later version takes effect when the pod starts again"
        return [ComponentState(self.current.name, KIND, self._generation, "ready", why)]

    def start(self, poll_interval: float) -> None:
        """Begin to look for changes, each `poll_interval` seconds. Call within the event loop."""
        self._watching = asyncio.create_task(self._watch(poll_interval), name="watch the Configuration")

    async def stop(self) -> None:
        """Look for changes no more."""
        if self._watching is not None:
            self._watching.cancel()
            await asyncio.gather(self._watching, return_exceptions=True)

    async def _watch(self, poll_interval: float) -> None:
        while True:
            await asyncio.sleep(poll_interval)
            try:
                await self._look()
            except Exception:
                log.exception("a change of the Configuration was not applied because of a bug in Pannier")

    async def _look(self) -> None:
        signature = signature_of(self._watched)
        if signature == self._signature and not self._whole.is_waiting:
            return
        found = await asyncio.to_thread(self._read)
        if signature_of(self._watched) != signature:
            return  # somebody is writing: the next look sees more
        self._signature = signature
        contents = self._whole.of(found, monotonic(), self._swapped())
        if contents == self._contents:
            return
        self._contents = contents
        try:
            changed, self._generation = self._parse(contents)
        except WrongConfigurationError as wrong:
            lines = str(wrong).splitlines()
            for line in lines:
                log.error("refused: %s", line)
            log.error("the Configuration stays as it was, until it is corrected")
            self._refusal = "; ".join(lines)
            return
        if self._refusal:
            self._refusal = ""
            log.info("the Configuration is correct again")
        before, self.current = self.current, changed
        if changed != before and self.on_change is not None:
            self.on_change(before, changed)

    def _read(self) -> dict[str, bytes | Problem]:
        return read_contents(file for file in self._watched if file.exists())

    def _swapped(self) -> set[str]:
        """Return the folders in which the kubelet exchanges all files at once."""
        return {str(file.parent) for file in self._watched if (file.parent / "..data").is_symlink()}

    def _parse(self, contents: Mapping[str, bytes | Problem]) -> tuple[Configuration, str]:
        """Return what the files say together, and the generation of the delivered object. Raises
        WrongConfigurationError.
        """
        manifests: list[Mapping[str, object]] = []
        wrong: list[str] = []
        doubtful: list[str] = []
        for file in self._files:
            content = contents.get(str(file), error("", "there is no such file", "correct --config"))
            if isinstance(content, Problem):
                read = ConfigurationFile(problems=(content,))
            else:
                read = read_file(content, self._environment, has_secrets=self._secrets is not None)
            wrong += [place(str(file), problem) for problem in read.problems if problem.is_error]
            doubtful += [place(str(file), problem) for problem in read.problems if not problem.is_error]
            manifests += [document.manifest for document in read.documents]
        for line in doubtful:
            if line not in self._warned:
                log.warning("%s", line)
        self._warned = frozenset(doubtful)
        if wrong:
            raise WrongConfigurationError("\n".join(wrong))
        manifest = merged(manifests)
        configuration = Configuration.from_manifest(manifest)
        if self._secrets is not None and configuration.secret_references:
            configuration = _with_secrets(configuration, contents.get(str(self._secrets), b""))
        return configuration, _generation_of(manifest)


def _with_secrets(configuration: Configuration, content: bytes | Problem) -> Configuration:
    """Return the Configuration with the values of the headers that are in Secrets. One whose Secret does not exist gets
    no value, and is not sent.
    """
    otel = configuration.tracing.otel
    assert otel is not None, "only its headers have references"
    known = _secrets_in(content)
    headers = (
        replace(header, value=known.get((header.secret.name, header.secret.key))) if header.secret else header
        for header in otel.headers
    )
    tracing = replace(configuration.tracing, otel=replace(otel, headers=tuple(headers)))
    return replace(configuration, tracing=tracing)


def _secrets_in(content: bytes | Problem) -> dict[tuple[str, str], Secret]:
    """Return the values in a file of secrets, by the name of the Secret and the key; none if it cannot be read."""
    try:
        found = json.loads(content) if isinstance(content, bytes) and content else {}
        return {(name, key): Secret(value) for name, values in found.items() for key, value in values.items()}
    except (ValueError, AttributeError):
        return {}


def _generation_of(manifest: Mapping[str, object]) -> str:
    metadata = manifest.get("metadata")
    annotations = metadata.get("annotations") if isinstance(metadata, dict) else None
    value = annotations.get(GENERATION) if isinstance(annotations, dict) else None
    return value if isinstance(value, str) else ""
