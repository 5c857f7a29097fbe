"""`pannier check`: verdicts on files and sets of them, one line each or as JSON."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from servers.pannier_process import Pannier

Check = Callable[..., tuple[int, list[str]]]

GOOD = """apiVersion: dapr.io/v1alpha1
kind: Component
metadata:
  name: NAME
spec:
  type: state.in-memory
  version: v1
  metadata:
    - name: actorStateStore
      value: "true"
"""


@pytest.fixture
def check(tmp_path: Path) -> Check:
    def run(*arguments: object, **environment: str) -> tuple[int, list[str]]:
        pannier = Pannier("check", *arguments, folder=tmp_path, environment=environment)
        try:
            return pannier.end(), (pannier.out + pannier.err).splitlines()
        finally:
            pannier.close()

    return run


def write(folder: Path, file: str, text: str) -> Path:
    path = folder / file
    path.write_text(text)
    return path


def test_good_files_are_fine(check: Check, tmp_path: Path) -> None:
    write(tmp_path, "a.yaml", GOOD.replace("NAME", "a"))
    assert check("a.yaml") == (0, ["1 component fine, 0 errors, 0 warnings"])
    assert check(tmp_path) == (0, ["1 component fine, 0 errors, 0 warnings"])


def test_an_error_is_reported_with_its_place_and_advice(check: Check, tmp_path: Path) -> None:
    write(tmp_path, "a.yaml", GOOD.replace("NAME", "a").replace('"true"', '"tru"'))
    code, lines = check("a.yaml")
    assert code == 1
    assert lines == [
        "a.yaml:10: error: spec.metadata[actorStateStore].value: 'tru' is neither true nor false; "
        'write "true" or "false"',
        "0 components fine, 1 error, 0 warnings",
    ]


def test_a_warning_is_no_failure(check: Check, tmp_path: Path) -> None:
    write(tmp_path, "a.yaml", GOOD.replace("NAME", "a").replace("actorStateStore", "actorStateStor"))
    code, lines = check("a.yaml")
    assert code == 0
    assert lines[0].startswith("a.yaml:9: warning: spec.metadata[actorStateStor]: state.in-memory has no field")
    assert lines[-1] == "1 component fine, 0 errors, 1 warning"


def test_files_are_judged_as_a_set(check: Check, tmp_path: Path) -> None:
    write(tmp_path, "a.yaml", GOOD.replace("NAME", "a"))
    write(tmp_path, "b.yaml", GOOD.replace("NAME", "b"))
    code, lines = check("a.yaml", "b.yaml")
    assert code == 1
    assert lines[0].startswith("b.yaml:10: error: spec.metadata[actorStateStore].value: 'a' already is the actor state")
    assert lines[-1] == "1 component fine, 1 error, 0 warnings"


def test_one_name_in_two_namespaces_is_refused_where_none_is_known(check: Check, tmp_path: Path) -> None:
    for namespace in ("red", "blue"):
        write(tmp_path, f"{namespace}.yaml", GOOD.replace("NAME", f"a\n  namespace: {namespace}"))
    code, lines = check(".")
    assert code == 1
    assert lines[0] == (
        "red.yaml:4: error: metadata.name: another component in namespace 'blue' is called 'a'; set NAMESPACE to the "
        "one that is meant, or give one of the two another name"
    )
    assert check(".", NAMESPACE="red") == (0, ["2 components fine, 0 errors, 0 warnings"])


SECRETS = """apiVersion: dapr.io/v1alpha1
kind: Component
metadata:
  name: NAME
spec:
  type: secretstores.local.env
"""
REFERENCE = """apiVersion: dapr.io/v1alpha1
kind: Component
metadata:
  name: a
spec:
  type: state.redis
  metadata:
    - name: redisHost
      value: localhost
    - name: redisPassword
      secretKeyRef:
        name: REDIS_PASSWORD
"""


@pytest.mark.parametrize(
    ("stores", "auth", "problem"),
    [
        (["one"], "", None),
        (["one", "two"], "auth: {secretStore: two}", None),
        ([], "", None),  # meant for a cluster
        (["one"], "auth: {secretStore: kubernetes}", None),
        (["one", "two"], "", "several secret stores could hold it; write auth.secretStore: 'one' or 'two'"),
        (["one"], "auth: {secretStore: other}", "there is no secret store 'other'; write 'one'"),
        ([], "auth: {secretStore: other}", "there is no secret store 'other'; add its component"),
    ],
)
def test_a_secret_store_that_is_not_there_is_warned_of(
    check: Check, tmp_path: Path, stores: list[str], auth: str, problem: str | None
) -> None:
    write(tmp_path, "a.yaml", REFERENCE + auth)
    for name in stores:
        write(tmp_path, f"{name}.yaml", SECRETS.replace("NAME", name))
    code, lines = check(".")
    warning = f"a.yaml:11: warning: spec.metadata[redisPassword].secretKeyRef: {problem}"
    assert (code, lines[:-1]) == (0, [warning] if problem else [])


def test_broken_yaml_is_an_error_with_its_line(check: Check, tmp_path: Path) -> None:
    write(tmp_path, "a.yaml", "kind: Component\n  name: x\n")
    code, lines = check("a.yaml")
    assert code == 1 and lines[0].startswith("a.yaml:2: error: ")


def test_files_that_are_no_components_are_skipped(check: Check, tmp_path: Path) -> None:
    write(tmp_path, "a.yaml", GOOD.replace("NAME", "a"))
    write(tmp_path, "large.json", "[" + " " * 2_000_000 + "]")
    write(tmp_path, "package.json", '{"name": "shop"}')
    write(tmp_path, "values.yaml", "image: {{ .Values.image }}\n")
    code, lines = check(".")
    assert code == 0 and lines[-1] == "1 component fine, 0 errors, 0 warnings"
    assert sorted(line.partition(": skipped: ")[0] for line in lines[:-1]) == [
        "large.json:1",
        "package.json:1",
        "values.yaml:1",
    ]
    code, lines = check("values.yaml")
    assert code == 1 and lines[0].startswith("values.yaml:1: error: ")


def test_names_in_another_case_and_fields_without_effect_are_warned_of(check: Check, tmp_path: Path) -> None:
    text = REFERENCE.replace("secretKeyRef", "secretkeyref").replace("redisPassword", "poolSize")
    write(tmp_path, "a.yaml", text)
    code, lines = check("a.yaml")
    assert code == 0
    assert lines[:2] == [
        "a.yaml:10: warning: spec.metadata[poolSize]: 'poolSize' has no effect, because all calls share one "
        "connection, so there is no pool to set; remove it",
        "a.yaml:11: warning: spec.metadata[1].secretkeyref: is taken for 'secretKeyRef', as by Dapr; write "
        "'secretKeyRef': Kubernetes knows no other spelling",
    ]


def test_other_kinds_are_skipped(check: Check, tmp_path: Path) -> None:
    write(tmp_path, "a.yaml", "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: a\n")
    code, lines = check("a.yaml")
    assert code == 0
    assert lines[0] == "a.yaml:2: skipped: 'ConfigMap' is not a Component"


def test_a_missing_path_is_one_clear_line(check: Check) -> None:
    assert check("nowhere.yaml") == (1, ["pannier: nowhere.yaml: no such file or folder"])


@pytest.mark.parametrize("flags", [["--output", "json"], ["--output=json"], ["-o", "json"]])
def test_json_holds_the_same(check: Check, tmp_path: Path, flags: list[str]) -> None:
    write(tmp_path, "a.yaml", GOOD.replace("NAME", "a").replace('"true"', '"tru"'))
    code, lines = check("a.yaml", *flags)
    report = json.loads("\n".join(lines))
    assert code == 1
    assert (report["fine"], report["errors"], report["warnings"]) == (0, 1, 0)
    assert report["problems"] == [
        {
            "file": "a.yaml",
            "line": 10,
            "severity": "error",
            "component": "a",
            "field": "spec.metadata[actorStateStore].value",
            "message": "'tru' is neither true nor false",
            "advice": 'write "true" or "false"',
        }
    ]


def test_an_unknown_format_is_refused(check: Check) -> None:
    assert check("--output", "xml", ".") == (2, ["pannier: --output: 'xml' can't be used; write text, json or sarif"])


def test_every_example_is_fine(check: Check) -> None:
    examples = Path(__file__).parents[2] / "examples" / "components"
    for folder in sorted(path for path in examples.iterdir() if path.is_dir()):
        code, lines = check(folder)
        assert (code, lines[-1].partition(" fine, ")[2].partition(",")[0]) == (0, "0 errors"), lines
