"""A manifest written as YAML, or in canonical JSON, is read back unchanged, whatever its content."""

import json
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from unit.tables import each_row

from pannier_crds import canonical_json
from pannier_crds.component import Component, MetadataItem, SecretKeyRef
from pannier_crds.manifests import read_documents, write_document
from pannier_crds.nodes import Node
from pannier_sidecar.loading.delivered import delivered_documents

AWKWARD = (
    *("1e3", "0o17", "0x1F", "1_000", "12:30", "1.", "+.5", "2020-01-01", "on", "no", "y", "True", "~", "null", "Null"),
    *(
        "",
        " ",
        "=",
        "<<",
        "|",
        ">",
        "- a",
        "a: b",
        "a #b",
        "#c",
        "%d",
        "@e",
        "`",
        "*x",
        "&y",
        "!z",
        "?",
        "[",
        "{",
        "'",
        '"',
    ),
    *(
        "\x85",
        "\u2028",
        "\ufeff",
        "\x7f",
        "a\nb\n",
        "\n",
        "\r\n",
        "  x",
        "\tq",
        "\U0001f600",
        "\\",
        "---",
        "...",
        "x" * 5000,
    ),
)
texts = st.one_of(st.text(), st.sampled_from(AWKWARD))
items = st.builds(
    MetadataItem,
    texts.filter(str.strip),
    st.none() | texts,
    st.none() | st.builds(SecretKeyRef, texts.filter(str.strip), texts.filter(bool)),
    st.none() | texts,
)


def as_json(manifest: dict[str, object]) -> str:
    """Return the text that the operator writes."""
    return canonical_json.write(manifest, lambda text: json.dumps(text, ensure_ascii=False))


def read_back(component: Component) -> Component:
    """Read the component back from YAML, and check that its JSON means the same with and without PyYAML."""
    (document,) = read_documents(write_document(component.to_manifest()))
    text = as_json(component.to_manifest())
    (from_yaml,) = read_documents(text)
    (from_json,) = delivered_documents(text.encode(), "")
    assert from_json == replace(from_yaml, root=from_json.root)
    assert lines(from_json.root) == lines(from_yaml.root)
    assert from_json.manifest == document.manifest
    return document.read_component()


def lines(node: Node | None) -> object:
    """Return a tree's content, each value with its line."""
    assert node is not None
    if isinstance(node.content, dict):
        return node.line, {key: (line, lines(value)) for key, (line, value) in node.content.items()}
    return node.line, [lines(each) for each in node.content] if isinstance(node.content, list) else node.content


@given(st.lists(items, max_size=4), texts.filter(str.strip))
def test_a_component_comes_back_as_it_was(metadata: list[MetadataItem], scope: str) -> None:
    component = Component("a", "state.redis", metadata=tuple(metadata), scopes=(scope,), ignore_errors=True)
    assert read_back(component) == component


@each_row("text", AWKWARD)
def test_awkward_texts_come_back(text: str) -> None:
    component = Component("a", "state.redis", metadata=(MetadataItem("x", text),))
    assert read_back(component) == component


def test_plain_text_stays_readable() -> None:
    component = Component("orders", "state.redis", metadata=(MetadataItem("redisHost", "redis:6379"),))
    assert write_document(component.to_manifest()) == (
        "apiVersion: dapr.io/v1alpha1\nkind: Component\nmetadata:\n  name: orders\nspec:\n  type: state.redis\n"
        "  version: v1\n  metadata:\n  - name: redisHost\n    value: redis:6379\n"
    )


COMPONENT = Component("a", "state.redis", metadata=(MetadataItem("redisHost", "h"), MetadataItem("redisHost", "i")))


@each_row(
    "changed",
    (
        lambda text: text.replace("\n", "\n "),
        lambda text: text + "\n",
        lambda text: text.removesuffix("\n"),
        lambda text: text.replace('"h"', '"\\u0068"'),
        lambda text: text.replace('"h"', "01"),
        lambda text: text.replace('"h"', str(2**53 + 1)),
        lambda text: text.replace('"h"', "1e3"),
        lambda text: text.replace('"h"', '{\n     "<<": {\n      "a": "b"\n     }\n    }'),
        lambda text: text.replace('"kind": "Component",', '"kind": "Component",\n "kind": "Component",'),
        lambda text: text.replace("h", "\x7f"),
        lambda text: text.replace('"h"', "[" * 3000),
        lambda text: text.replace('"h"', f'"{"x" * 2**20}"'),
        lambda text: text.replace('"h"', "~"),
        lambda text: "[]\n",
        lambda text: "{",
        lambda text: "",
    ),
)
def test_a_text_in_another_form_is_left_to_the_reader_of_yaml(changed) -> None:
    text = as_json(COMPONENT.to_manifest())
    assert delivered_documents(text.encode(), "")
    assert delivered_documents(changed(text).encode(), "") == []
    assert delivered_documents(text.encode().replace(b"redisHost", b"\xff"), "") == []


integers = st.integers(-(2**53), 2**53)
names = texts.filter(lambda name: name != "<<" and len(name) <= 256)
values = st.recursive(
    st.none() | st.booleans() | integers | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(names, inner, max_size=3),
    max_leaves=8,
)


@given(st.dictionaries(st.sampled_from(["policies", "targets", "a"]), values, max_size=3))
def test_a_list_of_objects_means_the_same_with_and_without_pyyaml(spec: dict[str, object]) -> None:
    item = {"apiVersion": "dapr.io/v1alpha1", "kind": "Resiliency", "metadata": {"name": "r"}, "spec": spec}
    text = as_json({"apiVersion": "v1", "kind": "List", "items": [item, item]})
    from_yaml, from_json = read_documents(text), delivered_documents(text.encode(), "")
    assert [each.manifest for each in from_json] == [each.manifest for each in from_yaml] == [item, item]
    assert [lines(each.root) for each in from_json] == [lines(each.root) for each in from_yaml]


@each_row("value", (2**53 + 1, 1.5, float("nan"), {"<<": "a"}, {"x" * 300: "a"}, "\ud800"))
def test_what_yaml_may_read_differently_is_not_written(value: object) -> None:
    with pytest.raises(ValueError, match="may read|reads differently|surrogates"):
        as_json({"spec": value}).encode()
