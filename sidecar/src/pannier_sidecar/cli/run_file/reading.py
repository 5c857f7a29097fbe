"""Reads a run file: each field as it is written, with its line, and everything that is wrong with the form.

Dapr ignores a field that it does not know, and one in another case; here both are errors.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from msgspec import Struct

from pannier_crds.nodes import MAX_BYTES, Node
from pannier_crds.problems import Problem, quoted
from pannier_crds.suggestions import closest
from pannier_crds.yaml_nodes import YamlSyntaxError, read_trees
from pannier_sidecar.cli.run_file.fields import BY_NAME, DESTINATIONS, OF_ALL, OF_ONE_APP, TOP, Field

_VERSION: Final = "1"


class Written(Struct, frozen=True):
    """The value of a field: a text, a list of texts or a mapping of texts, and where it is written."""

    value: Any
    path: str
    """The field, such as `apps[0].appPort`."""
    line: int

    def problem(self, message: str, advice: str) -> Problem:
        return Problem("error", self.path, message, advice, self.line)


class RunFile(Struct, frozen=True):
    """What a run file says."""

    name: str
    common: Mapping[str, Written]
    apps: list[Mapping[str, Written]]
    lines: list[int]
    """The line in which each app begins."""


def read(text: bytes) -> tuple[RunFile | None, list[Problem]]:
    """Return what the file says, and everything wrong with it. Without a file that can be read, the first is None."""
    root, problems = _root_of(text)
    if root is None:
        return None, problems
    reader = _Reader(problems)
    reader.refuse_unknown(root, "", TOP, ())
    version = _scalar(root, "version")
    if version != _VERSION:
        is_there = version is not None
        message = f"{quoted(str(version))} is not a known version" if is_there else "is missing"
        problems.append(Problem("error", "version", message, "write 'version: 1'", _line(root, "version")))
    common = reader.fields(root, "common", OF_ALL) if "common" in _mapping(root) else {}
    apps, lines = reader.apps(root)
    return RunFile(_scalar(root, "name") or "", common, apps, lines), problems


def _root_of(text: bytes) -> tuple[Node | None, list[Problem]]:
    if len(text) > MAX_BYTES:
        return None, [Problem("error", "", "the file is larger than 1 MiB", "name a run file", 1)]
    try:
        trees = list(read_trees(text.decode("utf-8-sig"), keeps_text=True))
    except UnicodeDecodeError:
        return None, [Problem("error", "", "the file is not UTF-8 text", "save it as UTF-8", 1)]
    except YamlSyntaxError as broken:
        return None, [broken.problem]
    if len(trees) != 1 or not isinstance(trees[0].root.content, dict):
        return None, [Problem("error", "", "the file is no run file", "write 'version: 1' and 'apps:'", 1)]
    return trees[0].root, list(trees[0].problems)


class _Reader:
    """Collects what is wrong."""

    def __init__(self, problems: list[Problem]):
        self.problems = problems

    def apps(self, root: Node) -> tuple[list[Mapping[str, Written]], list[int]]:
        line, node = _mapping(root).get("apps", (1, Node(1, None)))
        if not isinstance(node.content, list) or not node.content:
            self.problems.append(Problem("error", "apps", "has no app", "list at least one, with its appDirPath", line))
            return [], []
        found: list[Mapping[str, Written]] = [
            self._of_mapping(app, f"apps[{index}]", (*OF_ONE_APP, *OF_ALL)) for index, app in enumerate(node.content)
        ]
        return found, [app.line for app in node.content]

    def fields(self, root: Node, name: str, known: tuple[Field, ...]) -> Mapping[str, Written]:
        return self._of_mapping(_mapping(root)[name][1], name, known)

    def _of_mapping(self, node: Node, path: str, known: tuple[Field, ...]) -> dict[str, Written]:
        if node.content is None:
            return {}
        if not isinstance(node.content, dict):
            self.problems.append(Problem("error", path, "is no mapping", "write fields below it", node.line))
            return {}
        names = tuple(field.name for field in known)
        self.refuse_unknown(node, f"{path}.", names, tuple(BY_NAME))
        found = {}
        for name, (line, value) in node.content.items():
            if name in names and value.content is not None:
                written = Written(value.plain(), f"{path}.{name}", line)
                if self._has_form(BY_NAME[name], written):
                    found[name] = written
        return found

    def refuse_unknown(self, node: Node, prefix: str, known: tuple[str, ...], elsewhere: tuple[str, ...]) -> None:
        for name, (line, _) in _mapping(node).items():
            if name in known:
                continue
            if name in elsewhere:
                message, advice = "only an app has this field", "write it below the app in 'apps'"
            else:
                match = closest(name, known)
                message = f"there is no field {quoted(name)}"
                advice = f"write '{match}'" if match else f"the fields are {', '.join(known)}"
            self.problems.append(Problem("error", f"{prefix}{quoted(name)[1:-1]}", message, advice, line))

    def _has_form(self, field: Field, written: Written) -> bool:
        value, wrong = written.value, ""
        if field.form == "folders":
            wrong = "" if isinstance(value, str) or _are_texts(value) else "write a list of folders"
        elif field.form == "texts":
            wrong = "" if _are_texts(value) else 'write a list, such as ["python3", "app.py"]'
        elif field.form == "variables":
            wrong = (
                "" if isinstance(value, dict) and _are_texts([*value.values()], or_none=True) else "write NAME: value"
            )
        elif not isinstance(value, str):
            wrong = "write one value"
        elif field.form == "destination" and value not in DESTINATIONS:
            wrong = f"write {', '.join(DESTINATIONS[:-1])} or {DESTINATIONS[-1]}"
        if wrong:
            shown = f"{quoted(value)} can't be used" if isinstance(value, str) else "has another form"
            self.problems.append(written.problem(shown, wrong))
        return not wrong


def _are_texts(value: object, *, or_none: bool = False) -> bool:
    return isinstance(value, list) and all(isinstance(each, str) or (or_none and each is None) for each in value)


def _mapping(node: Node) -> dict[str, tuple[int, Node]]:
    return node.content if isinstance(node.content, dict) else {}


def _scalar(root: Node, name: str) -> str | None:
    content = _mapping(root).get(name, (0, Node(0, None)))[1].content
    return content if isinstance(content, str) else None


def _line(root: Node, name: str) -> int:
    return _mapping(root).get(name, (1, None))[0]
