"""The form of JSON in which the operator delivers components and policies: each content has one text.

So a reader who finds exactly this text knows the line of each field, and that no name is written twice, from the
content alone, without a YAML parser. Any other text is read as YAML. The text is YAML too, with the same meaning,
because sidecars of earlier versions read it as that.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

from pannier_crds.nodes import MAX_DEPTH, Node, Tree

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    Quote = Callable[[str], str]
    """Returns a text as a string of JSON, in which nothing is escaped that need not be."""

_MAX_KEY_CHARS: Final = 256
"""YAML's limit for a key is 1,024 characters with its quotes and escapes."""
_MAX_INTEGER: Final = 2**53
"""Beyond it, programs round integers differently."""
_ESCAPED: Final = re.compile("[\\x7f-\\x9f\\u2028\\u2029\\ufeff\\ufffe\\uffff]")
"""Characters that JSON leaves as they are, and that YAML forbids or takes for the end of a line."""


def write(manifest: Mapping[str, object], quote: Quote) -> str:
    """Return the text of a manifest. Raises ValueError for a value that YAML may read differently, such as 1e3."""
    return _Writer(quote).text_of(manifest)


def read(text: str, content: object, quote: Quote) -> Tree | None:
    """Return the tree of a text, given its content as JSON; None if the text has another form."""
    writer = _Writer(quote)
    try:
        is_canonical = writer.text_of(content) == text
    except ValueError:
        return None
    return Tree(writer.root, []) if is_canonical else None


class _Writer:
    """Writes a content, with a line for each field, and makes its tree."""

    def __init__(self, quote: Quote):
        self._quote = quote
        self._parts: list[str] = []
        self._line = 1
        self._depth = 0
        self.root = Node(1, None)

    def text_of(self, content: object) -> str:
        self.root = self._write(content)
        return "".join([*self._parts, "\n"])

    def _write(self, content: object) -> Node:
        node = Node(self._line, None)
        if isinstance(content, dict) and content:
            node.content = fields = {}
            for key, value in self._lines("{}", content.items()):
                self._parts.append(self._key(key))
                fields[key] = self._line, self._write(value)
        elif isinstance(content, list) and content:
            node.content = [self._write(value) for value in self._lines("[]", content)]
        else:
            self._parts.append(self._leaf(content, node))
        return node

    def _lines(self, brackets: str, entries: Iterable[Any]) -> Iterator[Any]:
        """Yield entries, each to be written into a line of its own."""
        if self._depth == MAX_DEPTH:
            raise ValueError("it is nested too deeply")
        separator = brackets[0]
        self._depth += 1
        for entry in entries:
            self._begin_line(separator)
            yield entry
            separator = ","
        self._depth -= 1
        self._begin_line("")
        self._parts.append(brackets[1])

    def _begin_line(self, end_of_last: str) -> None:
        self._parts.append(f"{end_of_last}\n{' ' * self._depth}")
        self._line += 1

    def _key(self, key: str) -> str:
        if key == "<<" or len(key) > _MAX_KEY_CHARS:
            raise ValueError("a name that YAML reads differently")
        return f"{self._text(key)}: "

    def _leaf(self, content: object, node: Node) -> str:
        if isinstance(content, str):
            node.content = content
            return self._text(content)
        if isinstance(content, bool) or content is None:
            node.content = content
            return "null" if content is None else "true" if content else "false"
        if isinstance(content, int) and abs(content) <= _MAX_INTEGER:
            node.content = content
            return str(content)
        if content == [] or content == {}:
            node.content = [] if isinstance(content, list) else {}
            return "[]" if isinstance(content, list) else "{}"
        raise ValueError("a value that YAML may read differently")

    def _text(self, text: str) -> str:
        return _ESCAPED.sub(lambda found: f"\\u{ord(found[0]):04x}", self._quote(text))
