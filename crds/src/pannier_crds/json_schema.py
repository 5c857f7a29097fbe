"""The catalogue as a JSON Schema (draft 7), which editors and pipelines use to complete and check component files.

It accepts every manifest that `checks` accepts, except that it knows no settings beyond the catalogue's: an editor
marks a setting that would have no effect, where `pannier check` warns. It cannot compare one field with another, so it
also accepts manifests that `checks` refuses. Manifests of other kinds may be in the same file, and are not looked at.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from pannier_crds import catalogue
from pannier_crds.catalogue.names import MODULES
from pannier_crds.catalogue.settings import INTEGER, NUMBER
from pannier_crds.checks import OTHER_BUILDING_BLOCKS
from pannier_crds.component import API_VERSION, DEFAULT_INIT_TIMEOUT, KIND
from pannier_crds.pluggable import ALIKE_LENGTHS, ALIKE_LETTERS, known_store_names
from pannier_crds.values import FALSE_WORDS, TRUE_WORDS

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from pannier_crds.catalogue import ComponentType, Field

__all__ = ["component_schema"]

Schema = dict[str, Any]

DRAFT: Final = "http://json-schema.org/draft-07/schema#"
_LITERAL: Final = {".": r"\."}  # names have no other character that means something in a pattern
_TEXT: Final[Schema] = {"type": ["string", "number", "boolean", "null"]}
"""A value may be any scalar: YAML reads `6379` as a number, and the catalogue reads its text."""


def component_schema() -> Schema:
    """Return the schema of component files, as data that `json` can write."""
    types = catalogue.known_types()
    return {
        "$schema": DRAFT,
        "title": "Component of Pannier or Dapr",
        "if": {"properties": {"apiVersion": {"const": API_VERSION}, "kind": {"const": KIND}}, "required": ["kind"]},
        "then": {"$ref": "#/definitions/component"},
        "definitions": {
            "component": _component(types),
            "entry": _entry(),
            "boolean": _boolean(),
            "integer": _numbers(INTEGER.pattern),
            "number": _numbers(NUMBER.pattern),
            "text": _TEXT,
            **{_definition(kind): _settings(kind) for kind in types},
        },
    }


def _component(types: Sequence[ComponentType]) -> Schema:
    return {
        "type": "object",
        "required": ["apiVersion", "kind", "metadata", "spec"],
        "properties": {
            "apiVersion": {"const": API_VERSION},
            "kind": {"const": KIND},
            "metadata": {
                "type": "object",
                "required": ["name"],
                "properties": {
                    "name": {"type": "string", "pattern": r"\S", "description": "The store's name in calls"}
                },
            },
            "spec": _spec(),
            "auth": {
                "type": ["object", "null"],
                "properties": {
                    "secretStore": {
                        "type": ["string", "null"],
                        "description": "Component of a secret store that secretKeyRef is looked up in",
                    }
                },
            },
            "scopes": {
                "type": ["array", "null"],
                "items": {"type": "string"},
                "description": "App ids of the apps that may use it; left out: every app of its namespace",
            },
        },
        "allOf": [_settings_of(kind) for kind in types],
    }


def _spec() -> Schema:
    return {
        "type": "object",
        "required": ["type"],
        "properties": {
            "type": _type(),
            "version": {"type": ["string", "null"], "description": "Version of the type; left out: its first one"},
            "metadata": {"type": ["array", "null"], "items": {"$ref": "#/definitions/entry"}},
            "ignoreErrors": {
                "type": ["boolean", "null"],
                "description": "Whether a sidecar starts without this store if it can't be opened",
            },
            "initTimeout": {
                "type": ["string", "null"],
                "description": f"How long opening it may take, such as 30s; left out: {DEFAULT_INIT_TIMEOUT:g}s",
            },
        },
    }


def _type() -> Schema:
    """Return the schema of a type: of the catalogue, of a pluggable component, or of another building block of Dapr."""
    titles = {name: kind.title for kind in catalogue.known_types() for name in (kind.name, *kind.aliases)}
    stores = "|".join(_in_any_case(name) for name in catalogue.stores_of_dapr_alone())
    alike = "|".join(f"{_in_any_case(start)}.{{{low},{high}}}" for start, low, high in _misspellings())
    blocks = "|".join(map(_in_any_case, sorted(OTHER_BUILDING_BLOCKS)))
    return {
        "type": "string",
        "description": "What the component is",
        "anyOf": [
            {"enum": list(MODULES), "enumDescriptions": [titles[name] for name in MODULES]},
            {"pattern": _whole("|".join(map(_in_any_case, MODULES)))},
            {"pattern": rf"^\s*(?:{blocks})\."},
            {
                "pattern": rf"^\s*{_in_any_case('state.')}\S",
                "not": {"pattern": _whole(f"{stores}|{_in_any_case('state.')}(?:{alike})")},
            },
        ],
    }


def _misspellings() -> Iterator[tuple[str, int, int]]:
    """Yield how misspelt names of stores begin, and how many characters they have after that: from, to."""
    for name in known_store_names():
        start = name[:ALIKE_LETTERS]
        further = len(name) - len(start)
        yield start, max(further - ALIKE_LENGTHS, 0), further + ALIKE_LENGTHS


def _entry() -> Schema:
    return {
        "type": "object",
        "required": ["name"],
        "properties": {
            "name": {"type": "string", "pattern": r"\S"},
            "value": {"$ref": "#/definitions/text"},
            "secretKeyRef": {
                "type": ["object", "null"],
                "required": ["name"],
                "properties": {
                    "name": {"type": "string", "description": "Name of the secret"},
                    "key": {"type": ["string", "null"], "description": "Key in the secret; left out: its name"},
                },
            },
            "envRef": {"type": ["string", "null"], "description": "Name of the sidecar's variable that has the value"},
        },
    }


def _boolean() -> Schema:
    words = "|".join(map(_in_any_case, (*TRUE_WORDS, *FALSE_WORDS)))
    return {
        "anyOf": [
            {"enum": ["true", "false"]},
            {"type": ["boolean", "null"]},
            {"enum": [0, 1]},
            {"type": "string", "pattern": _whole(words, or_empty=True)},
        ]
    }


def _numbers(pattern: str) -> Schema:
    return {"type": ["string", "number", "null"], "pattern": _whole(pattern, or_empty=True)}


def _settings_of(kind: ComponentType) -> Schema:
    """Return the condition under which a component has the settings of a type and its versions."""
    versions = [*kind.versions]
    first = catalogue.component_type(kind.name)
    is_first = first is not None and first.versions == kind.versions
    spec: Schema = {
        "required": ["type"] if is_first else ["type", "version"],
        "properties": {
            "type": {"pattern": _whole("|".join(map(_in_any_case, (kind.name, *kind.aliases))))},
            "version": {
                "anyOf": [_version(versions), {"enum": ["", None, "v0"]}] if is_first else [_version(versions)]
            },
        },
    }
    return {
        "if": {"properties": {"spec": spec}, "required": ["spec"]},
        "then": {"properties": {"spec": {"$ref": f"#/definitions/{_definition(kind)}"}}},
    }


def _version(versions: Sequence[str]) -> Schema:
    return {"type": "string", "pattern": _whole("|".join(map(_in_any_case, versions)))}


def _definition(kind: ComponentType) -> str:
    return f"{kind.name}.{kind.versions[0]}"


def _settings(kind: ComponentType) -> Schema:
    """Return the schema of `spec` of one type: its settings, and those that it must have."""
    named = {name: field for field in kind.fields for name in (field.name, *field.aliases)}
    shown = {name: field for name, field in named.items() if field.has_effect and field.stands_for is None}
    names = {
        "anyOf": [
            {"enum": list(shown), "enumDescriptions": [_description(field) for field in shown.values()]},
            {"pattern": _whole("|".join(map(_in_any_case, named)))},
        ]
    }
    items: Schema = {"properties": {"name": names}}
    if values := list(_values(kind.fields)):
        items["allOf"] = values
    settings: Schema = {"properties": {"metadata": {"items": items}}}
    required = [list(_spellings(kind, field)) for field in kind.fields if field.required]
    if required:
        settings["required"] = ["metadata"]
        settings["properties"]["metadata"] |= {"type": "array", "allOf": [_contains(names) for names in required]}
    return settings


def _contains(names: Iterable[str]) -> Schema:
    return {"contains": {"required": ["name"], "properties": {"name": _one_of(names)}}}


def _spellings(kind: ComponentType, wanted: Field) -> Iterator[str]:
    for field in kind.fields:
        if field.canonical_name == wanted.name:
            yield from (field.name, *field.aliases)


def _values(fields: Iterable[Field]) -> Iterator[Schema]:
    """Yield what the value of each field must be; fields with the same values share a condition."""
    alike: dict[str, tuple[Schema, list[str]]] = {}
    for field in fields:
        schema = _value(field)
        if schema is not None:
            alike.setdefault(repr(schema), (schema, []))[1].extend((field.name, *field.aliases))
    for schema, names in alike.values():
        yield {"if": {"properties": {"name": _one_of(names)}}, "then": {"properties": {"value": schema}}}


def _value(field: Field) -> Schema | None:
    """Return the schema of a field's value; None if any scalar will do, or if the field has no effect."""
    if not field.has_effect:
        return None
    if field.kind == "boolean":
        return {"$ref": "#/definitions/boolean"}
    if field.kind == "choice":
        words = "|".join(map(_in_any_case, field.choices))
        return {"anyOf": [{"enum": list(field.choices)}, {"pattern": _whole(words, or_empty=True)}, {"type": "null"}]}
    if field.kind in ("integer", "number"):
        limits = {"minimum": field.minimum, "maximum": field.maximum}
        given = {name: limit for name, limit in limits.items() if limit is not None}
        reference = {"$ref": f"#/definitions/{field.kind}"}
        return {"allOf": [reference, given]} if given else reference
    return None


def _one_of(names: Iterable[str]) -> Schema:
    return {"pattern": _whole("|".join(map(_in_any_case, names)))}


def _description(field: Field) -> str:
    parts = [field.description]
    if field.default is not None and field.default != "":
        parts.append(f"default: {str(field.default).lower() if isinstance(field.default, bool) else field.default}")
    if field.sensitive:
        parts.append("a secret: write secretKeyRef")
    return "; ".join(filter(None, parts))


def _whole(pattern: str, *, or_empty: bool = False) -> str:
    """Return a pattern, in the dialect of ECMA 262, for a text that matches it between white space."""
    return rf"^\s*(?:{pattern}){'?' if or_empty else ''}\s*$"


def _in_any_case(name: str) -> str:
    """Return a pattern for a name in any case: JSON Schema has no other way to ignore it."""
    return "".join(
        f"[{letter.lower()}{letter.upper()}]" if letter.isalpha() else _LITERAL.get(letter, letter) for letter in name
    )
