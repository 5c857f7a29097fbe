"""Files hold documents; each knows the lines of its fields, and errors have their line."""

import time
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from unit.tables import each_row

from pannier_crds.component import Component, InvalidManifestError
from pannier_crds.manifests import Document, read_documents
from pannier_crds.problems import error

REDIS = """\
# the orders store
apiVersion: dapr.io/v1alpha1
kind: Component
metadata:
  name: orders
spec:
  type: state.redis
  version: v1
  metadata:
  - name: redisHost
    value: localhost:6379
  - name: redisPassword
    secretKeyRef:
      name: redis
      key: password
scopes:
- cart
"""


def only(text: str | bytes) -> Document:
    documents = read_documents(text, "orders.yaml")
    assert len(documents) == 1
    return documents[0]


def broken(text: str | bytes) -> tuple[int, str]:
    document = read_documents(text)[-1]
    with pytest.raises(InvalidManifestError):
        document.read_component()
    (problem,) = document.problems
    assert problem.line is not None
    assert document.line_of("spec") == problem.line
    return problem.line, problem.text


def test_a_component_is_read_from_yaml() -> None:
    component = only(REDIS).read_component()
    assert (component.name, component.type, component.scopes) == ("orders", "state.redis", ("cart",))


@each_row(
    ("field", "line"),
    [
        ("", 2),
        ("kind", 3),
        ("metadata.name", 5),
        ("spec.type", 7),
        ("spec.metadata", 9),
        ("spec.metadata[redisHost]", 10),
        ("spec.metadata[REDISHOST].value", 11),
        ("spec.metadata[1].name", 12),
        ("spec.metadata[redisPassword].secretKeyRef.key", 15),
        ("scopes[0]", 17),
        # A missing field has the line of the part that would hold it.
        ("spec.initTimeout", 6),
        ("spec.metadata[redisDB]", 9),
        ("spec.metadata[redisHost].secretKeyRef.name", 10),
        ("spec.metadata[99]", 9),
        ("auth.secretStore", 2),
    ],
)
def test_every_field_has_a_line(field: str, line: int) -> None:
    assert only(REDIS).line_of(field) == line


def test_problems_come_in_the_order_of_lines() -> None:
    placed = only(REDIS).place([error("scopes[0]", "c"), error("spec.type", "b"), error("metadata.name", "a")])
    assert [(problem.line, problem.message) for problem in placed] == [(5, "a"), (7, "b"), (17, "c")]


def test_a_file_holds_several_documents_and_empty_ones_do_not_count() -> None:
    text = f"---\n---\n# nothing\n---\n{REDIS}---\n{REDIS.replace('orders', 'carts')}---\n"
    documents = read_documents(text, "all.yaml")
    assert [document.name for document in documents] == ["orders", "carts"]
    assert documents[1].line_of("metadata.name") == 27


def test_json_is_read_too() -> None:
    document = only(
        '\ufeff{"apiVersion": "dapr.io/v1alpha1",\n\t"kind": "Component",\n\t"metadata": {"name": "a"},\n'
        '\t"spec": {"type": "state.in-memory", "metadata": [{"name": "keyPrefix", "value": "none"}]}}'.encode()
    )
    assert document.read_component().setting("keyPrefix") == "none"
    assert document.line_of("spec.metadata[keyPrefix].value") == 4


def test_a_list_of_components_is_split_up() -> None:
    entry = "".join(f"  {line}\n" for line in REDIS.splitlines())
    documents = read_documents(f"apiVersion: v1\nkind: List\nitems:\n-\n{entry}- kind: Secret\n  apiVersion: v1\n")
    assert [document.kind for document in documents] == ["Component", "Secret"]
    assert documents[0].read_component().name == "orders"
    assert documents[0].line_of("spec.type") == 11


@each_row(
    ("text", "reason"),
    [
        ("apiVersion: dapr.io/v1alpha1\nkind: Configuration", "a Configuration takes effect by --config FILE"),
        ("kind: Configuration\nmetadata: {name: tracing}", "Configuration 'tracing' takes effect by --config FILE"),
        ("apiVersion: dapr.io/v2alpha1\nkind: Subscription", "'Subscription' is not a Component"),
        ("apiVersion: core.oam.dev/v1\nkind: Component", "a Component of 'core.oam.dev/v1' is not one of"),
        ('{"redis": {"password": "p"}}', "it has neither kind nor spec"),
        ("apiVersion: dapr.io/v1alpha1\nkind: Component", None),
        ("apiVersion: dapr.io/v1\nkind: Component", None),
        ("kind: Componet", None),
        ("spec: {}", None),
        ('{"apiVersion": 2, "name": "chart"}', "it has neither kind nor spec"),
    ],
)
def test_a_file_that_is_no_component_is_skipped_and_a_nearly_valid_one_is_not(text: str, reason: str | None) -> None:
    why_skipped = only(text).why_skipped
    assert why_skipped is None if reason is None else (why_skipped or "").startswith(reason)


def test_structural_problems_have_lines() -> None:
    text = REDIS.replace("type: state.redis", "tpye: state.redis").replace("name: orders", "name: [7]")
    with pytest.raises(InvalidManifestError) as refused:
        only(text).read_component()
    assert [(problem.line, problem.field) for problem in refused.value.problems] == [
        (5, "metadata.name"),
        (6, "spec.type"),
        (7, "spec.tpye"),
    ]


def test_a_name_may_be_a_number() -> None:
    assert only(REDIS.replace("name: orders", "name: 123")).read_component().name == "123"
    document = only(REDIS.replace("name: orders", "name: 1.5\n  namespace: 7"))
    assert document.name == "1.5" and document.read_component().namespace == "7"


def test_names_of_fields_are_taken_in_any_case_with_a_warning() -> None:
    text = REDIS.replace("kind:", "Kind:").replace("  name: orders", "  Name: orders").replace("scopes:", "Scopes:")
    text = text.replace("- name: redisHost", "- NAME: redisHost").replace("secretKeyRef", "secretkeyref")
    text = text.replace("type: state", "TYPE: state") + "AUTH:\n  secretstore: vault\n"
    document = only(text)
    assert document.why_skipped is None
    component = document.read_component()
    assert component == replace(only(REDIS).read_component(), secret_store="vault")
    said = [f"{problem.line} {problem}" for problem in document.place(document.remarks)]
    assert said == [
        "3 Kind: is taken for 'kind', as by Dapr; write 'kind': Kubernetes knows no other spelling",
        "5 metadata.Name: is taken for 'name', as by Dapr; write 'name': Kubernetes knows no other spelling",
        "7 spec.TYPE: is taken for 'type', as by Dapr; write 'type': Kubernetes knows no other spelling",
        "10 spec.metadata[0].NAME: is taken for 'name', as by Dapr; write 'name': Kubernetes knows no other spelling",
        "13 spec.metadata[1].secretkeyref: is taken for 'secretKeyRef', as by Dapr; write 'secretKeyRef': Kubernetes "
        "knows no other spelling",
        "16 Scopes: is taken for 'scopes', as by Dapr; write 'scopes': Kubernetes knows no other spelling",
        "18 AUTH: is taken for 'auth', as by Dapr; write 'auth': Kubernetes knows no other spelling",
        "19 auth.secretstore: is taken for 'secretStore', as by Dapr; write 'secretStore': Kubernetes knows no other "
        "spelling",
    ]
    assert document.line_of("scopes[0]") == 17
    assert document.line_of("spec.metadata[redisPassword].secretKeyRef.key") == 15


def test_a_field_in_two_cases_is_a_problem() -> None:
    with pytest.raises(
        InvalidManifestError, match="Scopes: 'scopes' is given twice, in another case; keep one of the two"
    ):
        only(REDIS + "Scopes: [billing]\n").read_component()


def test_a_key_written_twice_is_a_problem() -> None:
    text = REDIS.replace("    value: localhost:6379\n", "    value: localhost:6379\n    value: other\n")
    with pytest.raises(InvalidManifestError) as refused:
        only(text).read_component()
    (problem,) = refused.value.problems
    assert problem.line == 12
    assert str(problem) == ("spec.metadata[0].value: 'value' is written twice, first in line 11; keep one of the two")


def test_anchors_and_merge_keys_are_followed() -> None:
    text = f"x: &host {{name: redisHost, value: h}}\n{REDIS}"
    text = text.replace(
        "  - name: redisHost\n    value: localhost:6379\n", "  - <<: *host\n    value: mine\n  - *host\n"
    )
    component = only(text).read_component()
    assert [(item.name, item.value) for item in component.metadata[:2]] == [("redisHost", "mine"), ("redisHost", "h")]


@each_row(
    ("written", "text"),
    [
        ("6379", "6379"),
        ("'010'", "010"),
        ("010", "8"),
        ("0x1F", "31"),
        ("1_000", "1000"),
        ("1.50", "1.5"),
        ("1e3", "1000"),
        ("yes", "true"),
        ("y", "true"),
        ("N", "false"),
        ("'y'", "y"),
        ("Off", "false"),
        ('"yes"', "yes"),
        ("!!str yes", "yes"),
        ("!!int '5'", "5"),
        ("", ""),
        ("~", ""),
        ("2024-01-01", "2024-01-01"),
        ("12:30", "12:30"),
        (".inf", ".inf"),
        ("1e999", "1e999"),
        ("9" * 70, "9" * 70),
        ("0x", "0x"),
        ("host:6379", "host:6379"),
        ("|\n      two\n      lines", "two\nlines\n"),
    ],
)
def test_plain_values_mean_what_they_mean_to_kubernetes(written: str, text: str) -> None:
    document = only(REDIS.replace("value: localhost:6379", f"value: {written}"))
    assert document.read_component().setting("redisHost") == text


@each_row(
    ("text", "line", "words"),
    [
        ("a: 1\n\tb: 2", 2, "indent with spaces, not tabs"),
        ("a: 1\nb: c: d", 2, "put quotes around a value that holds ': '"),
        ("a: @b", 1, "put quotes around a value that starts with @"),
        ("a: 1\nb: [1,\n", 2, "check quotes, brackets and indentation"),
        ("a: 1\nb: 'x", 2, "broken YAML"),
        ("a: 1\nb: \x01", 2, "a control character"),
        (b"a: 1\nb: \xff", 2, "the file is not UTF-8 text; save it as UTF-8"),
        ("a: \ud800", 1, "save the file as UTF-8"),
        ("{{ template }}: 1", 1, "a key is not text; write 'key: value', and put quotes around {{ }}"),
        ("a: 1\nb: !Ref x", 2, "'!' begins a tag, and this one has no meaning here; put quotes"),
        ("a: !!python/object/apply:os.system [ls]", 1, "has no meaning here"),
        ("a: *b", 1, "'*' stands for an anchor, and none of this name is defined here"),
        ("a: &a [*a]", 1, "'*' stands for an anchor, and none of this name is defined here"),
        ("- a\n- b", 1, "the document is a list, not a component"),
        ("just words", 1, "the document is text, not a component"),
    ],
)
def test_a_broken_text_is_one_problem_with_its_line(text: str | bytes, line: int, words: str) -> None:
    at, said = broken(text)
    assert words in said
    assert at == line


def test_documents_before_the_break_are_read() -> None:
    documents = read_documents(f"{REDIS}---\na: [")
    assert documents[0].read_component().name == "orders"
    assert documents[1].problems[0].line == 19


LAUGHS = "a0: &a0 [x,x,x,x,x,x,x,x,x,x]\n" + "".join(
    f"a{level}: &a{level} [{','.join([f'*a{level - 1}'] * 10)}]\n" for level in range(1, 20)
)
MERGED = "a0: &a0 {x: 1}\n" + "".join(f"a{n}: &a{n} {{<<: [*a{n - 1}, *a{n - 1}]}}\n" for n in range(1, 40))
CHAIN = "a0: &a0 [x]\n" + "".join(f"a{n}: &a{n} [*a{n - 1}]\n" for n in range(1, 100))


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[" * 1_000_000, "nested more than 64 levels deep"),
        ("{a: " * 200_000, "nested more than 64 levels deep"),
        ("- " * 500_000, "nested more than 64 levels deep"),
        ("? " * 500_000, "a key is not text"),
        (LAUGHS, "more than 100000 values"),
        (MERGED, "more than 100000 values"),
        (CHAIN, "nested more than 64 levels deep"),
        ("k: 1\n" * 200_000, "more than 100000 values"),
        ("--- a\n" * 100_000, "more than 1000 documents"),
        ("x" * (1024 * 1024 + 1), "larger than 1 MiB"),
        (b"x" * (1024 * 1024 + 1), "larger than 1 MiB"),
    ],
    ids=lambda value: value if isinstance(value, str) and len(value) < 40 else "text",
)
def test_no_text_takes_long_or_much(text: str | bytes, words: str) -> None:
    started = time.process_time()
    assert words in broken(text)[1]
    assert time.process_time() - started < 20


def test_a_megabyte_of_quoted_text_is_read() -> None:
    document = only(REDIS.replace("localhost:6379", "x" * 1_000_000))
    assert len(document.read_component().setting("redisHost") or "") == 1_000_000


yaml_like = st.lists(
    st.sampled_from(
        [*REDIS.splitlines(), "---", "- ", "  - *a", "  x: &a [", "]", "{", "}", "? ", "<<: *a", "\t", "'", '"']
    )
    | st.text(max_size=8),
    max_size=30,
).map("\n".join)


@given(yaml_like | st.text() | st.binary())
def test_any_text_gives_components_or_problems_or_is_skipped(text: str | bytes) -> None:
    for document in read_documents(text, "any.yaml"):
        if document.why_skipped is not None:
            continue
        try:
            assert isinstance(document.read_component(), Component)
        except InvalidManifestError as invalid:
            assert invalid.problems
            for problem in invalid.problems:
                assert problem.line is not None
                assert problem.line >= 1
                assert problem.text.isprintable()
