"""A manifest from a file as Dapr reads it: the case of field names is ignored, and numbers may replace texts.

A cluster's API server knows only the exact names and drops all others, so the same file may mean something else there.
Each such name causes a warning.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

from pannier_crds.problems import error, one_line, quoted, warning
from pannier_crds.structure import scalar_text

if TYPE_CHECKING:
    from pannier_crds.problems import Problem

_TOP: Final = ("apiVersion", "kind", "metadata", "spec", "auth", "scopes")
_METADATA: Final = ("name", "namespace")
_SPEC: Final = ("type", "version", "metadata", "ignoreErrors", "initTimeout", "scopes", "auth")
_ITEM: Final = ("name", "value", "secretKeyRef", "envRef")
_REFERENCE: Final = ("name", "key")
_AUTH: Final = ("secretStore",)
_MAX_ENTRIES: Final = 1_000


def as_dapr_reads(manifest: Mapping[str, object]) -> tuple[dict[str, Any], list[Problem]]:
    """Return the manifest with its fields under their exact names, and problems for those that were spelt otherwise."""
    problems: list[Problem] = []
    top = _named(manifest, _TOP, "", problems)
    top["metadata"] = _part(top, "metadata", _METADATA, "", problems)
    for field in _METADATA:
        _make_text(top["metadata"], field)
    top["auth"] = _part(top, "auth", _AUTH, "", problems)
    spec = top["spec"] = _part(top, "spec", _SPEC, "", problems)
    if isinstance(spec, dict) and isinstance(spec.get("metadata"), list):
        spec["metadata"] = [
            _item(entry, f"spec.metadata[{index}]", problems) if index < _MAX_ENTRIES else entry
            for index, entry in enumerate(spec["metadata"])
        ]
    return {name: value for name, value in top.items() if name in manifest or value is not None}, problems


def _item(entry: object, path: str, problems: list[Problem]) -> object:
    if not isinstance(entry, Mapping):
        return entry
    item = _named(entry, _ITEM, path, problems)
    reference = item.get("secretKeyRef")
    if isinstance(reference, Mapping):
        item["secretKeyRef"] = _named(reference, _REFERENCE, f"{path}.secretKeyRef", problems)
    return item


def _part(parent: dict[str, Any], name: str, known: tuple[str, ...], path: str, problems: list[Problem]) -> Any:
    value = parent.get(name)
    return _named(value, known, f"{path}.{name}" if path else name, problems) if isinstance(value, Mapping) else value


def _named(mapping: Mapping[str, object], known: tuple[str, ...], path: str, problems: list[Problem]) -> dict[str, Any]:
    by_lower = {name.lower(): name for name in known}
    found: dict[str, Any] = {}
    for key, value in mapping.items():
        name = by_lower.get(str(key).lower(), key)
        if name != key:
            where = ".".join(filter(None, (path, one_line(key))))
            if name in mapping or name in found:
                problems.append(error(where, f"{quoted(name)} is given twice, in another case", "keep one of the two"))
                continue
            advice = f"write {quoted(name)}: Kubernetes knows no other spelling"
            problems.append(warning(where, f"is taken for {quoted(name)}, as by Dapr", advice))
        found[name] = value
    return found


def _make_text(mapping: object, field: str) -> None:
    """Turn a number or a boolean into text where a text is expected, as Dapr does."""
    if isinstance(mapping, dict) and isinstance(mapping.get(field), int | float):
        mapping[field] = scalar_text(mapping[field]) or mapping[field]
