"""A document as a tree that has the line of every field."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from pannier_crds.plain_scalars import Scalar
    from pannier_crds.problems import Problem

MAX_BYTES: Final = 1024 * 1024
MAX_DEPTH: Final = 64


@dataclass(slots=True)
class Node:
    """A scalar, a list of nodes, or a mapping from key to the key's line and its node."""

    line: int
    content: Scalar | list[Node] | dict[str, tuple[int, Node]]
    size: int = 1
    depth: int = 0

    def plain(self) -> object:
        """Return the node as plain Python values."""
        if isinstance(self.content, dict):
            return {key: node.plain() for key, (_, node) in self.content.items()}
        if isinstance(self.content, list):
            return [node.plain() for node in self.content]
        return self.content


@dataclass(slots=True)
class Tree:
    """One document: its root, and the problems that did not prevent reading it."""

    root: Node
    problems: list[Problem]
