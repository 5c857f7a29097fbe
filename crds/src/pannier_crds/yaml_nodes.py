"""Parses YAML text into a tree that has the line of every field, within limits that no text can exceed.

The tree is built from parser events, without recursion, so deep nesting and multiplying anchors are stopped while they
are read. Plain scalars mean the same as in Kubernetes and Dapr; nothing in a text can name a Python object.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import yaml

from pannier_crds.nodes import MAX_DEPTH, Node, Tree
from pannier_crds.plain_scalars import resolve_plain
from pannier_crds.problems import Problem, one_line, quoted

if TYPE_CHECKING:
    from collections.abc import Iterator

MAX_NODES: Final = 100_000
"""Nodes of one document, counted after aliases have been replaced by what they stand for."""
MAX_DOCUMENTS: Final = 1_000

_MAX_PROBLEMS: Final = 100

_LOADER: Final = getattr(yaml, "CSafeLoader", yaml.SafeLoader)

_TAG: Final = "tag:yaml.org,2002:"
_SCALAR_TAGS: Final = frozenset(_TAG + name for name in ("str", "int", "float", "bool", "null"))


class YamlSyntaxError(Exception):
    """Text that is not YAML, or breaks a limit; `problem` has the line."""

    def __init__(self, line: int, message: str, advice: str) -> None:
        super().__init__(message)
        self.problem = Problem("error", "", message, advice, line)


def read_trees(text: str, *, keeps_text: bool = False) -> Iterator[Tree]:
    """Yield the documents of a text; empty ones are left out. Raises YamlSyntaxError at the first that is broken.

    With `keeps_text` a scalar is None or the text that was written, so that 1.10 does not become 1.1.
    """
    builder = _Builder(keeps_text)
    documents = 0
    try:
        for event in yaml.parse(text, Loader=_LOADER):
            builder.take(event)
            if isinstance(event, yaml.DocumentEndEvent):
                documents += 1
                if documents > MAX_DOCUMENTS:
                    raise YamlSyntaxError(
                        _line(event), f"more than {MAX_DOCUMENTS} documents in one file", "split the file"
                    )
                if builder.root is not None and builder.root.content is not None:
                    yield Tree(builder.root, builder.problems)
                builder = _Builder(keeps_text)
    except yaml.YAMLError as broken:
        raise _translated(broken, text) from None
    except UnicodeEncodeError:
        raise YamlSyntaxError(1, "the text holds half of a surrogate pair", "save the file as UTF-8") from None


class _Frame:
    """A list or mapping that is being read."""

    __slots__ = ("anchor", "key", "key_line", "merged", "node")

    def __init__(self, node: Node, anchor: str | None) -> None:
        self.node = node
        self.anchor = anchor
        self.key: str | None = None
        self.key_line = 0
        self.merged: list[Node] = []


class _Builder:
    """Builds the tree of one document."""

    def __init__(self, keeps_text: bool) -> None:
        self._keeps_text = keeps_text
        self.root: Node | None = None
        self.problems: list[Problem] = []
        self._frames: list[_Frame] = []
        self._anchors: dict[str, Node] = {}

    def take(self, event: Any) -> None:
        if isinstance(event, yaml.ScalarEvent):
            self._add_scalar(event)
        elif isinstance(event, yaml.AliasEvent):
            self._add_alias(event)
        elif isinstance(event, yaml.MappingStartEvent):
            self._open(event, Node(_line(event), {}), "map")
        elif isinstance(event, yaml.SequenceStartEvent):
            self._open(event, Node(_line(event), []), "seq")
        elif isinstance(event, yaml.MappingEndEvent | yaml.SequenceEndEvent):
            self._close(_line(event))

    def _add_scalar(self, event: Any) -> None:
        line = _line(event)
        if event.tag not in (None, "!") and event.tag not in _SCALAR_TAGS:
            raise _unknown_tag(event)
        is_plain = event.implicit[0] or (event.tag in _SCALAR_TAGS and event.tag != _TAG + "str")
        if self._wants_key():
            self._set_key(event.value, line)
            return
        resolved = resolve_plain(event.value) if is_plain else event.value
        node = Node(line, event.value if self._keeps_text and resolved is not None else resolved)
        if event.anchor is not None:
            self._anchors[event.anchor] = node
        self._attach(node, line)

    def _add_alias(self, event: Any) -> None:
        line = _line(event)
        node = self._anchors.get(event.anchor)
        if node is None:
            # The message does not show the name, because it may be a password that begins with '*'.
            advice = "put quotes around a value that begins with '*', or define the anchor before its use"
            raise YamlSyntaxError(line, "'*' stands for an anchor, and none of this name is defined here", advice)
        if self._wants_key():
            if isinstance(node.content, list | dict):
                raise _key_is_no_text(line)
            self._set_key(str(node.content), line)
            return
        if len(self._frames) + node.depth > MAX_DEPTH:
            raise _too_deep(line)
        self._attach(node, line)

    def _open(self, event: Any, node: Node, tag: str) -> None:
        if event.tag not in (None, "!", _TAG + tag):
            raise _unknown_tag(event)
        if self._wants_key():
            raise _key_is_no_text(node.line)
        if len(self._frames) >= MAX_DEPTH:
            raise _too_deep(node.line)
        self._frames.append(_Frame(node, event.anchor))

    def _close(self, line: int) -> None:
        frame = self._frames.pop()
        node = frame.node
        if isinstance(node.content, dict):
            for merged in frame.merged:
                for key, entry in _entries(merged):
                    node.content.setdefault(key, entry)
        if frame.anchor is not None:
            self._anchors[frame.anchor] = node
        self._attach(node, line)

    def _wants_key(self) -> bool:
        frame = self._frames[-1] if self._frames else None
        return frame is not None and frame.key is None and isinstance(frame.node.content, dict)

    def _set_key(self, key: str, line: int) -> None:
        self._frames[-1].key = key
        self._frames[-1].key_line = line

    def _attach(self, node: Node, line: int) -> None:
        if not self._frames:
            self.root = node
            return
        frame = self._frames[-1]
        parent = frame.node
        parent.size += node.size
        parent.depth = max(parent.depth, node.depth + 1)
        if parent.size > MAX_NODES:
            advice = "split the document; a component has a few dozen fields"
            raise YamlSyntaxError(line, f"more than {MAX_NODES} values in one document, aliases written out", advice)
        if isinstance(parent.content, list):
            parent.content.append(node)
        elif isinstance(parent.content, dict):
            self._set_entry(frame, parent.content, node)

    def _set_entry(self, frame: _Frame, content: dict[str, tuple[int, Node]], node: Node) -> None:
        key, frame.key = frame.key or "", None
        if key == "<<" and _is_mergeable(node):
            frame.merged.append(node)
        elif key not in content:
            content[key] = (frame.key_line, node)
        elif len(self.problems) < _MAX_PROBLEMS:
            self.problems.append(self._duplicate(key, content[key][0], frame.key_line))

    def _duplicate(self, key: str, first_line: int, line: int) -> Problem:
        path = ".".join(part for part in (self._path(), one_line(key)) if part)
        message = f"{quoted(key)} is written twice, first in line {first_line}"
        return Problem("error", path, message, "keep one of the two", line)

    def _path(self) -> str:
        """Return the path of the innermost open mapping."""
        path = ""
        for frame in self._frames[:-1]:
            if isinstance(frame.node.content, list):
                path += f"[{len(frame.node.content)}]"
            else:
                path += ("." if path else "") + one_line(frame.key or "")
        return path


def _is_mergeable(node: Node) -> bool:
    if isinstance(node.content, list):
        return all(isinstance(entry.content, dict) for entry in node.content)
    return isinstance(node.content, dict)


def _entries(merged: Node) -> Iterator[tuple[str, tuple[int, Node]]]:
    if isinstance(merged.content, dict):
        yield from merged.content.items()
    elif isinstance(merged.content, list):
        for node in merged.content:
            yield from _entries(node)


def _line(event: Any) -> int:
    return int(event.start_mark.line) + 1


def _unknown_tag(event: Any) -> YamlSyntaxError:
    advice = "put quotes around a value that begins with '!', or remove the tag"
    return YamlSyntaxError(_line(event), "'!' begins a tag, and this one has no meaning here", advice)


def _key_is_no_text(line: int) -> YamlSyntaxError:
    return YamlSyntaxError(line, "a key is not text", "write 'key: value', and put quotes around {{ }}")


def _too_deep(line: int) -> YamlSyntaxError:
    return YamlSyntaxError(
        line, f"nested more than {MAX_DEPTH} levels deep", "write it flatter; a component has 5 levels"
    )


def _translated(broken: Exception, text: str) -> YamlSyntaxError:
    """Return the parser's error with its line and, if known, what to do."""
    mark = getattr(broken, "problem_mark", None) or getattr(broken, "context_mark", None)
    if mark is None:  # a character that YAML does not allow
        position = getattr(broken, "position", 0)
        line = text.count("\n", 0, position) + 1
        return YamlSyntaxError(line, "broken YAML: a control character", "save the file as UTF-8 text without it")
    message = getattr(broken, "problem", None) or "it ends too early"
    lines = text.split("\n")
    line = min(mark.line, len(lines) - 1)
    while line > 0 and not lines[line].strip():  # an error at the end is shown in the last line that is not empty
        line -= 1
    return YamlSyntaxError(line + 1, f"broken YAML: {one_line(message)}", _advice_of(message, lines[line]))


def _advice_of(message: str, written: str) -> str:
    if "\t" in written[: len(written) - len(written.lstrip())] or "'\\t'" in message:
        return "indent with spaces, not tabs"
    if "mapping values are not allowed" in message:
        return "put quotes around a value that holds ': ', or check the indentation"
    if "cannot start any token" in message:
        return "put quotes around a value that starts with @, ` or %"
    return "check quotes, brackets and indentation in this line and the one before"
