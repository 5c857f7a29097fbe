"""A manifest written as YAML is read back unchanged, whatever its content."""

from hypothesis import given
from hypothesis import strategies as st
from unit.tables import each_row

from pannier_crds.component import Component, MetadataItem, SecretKeyRef
from pannier_crds.manifests import read_documents, write_document

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


def read_back(component: Component) -> Component:
    (document,) = read_documents(write_document(component.to_manifest()))
    return document.read_component()


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
