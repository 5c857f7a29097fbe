"""The documents of a YAML or JSON file: of which kind each one is, and in which line each field is."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final, TypeVar

from pannier_crds.component import API_VERSION, KIND, Component
from pannier_crds.dapr_spelling import as_dapr_reads
from pannier_crds.nodes import MAX_BYTES, Node, Tree
from pannier_crds.problems import InvalidManifestError, Problem, quoted
from pannier_crds.structure import kind_of
from pannier_crds.suggestions import closest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from pannier_crds.configuration import Configuration
    from pannier_crds.resiliency import Resiliency

__all__ = ["MAX_BYTES", "Document", "documents_of", "read_documents", "write_document"]

_LISTS: Final = ("List", "ComponentList", "ConfigurationList", "ResiliencyList")
_RESILIENCY: Final = "Resiliency"
_CONFIGURATION: Final = "Configuration"
Read = TypeVar("Read")
_SEGMENT: Final = re.compile(r"\[(.*?)\](?=[.\[]|$)|([^.\[\]]+)", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Document:
    """One document of a file.

    `problems` are those of the text (broken YAML, a key twice), with their lines; a document that cannot be read has
    one problem and an empty manifest. `remarks` are warnings about a document that can be read: field names in another
    case.
    """

    manifest: Mapping[str, object]
    source: str
    problems: tuple[Problem, ...] = ()
    root: Node | None = None
    remarks: tuple[Problem, ...] = ()

    @property
    def kind(self) -> str:
        kind = self.manifest.get("kind")
        return kind if isinstance(kind, str) else ""

    @property
    def name(self) -> str:
        """`metadata.name`; empty if there is none."""
        metadata = self.manifest.get("metadata")
        name = metadata.get("name") if isinstance(metadata, Mapping) else None
        return name if isinstance(name, str) else ""

    @property
    def why_skipped(self) -> str | None:
        """Why this document is not read as a component, in half a sentence; None if it is read as one.

        A document whose kind is misspelt, or that looks like a component, is read as one, so that mistakes are
        reported.
        """
        if not self.manifest:
            return None
        version = self.manifest.get("apiVersion")
        if not self.kind and not isinstance(version, str):
            return None if "spec" in self.manifest else "it has neither kind nor spec"
        kind = closest(self.kind, (KIND, _RESILIENCY)) if self.kind else KIND
        if self.is_configuration:
            which = f"{_CONFIGURATION} {quoted(self.name)}" if self.name else f"a {_CONFIGURATION}"
            return f"{which} takes effect by --config FILE"
        if kind is None:
            return f"{quoted(self.kind)} is not a {KIND}"
        if isinstance(version, str) and closest(version, (API_VERSION,)) is None:
            return f"a {kind} of {quoted(version)} is not one of {API_VERSION}"
        return None

    @property
    def is_resiliency(self) -> bool:
        """Whether this document is read as a Resiliency, and not as a component."""
        return bool(self.kind) and self.kind != KIND and closest(self.kind, (KIND, _RESILIENCY)) == _RESILIENCY

    def read_resiliency(self) -> Resiliency:
        """Return the Resiliency. Raises InvalidManifestError like `read_component`."""
        from pannier_crds.resiliency import Resiliency  # imported here, because few folders have one

        return self._read(Resiliency.from_manifest)

    @property
    def is_configuration(self) -> bool:
        """Whether this document is meant to be a Configuration."""
        version = self.manifest.get("apiVersion")
        if self.kind in ("", KIND, _RESILIENCY) or (isinstance(version, str) and not closest(version, (API_VERSION,))):
            return False
        return closest(self.kind, (KIND, _RESILIENCY, _CONFIGURATION)) == _CONFIGURATION

    def read_configuration(self) -> Configuration:
        """Return the Configuration. Raises InvalidManifestError like `read_component`."""
        from pannier_crds.configuration import Configuration  # imported here, because few sidecars have one

        return self._read(Configuration.from_manifest)

    def read_component(self) -> Component:
        """Return the component. Raises InvalidManifestError with the problems of text and structure, by line."""
        return self._read(Component.from_manifest)

    def _read(self, read: Callable[[Mapping[str, object]], Read]) -> Read:
        if self.root is None:
            raise InvalidManifestError(self.problems)
        try:
            found = read(self.manifest)
        except InvalidManifestError as invalid:
            raise InvalidManifestError(self.place((*self.problems, *invalid.problems))) from None
        if self.problems:
            raise InvalidManifestError(self.place(self.problems))
        return found

    def line_of(self, field_path: str) -> int:
        """Return the line of a field, counted from 1; for a missing field, the line of the innermost part around it."""
        if self.root is None:
            return self.problems[0].line or 1 if self.problems else 1
        line, node = self.root.line, self.root
        for match in _SEGMENT.finditer(field_path):
            found = _entry(node, match[1]) if match[1] is not None else _value(node, match[2])
            if found is None:
                break
            line, node = found
        return line

    def place(self, problems: Iterable[Problem]) -> list[Problem]:
        """Return the problems with their lines, in the order of the lines."""
        placed = [
            problem if problem.line is not None else replace(problem, line=self.line_of(problem.field))
            for problem in problems
        ]
        return sorted(placed, key=lambda problem: problem.line or 0)


def read_documents(text: str | bytes, source: str = "") -> list[Document]:
    """Return the documents of a file in their order. Lists of components are split up, and empty documents left out.

    Never raises: if the text is broken, the last document has a problem that says where. Bytes are read as UTF-8.
    """
    from pannier_crds.yaml_nodes import YamlSyntaxError, read_trees  # imported here: a pod's sidecar reads JSON

    decoded = _decode(text)
    if isinstance(decoded, Problem):
        return [Document({}, source, (decoded,))]
    documents: list[Document] = []
    try:
        for tree in read_trees(decoded):
            documents.extend(documents_of(tree, source))
    except YamlSyntaxError as broken:
        documents.append(Document({}, source, (broken.problem,)))
    return documents


def write_document(manifest: Mapping[str, object]) -> str:
    """Return the YAML that `read_documents` reads back as the same manifest; keys keep their order."""
    import yaml  # imported here: reading does not need the part of PyYAML that writes

    from pannier_crds.plain_scalars import resolve_plain

    class Dumper(yaml.SafeDumper):
        """Quotes texts that Kubernetes would read as something else, such as 1e3, and texts that are not plain
        ASCII.
        """

    def represent(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
        style = None if text.isascii() and text.isprintable() and resolve_plain(text) == text else '"'
        return dumper.represent_scalar("tag:yaml.org,2002:str", text, style=style)

    Dumper.add_representer(str, represent)
    return yaml.dump(dict(manifest), Dumper=Dumper, sort_keys=False, allow_unicode=True, width=10_000)


def _decode(text: str | bytes) -> str | Problem:
    if len(text) > MAX_BYTES:
        return Problem("error", "", "the file is larger than 1 MiB", "split it, one component a file", 1)
    if isinstance(text, str):
        return text.removeprefix("\ufeff")
    try:
        return text.decode("utf-8-sig")
    except UnicodeDecodeError as wrong:
        line = text.count(b"\n", 0, wrong.start) + 1
        return Problem("error", "", "the file is not UTF-8 text", "save it as UTF-8", line)


def documents_of(tree: Tree, source: str) -> Iterator[Document]:
    """Yield the document of a tree, or those of a list of components."""
    manifest = tree.root.plain()
    if not isinstance(manifest, dict):
        message = f"the document is {kind_of(manifest)}, not a component"
        advice = f"start it with 'apiVersion: {API_VERSION}' and 'kind: {KIND}'"
        yield Document({}, source, (Problem("error", "", message, advice, tree.root.line),))
        return
    items = tree.root.content.get("items") if isinstance(tree.root.content, dict) else None
    if manifest.get("kind") in _LISTS and items is not None and isinstance(items[1].content, list):
        for index, item in enumerate(items[1].content):
            yield from documents_of(Tree(item, _inside(tree.problems, f"items[{index}].")), source)
    else:
        manifest, spelling = as_dapr_reads(manifest)
        problems = (*tree.problems, *(problem for problem in spelling if problem.is_error))
        remarks = tuple(problem for problem in spelling if not problem.is_error)
        yield Document(manifest, source, problems, tree.root, remarks)


def _inside(problems: list[Problem], prefix: str) -> list[Problem]:
    return [
        replace(problem, field=problem.field.removeprefix(prefix))
        for problem in problems
        if problem.field.startswith(prefix)
    ]


def _value(node: Node, key: str) -> tuple[int, Node] | None:
    """Return the line and the value of that key, or of the same key in another case."""
    if not isinstance(node.content, dict):
        return None
    lower = key.lower()
    return node.content.get(key) or next((value for name, value in node.content.items() if name.lower() == lower), None)


def _entry(node: Node, name: str) -> tuple[int, Node] | None:
    """Return the line and the content of the list entry with that `name`, ignoring case, or of the one at
    that index.
    """
    if not isinstance(node.content, list):
        return None
    for entry in node.content:
        written = _value(entry, "name")
        if written is not None and str(written[1].content).lower() == name.lower():
            return entry.line, entry
    index = int(name) if name.isascii() and name.isdigit() and len(name) < 6 else len(node.content)
    return (node.content[index].line, node.content[index]) if index < len(node.content) else None
