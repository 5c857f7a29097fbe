"""docs/dapr-compatibility.md: everything that Dapr has and everything that Pannier has is on it, with a verdict."""

import copy
import re
import sys
import tomllib
from fnmatch import fnmatchcase
from importlib.machinery import SourceFileLoader
from importlib.util import module_from_spec, spec_from_loader
from pathlib import Path
from typing import Any

import pytest

from pannier_crds import catalogue
from pannier_operator.injection import annotations
from pannier_sidecar.cli.flags import EVERY_FLAG
from pannier_sidecar.http_api.paths import paths_of
from pannier_sidecar.http_api.profiles import PROFILES
from pannier_sidecar.observing.metrics import Metrics

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs/dapr-compatibility.md").read_text()
FACTS: dict[str, Any] = tomllib.loads((ROOT / "docs/dapr-compatibility.toml").read_text())
QUOTED = re.compile(r"`([^`]+)`")


@pytest.fixture(scope="module")
def script() -> Any:
    folder = ROOT / "scripts"
    loader = SourceFileLoader("dapr_compatibility", str(folder / "dapr-compatibility"))
    spec = spec_from_loader(loader.name, loader)
    assert spec is not None
    module = module_from_spec(spec)
    sys.path.insert(0, str(folder))
    try:
        loader.exec_module(module)
    finally:
        sys.path.remove(str(folder))
    return module


def names_under(title: str) -> set[str]:
    """The names in the first column below a heading, in lower case."""
    (body,) = re.findall(rf"^## {re.escape(title)}$(.*?)(?=^## |\Z)", PAGE, re.MULTILINE | re.DOTALL)
    rows = re.findall(r"^\| ((?:`.*?`(?:, | v\d,? ?)?)+)", body, re.MULTILINE)
    return {name.lower() for row in rows for name in QUOTED.findall(row)}


def heading(kind: catalogue.ComponentType) -> str:
    several = len(catalogue.known_versions(kind.name)) > 1
    return f"Fields of `{kind.name}`" + (f" {', '.join(kind.versions)}" if several else "")


def test_everything_that_dapr_has_is_on_it() -> None:
    for each in FACTS["list"]:
        written = each["dapr"]
        names = written.split() if isinstance(written, str) else written
        assert {name.lower() for name in names} <= names_under(each["title"]), each["title"]
    assert set(FACTS["types"]) <= names_under("Component types")
    for kind in catalogue.known_types():
        for name in FACTS["types"].get(kind.name, {}).get("fields", "").split():
            assert name.lower() in names_under(heading(kind)), kind.name


def test_everything_that_pannier_has_is_on_it() -> None:
    flags = {name for flag in EVERY_FLAG for name in flag.names}
    assert flags - names_under("Flags of daprd") == {
        "trust-domain",
        "app-token",
    }  # accepted, but not flags of Dapr 1.18
    of_pods = {each.name.removeprefix("dapr.io/") for each in (*annotations.HONOURED, *annotations.OLDER)}
    assert of_pods <= names_under("Annotations of pods")
    routes = {f"{', '.join(path.methods)} {path.template}".lower() for path in paths_of(PROFILES["spec"])}
    assert routes <= names_under("Routes of HTTP")
    shared = names_under("Fields of every state store")
    for kind in catalogue.known_types():
        assert kind.name in names_under("Component types")
        if names := {
            name.lower() for field in kind.fields if field.has_effect for name in (field.name, *field.aliases)
        }:
            assert names <= (names_under(heading(kind)) if names - shared else set()) | shared, kind.name


def test_every_metric_of_a_running_sidecar_is_on_it() -> None:
    metrics = Metrics("app")
    metrics.call_ended("s", "get", True, 0.0)
    metrics.request_ended(b"GET", b"/", 200, 0.0)
    metrics.rpc_ended("/s/m", "OK", 0.0)
    metrics.error_answered("ERR")
    metrics.store_opened("s", "state.redis", False)
    metrics.secrets_read("s", "get", True, 0.0)
    metrics.resiliency_loaded("r", "")
    found = re.findall(r"^# TYPE (\S+)", metrics.page().decode(), re.MULTILINE)
    listed = names_under("Metrics")
    assert len(found) > 10
    assert [name for name in found if not any(fnmatchcase(name, each) for each in listed)] == []


def test_every_test_that_it_names_exists() -> None:
    for each in FACTS["contract"]:
        assert ("test" in each) != ("none" in each), each
        if "test" in each:
            file, _, name = each["test"].partition("::")
            assert re.search(rf"def {name}\(", (ROOT / file).read_text()), each["test"]


def test_a_name_without_a_verdict_is_refused_with_what_to_write(script: Any) -> None:
    facts = copy.deepcopy(FACTS)
    flags = next(each for each in facts["list"] if each["ours"] == "flags")
    flags["dapr"] += " brand-new"
    with pytest.raises(SystemExit) as refused:
        list(script.page(facts))
    assert str(refused.value) == (
        "docs/dapr-compatibility.toml: write under 'not-served' of 'Flags of daprd' what happens to 'brand-new'"
    )
    flags["not-served"]["brand-new"] = "nothing | at all"
    assert r"| `brand-new` | *not served* | nothing \| at all |" in list(script.page(facts))


def test_what_is_served_needs_no_note(script: Any) -> None:
    has = script.Has
    notes = {"better": {"a": "faster"}, "not-served": {"a b c": "ignored"}}
    assert script.verdict("x", "a", {"A": has()}, notes) == (script.BETTER, "faster")
    assert script.verdict("x", "b", {"b": has()}, notes) == (script.SAME, "")
    assert script.verdict("x", "b", {"b": has(False)}, notes) == (script.NOT_SERVED, "ignored")
    assert script.verdict("x", "c", {"c": has(False, "refused: no")}, notes) == (script.NOT_SERVED, "refused: no")
    assert script.verdict("x", "spec.api", {"spec.api[].name": has()}, {}) == (script.SAME, "")
    assert script.verdict("x", "dapr_a_b", {"dapr_*_b": has()}, {}) == (script.SAME, "")
