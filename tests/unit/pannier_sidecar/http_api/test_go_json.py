"""Errors for unreadable bodies are those of Go 1.26, which printed the right column."""

import pytest
from unit.tables import each_row

from pannier_sidecar.http_api.go_json import MAX_LENGTH, BodyKind, error_of

INTO = "json: cannot unmarshal"

OF_GO = [
    (b"", "EOF"),
    (b"  ", "EOF"),
    (b"[{}", "unexpected EOF"),
    (b'[{"key":"a","value":"x', "unexpected EOF"),
    (b"tru", "unexpected EOF"),
    (b"-", "unexpected EOF"),
    (b"foobar", "invalid character 'o' in literal false (expecting 'a')"),
    (b"trux", "invalid character 'x' in literal true (expecting 'e')"),
    (b"[nul]", "invalid character ']' in literal null (expecting 'l')"),
    (b"[{]", "invalid character ']' looking for beginning of object key string"),
    (b'[{"key":"a",}]', "invalid character '}' looking for beginning of object key string"),
    (b"[{'a':1}]", r"invalid character '\'' looking for beginning of object key string"),
    (b'[{"key":"a"},]', "invalid character ']' looking for beginning of value"),
    (b"'", r"invalid character '\'' looking for beginning of value"),
    (b"\x1f\x8b", r"invalid character '\x1f' looking for beginning of value"),
    (b"\xff", "invalid character '\u00ff' looking for beginning of value"),
    (b'[{"key" 1}]', "invalid character '1' after object key"),
    (b'[{"key":"a" "b"}]', "invalid character '\"' after object key:value pair"),
    (b'[{"key":"a"}{', "invalid character '{' after array element"),
    (b"[01]", "invalid character '1' after array element"),
    (b"[-]", "invalid character ']' in numeric literal"),
    (b"[1.x]", "invalid character 'x' after decimal point in numeric literal"),
    (b"[1ex]", "invalid character 'x' in exponent of numeric literal"),
    (b'["\x01"]', r"invalid character '\x01' in string literal"),
    (b'["\\q"]', "invalid character 'q' in string escape code"),
    (b'["\\u12g"]', r"invalid character 'g' in \u hexadecimal character escape"),
    (b"3", f"{INTO} number into Go value of type []state.SetRequest"),
    (b"{}", f"{INTO} object into Go value of type []state.SetRequest"),
    (b"[[1]]", f"{INTO} array into Go value of type state.SetRequest"),
    (b'["a"]', f"{INTO} string into Go value of type state.SetRequest"),
    (b'[{"key":true}]', f"{INTO} bool into Go struct field SetRequest.key of type string"),
    (b'[{"key":"a","etag":3}]', f"{INTO} number into Go struct field SetRequest.etag of type string"),
    (b'[{"metadata":{"ttlInSeconds":3}}]', f"{INTO} number into Go struct field SetRequest.metadata of type string"),
    (b'[{"metadata":[]}]', f"{INTO} array into Go struct field SetRequest.metadata of type map[string]string"),
    (b'[{"options":3}]', f"{INTO} number into Go struct field SetRequest.options of type state.SetStateOption"),
    (
        b'[{"options":{"concurrency":3}}]',
        f"{INTO} number into Go struct field SetStateOption.options.concurrency of type string",
    ),
]


@each_row(("body", "message"), OF_GO)
def test_items_that_cannot_be_read(body: bytes, message: str) -> None:
    assert error_of(body, "items") == message


@pytest.mark.parametrize(
    ("body", "wanted", "message"),
    [
        (b"[]", "bulk get", "array into Go value of type http.BulkGetRequest"),
        (b'{"keys":"a"}', "bulk get", "string into Go struct field BulkGetRequest.keys of type []string"),
        (b'{"keys":[1]}', "bulk get", "number into Go struct field BulkGetRequest.keys of type string"),
        (b'{"parallelism":"x"}', "bulk get", "string into Go struct field BulkGetRequest.parallelism of type int"),
        (b"[]", "transaction", "array into Go value of type http.stateTransactionRequestBody"),
        (
            b'{"operations":[{"operation":1}]}',
            "transaction",
            "number into Go struct field stateTransactionRequestBodyOperation.operations.operation of type string",
        ),
        (b"{}", "actor transaction", "object into Go value of type []api.TransactionalOperation"),
    ],
)
def test_other_bodies_that_cannot_be_read(body: bytes, wanted: BodyKind, message: str) -> None:
    assert error_of(body, wanted) == f"{INTO} {message}"


@pytest.mark.parametrize("body", [b"null", b"[]", b'[{"key":null}]', b'[{"KEY":"a","more":[1]}] and more'])
def test_a_body_that_go_accepts_has_no_error(body: bytes) -> None:
    assert error_of(body, "items") is None


def test_deep_and_long_bodies_cost_nothing() -> None:
    assert error_of(b"[" * MAX_LENGTH, "items") == "unexpected EOF"
    assert error_of(b"[" * (MAX_LENGTH + 1), "items") is None
    assert error_of(b'{"a":' * 800, "items") in (None, "unexpected EOF")
