"""A malformed manifest is refused with every problem at once, each with what to write instead."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from unit.tables import each_row

from pannier_crds.component import Component, InvalidManifestError

GOOD: dict[str, Any] = {
    "apiVersion": "dapr.io/v1alpha1",
    "kind": "Component",
    "metadata": {"name": "statestore"},
    "spec": {"type": "state.redis", "version": "v1", "metadata": []},
}


def problems(manifest: Any) -> list[str]:
    with pytest.raises(InvalidManifestError) as refused:
        Component.from_manifest(manifest)
    assert all(problem.is_error for problem in refused.value.problems)
    return [str(problem) for problem in refused.value.problems]


@each_row(
    ("change", "expected"),
    [
        ({"apiVersion": None}, "apiVersion: is missing; write 'apiVersion: dapr.io/v1alpha1'"),
        ({"apiVersion": "dapr.io/v1"}, "apiVersion: is 'dapr.io/v1'; write 'apiVersion: dapr.io/v1alpha1'"),
        ({"kind": "Componnet"}, "kind: is 'Componnet'; write 'kind: Component'"),
        ({"metadata": {}}, "metadata.name: is missing; write 'name: statestore'"),
        ({"metadata": {"name": " "}}, "metadata.name: is empty; write 'name: statestore'"),
        (
            {"metadata": {"name": 7}},
            'metadata.name: is a number but should be text; write it in quotes: name: "7"',
        ),
        (
            {"metadata": "x"},
            "metadata: is text but should be a mapping; write 'name: value' lines, indented under it",
        ),
        (
            {"metadata": {"name": "a", "initTimeout": "5s"}},
            "metadata.initTimeout: 'initTimeout' has no effect inside metadata; move it into spec",
        ),
        ({"initTimeout": "5s"}, "initTimeout: 'initTimeout' has no effect at the top level; move it into spec"),
        (
            {"metadata": {"name": "a", "scopes": ["b"]}},
            "metadata.scopes: 'scopes' has no effect inside metadata; move it to the top level, beside 'spec'",
        ),
        ({"scope": ["a"]}, "scope: is not a known field; write 'scopes'"),
        ({"scopes": "my-app"}, "scopes: is the text 'my-app' but should be a list; write a list: scopes: [my-app]"),
        ({"scopes": ["a", 1]}, "scopes[1]: is a number but should be text; write my-app"),
        ({"auth": {"secretstore": "x"}}, "auth.secretstore: is not a known field; write 'secretStore'"),
    ],
)
def test_wrong_shapes_at_the_top_say_what_to_write(change: dict[str, Any], expected: str) -> None:
    assert expected in problems(GOOD | change)


@each_row(
    ("change", "expected"),
    [
        ({"type": ""}, "spec.type: is empty; write 'type: state.redis'"),
        ({"version": 1}, 'spec.version: is a number but should be text; write it in quotes: version: "1"'),
        ({"metdata": []}, None),  # the right key exists too, so this is an unknown field like any other
        ({"ignoreErrors": "yes"}, "spec.ignoreErrors: is 'yes'; write 'ignoreErrors: true' or 'ignoreErrors: false'"),
        ({"initTimeout": 30}, "spec.initTimeout: 30 has no unit; write '30s'"),
        ({"initTimeout": "30 sec"}, "spec.initTimeout: '30 sec' is not a duration; write a number with a unit"),
        ({"scopes": ["a"]}, "spec.scopes: 'scopes' has no effect inside spec; move it to the top level"),
        ({"auth": {}}, "spec.auth: 'auth' has no effect inside spec; move it to the top level, beside 'spec'"),
        (
            {"metadata": {"redisHost": "h"}},
            "spec.metadata: is a mapping but should be a list; start each entry with '- name: '",
        ),
        (
            {"metadata": ["name:redisHost value:h"]},
            "spec.metadata[0]: is text but should be a mapping; put a space after each colon, as in 'name: redisHost'",
        ),
        ({"metadata": [{"value": "h"}]}, "spec.metadata[0].name: is missing; write 'name: redisHost'"),
        (
            {"metadata": [{"name": "redisHost", "value": ["a", "b"]}]},
            "spec.metadata[redisHost].value: is a list but should be text; write one string, number or boolean",
        ),
        (
            {"metadata": [{"name": "redisHost", "vlaue": "a"}]},
            "spec.metadata[0].vlaue: is not a known field; write 'value'",
        ),
        (
            {"metadata": [{"name": "redisHost", "secretKeyRef": {"key": "k"}}]},
            "spec.metadata[redisHost].secretKeyRef.name: is missing; write 'name: redis-secret'",
        ),
        (
            {"metadata": [{"name": "x", "valueFrom": {"secretKeyRef": {"name": "a", "key": "b"}}}]},
            "spec.metadata[x].valueFrom: is not a field of a setting; write secretKeyRef in its place, one level "
            "higher",
        ),
        (
            {"metadata": [{"name": "x", "valueFrom": {"fieldRef": {"fieldPath": "a"}}}]},
            "spec.metadata[x].valueFrom: is not a field of a setting; write envRef in its place: VARIABLE",
        ),
        ({"metadata": [{"name": "x"}] * 1001}, "spec.metadata: has 1001 entries; write 1000 at most"),
    ],
)
def test_wrong_shapes_in_the_spec_say_what_to_write(change: dict[str, Any], expected: str | None) -> None:
    manifest = GOOD | {"spec": GOOD["spec"] | change}
    if expected is None:
        Component.from_manifest(manifest)
    else:
        assert any(problem.startswith(expected) for problem in problems(manifest))


def test_all_problems_are_named_at_once() -> None:
    wrong = {"kind": "Component", "metadata": {"name": 1}, "spec": {"initTimeout": "x", "metadata": [1]}}
    assert [problem.partition(":")[0] for problem in problems(wrong)] == [
        "apiVersion",
        "metadata.name",
        "spec.type",
        "spec.initTimeout",
        "spec.metadata[0]",
    ]


anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=10,
)
keys = st.sampled_from(
    "apiVersion kind metadata spec auth scopes name type version initTimeout value secretKeyRef envRef key".split()
)
nearly = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.sampled_from(["Component", "5s"]),
    lambda inner: st.lists(inner) | st.dictionaries(keys, inner),
    max_leaves=20,
)


@given(st.dictionaries(keys, nearly) | st.dictionaries(st.text(), anything))
def test_any_mapping_is_a_component_or_has_problems_of_one_line(manifest: dict[str, Any]) -> None:
    try:
        Component.from_manifest(manifest)
    except InvalidManifestError as invalid:
        assert invalid.problems
        assert all(problem.text.isprintable() for problem in invalid.problems)
