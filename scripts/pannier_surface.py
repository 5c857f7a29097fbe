"""What Pannier has, by the names that its users write: each set is read from the table of the code that decides it."""

from __future__ import annotations

import ast
import re
from importlib import import_module
from pathlib import Path
from pkgutil import iter_modules
from typing import TYPE_CHECKING, NamedTuple

import yaml

import pannier_crds
import pannier_sidecar
from pannier_operator.injection import annotations
from pannier_sidecar.cli import flags
from pannier_sidecar.http_api.paths import ACTOR_STATE, DEFAULT_STORE, DOCUMENTATION, SECRETS, SIDECAR, STATE

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pannier_crds.catalogue import ComponentType, Field

ROOT = Path(__file__).parents[1]
SIDECAR_CODE = Path(pannier_sidecar.__path__[0])
DAPR_SERVICE = "dapr.proto.runtime.v1.Dapr/"
METRIC = re.compile(r"(dapr|pannier(?!_(sidecar|crds)\b)|process)_[a-z_*]*[a-z*]")


class Has(NamedTuple):
    """What is known of one name."""

    is_served: bool = True
    why_not: str = ""
    """What happens to a name that is accepted or refused without being served; empty if the code does not say."""


def kinds() -> dict[str, Has]:
    """Return the kinds of objects: those that a module of `pannier_crds` reads."""
    modules = [import_module(f"{pannier_crds.__name__}.{each.name}") for each in iter_modules(pannier_crds.__path__)]
    found = {getattr(module, "KIND", None) for module in modules}
    return {kind: Has() for kind in sorted(found - {None})}


def fields_of_kind(kind: str) -> dict[str, Has]:
    """Return the fields of a kind that its CustomResourceDefinition has; none for a kind without one."""
    for file in sorted((ROOT / "crds").glob("*.yaml")):
        spec = yaml.safe_load(file.read_text())["spec"]
        if spec["names"]["kind"] == kind:
            schema = spec["versions"][0]["schema"]["openAPIV3Schema"]
            return {path: Has() for path in _leaves(schema, "") if path.split(".")[0] not in ("metadata", "status")}
    return {}


def _leaves(schema: dict, path: str) -> Iterator[str]:
    if schema.get("type") == "array":
        items = schema["items"]
        yield from _leaves(items, f"{path}[]") if "properties" in items else [path]
    elif "properties" in schema:
        for name, inner in schema["properties"].items():
            yield from _leaves(inner, f"{path}.{name}" if path else name)
    else:
        yield path


def fields_of(kind: ComponentType, shared: list[Field]) -> dict[str, Has]:
    """Return the fields of a component type and their aliases, without those that every state store has."""
    return {
        name: Has(field.has_effect, _why_without_effect(field))
        for field in kind.fields
        if field not in shared
        for name in (field.name, *field.aliases)
    }


def _why_without_effect(field: Field) -> str:
    if field.refused:
        return f"refused: {field.refused[0]}"
    return f"accepted without effect, because {field.ignored}" if field.ignored else ""


def daprd_flags() -> dict[str, Has]:
    without = {name for flag in flags.WITHOUT_EFFECT for name in flag.names}
    return {name: Has(name not in without) for flag in flags.EVERY_FLAG for name in flag.names}


def pod_annotations() -> dict[str, Has]:
    """Return the annotations of pods, Dapr's without `dapr.io/`."""
    served = {each.name for each in (*annotations.HONOURED, *annotations.OLDER)}
    names = sorted({*served, *(each.name for each in annotations.ACCEPTED)})
    return {
        name.removeprefix("dapr.io/"): Has(name in served)
        for name in names
        if name != "pannier.dev/components"  # the operator's own
    }


def http_routes() -> dict[str, Has]:
    paths = (*STATE, *DEFAULT_STORE, *ACTOR_STATE, *SECRETS, *SIDECAR, *DOCUMENTATION)
    return {f"{', '.join(path.methods)} {path.template}": Has() for path in paths}


def grpc_methods() -> dict[str, Has]:
    """Return the methods of every service that the .proto files declare, those of Dapr's by their names alone."""
    found = {}
    for file in sorted((SIDECAR_CODE / "grpc_api" / "protos").rglob("*.proto")):
        text = file.read_text()
        package = re.findall(r"^package (\S+);", text, re.MULTILINE)[0]
        for service, body in re.findall(r"^service (\w+) \{(.*?)^\}", text, re.MULTILINE | re.DOTALL):
            for method in re.findall(r"^\s*rpc (\w+)\(", body, re.MULTILINE):
                found[f"{package}.{service}/{method}".removeprefix(DAPR_SERVICE)] = Has()
    return found


def metrics() -> dict[str, Has]:
    """Return the names of metrics in the code of `observing`; `*` stands for what it fills in."""
    found = {}
    for file in sorted((SIDECAR_CODE / "observing").glob("*.py")):
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.expr) and METRIC.fullmatch(name := _text(node)):
                found[name] = Has()
    return found


def _text(node: ast.expr) -> str:
    if isinstance(node, ast.Constant):
        return str(node.value)
    if isinstance(node, ast.JoinedStr):
        return "".join(_text(part) or "*" for part in node.values)
    return ""
