"""Answers that announce more than they hold, or than any answer has, are refused before anything is made of them."""

import struct
from typing import Any
from uuid import UUID

import pytest
from cassandra import protocol
from unit.tables import each_row

from pannier_sidecar.stores.cassandra.decoding import MAX_COLUMNS, MAX_ELEMENTS, MAX_ROWS, bounded
from pannier_sidecar.stores.cassandra.frames import ProtocolViolationError

HANDLERS = {"compiled": protocol.ProtocolHandler, "pure": protocol._ProtocolHandler}
ERROR, RESULT, EVENT = 0, 8, 12
BLOB, TEXT, UUIDS, DECIMAL, LIST, MAP, SET = 0x3, 0xD, 0xC, 0x6, 0x20, 0x21, 0x22
CUSTOM, TUPLE, APPLICATION = 0x0, 0x31, 0x30
BILLIONS = 2**31 - 1


@pytest.fixture(params=HANDLERS)
def handler(request: pytest.FixtureRequest) -> Any:
    return bounded(HANDLERS[request.param])


def decode(handler: Any, body: bytes, prepared: Any = None, *, opcode: int = RESULT, flags: int = 0) -> Any:
    return handler.decode_message(5, {}, 1, flags, opcode, body, None, prepared)


def columns(*types: tuple[int, ...], count: int | None = None, flags: int = 1) -> bytes:
    """Return flags and metadata of columns, whose types are given by their codes."""
    named = b"".join(b"\0\1c" + struct.pack(f"!{len(codes)}h", *codes) for codes in types)
    return struct.pack("!ii", flags, len(types) if count is None else count) + b"\0\1k\0\1t" + named


def rows(metadata: bytes, count: int, *cells: bytes | None) -> bytes:
    return struct.pack("!i", 2) + metadata + struct.pack("!i", count) + b"".join(map(cell, cells))


def cell(value: bytes | None) -> bytes:
    return struct.pack("!i", -1) if value is None else struct.pack("!i", len(value)) + value


def collection(*elements: bytes, count: int | None = None) -> bytes:
    return struct.pack("!i", len(elements) if count is None else count) + b"".join(map(cell, elements))


def prepared(metadata: bytes, keys: int, of_rows: bytes) -> bytes:
    ids = b"\0\1q\0\1m"
    return (
        struct.pack("!i", 4) + ids + metadata[:8] + struct.pack("!i", keys) + bytes(2 * keys) + metadata[8:] + of_rows
    )


ONE = columns((BLOB,))
NONE = columns()
GOOD_ROWS = {
    "a value": (rows(ONE, 1, b"v"), [(b"v",)]),
    "no value": (rows(ONE, 2, None, b""), [(None,), (b"",)]),
    "no row": (rows(ONE, 0), []),
    "a node": (
        rows(columns((UUIDS,), (SET, TEXT), (MAP, TEXT, BLOB), (LIST, TEXT)), 1, bytes(16), None, None, None),
        [(UUID(int=0), None, None, None)],
    ),
}


@each_row(("body", "expected"), GOOD_ROWS)
def test_rows_are_decoded(handler: Any, body: bytes, expected: list[tuple[object, ...]]) -> None:
    assert decode(handler, body).parsed_rows == expected


def test_collections_are_decoded(handler: Any) -> None:
    metadata = columns((SET, TEXT), (MAP, TEXT, BLOB), (LIST, TEXT))
    body = rows(metadata, 1, collection(b"b", b"a"), collection(b"k", b"v", count=1), None)
    ((tokens, options, nothing),) = decode(handler, body).parsed_rows
    assert (list(tokens), dict(options), nothing) == (["a", "b"], {"k": b"v"}, None)


def test_a_warning_before_the_rows_is_ignored(handler: Any) -> None:
    answer = decode(handler, struct.pack("!hh", 1, 4) + b"slow" + rows(ONE, 1, b"v"), flags=8)
    assert (answer.parsed_rows, answer.warnings) == ([(b"v",)], ["slow"])


def test_rows_without_metadata_are_decoded_by_their_prepared_statement(handler: Any) -> None:
    statement = decode(handler, prepared(columns((TEXT,)), 1, ONE))
    assert (statement.query_id, statement.pk_indexes) == (b"q", [0])
    answer = decode(handler, rows(struct.pack("!ii", 4, 1), 1, b"v"), statement.column_metadata)
    assert answer.parsed_rows == [(b"v",)]


def test_a_collection_has_one_type_however_often_it_comes(handler: Any) -> None:
    body = rows(columns((SET, TEXT)), 1, collection(b"a"))
    assert decode(handler, body).column_types[0] is decode(handler, body).column_types[0]


def test_an_event_is_decoded(handler: Any) -> None:
    body = b"\0\rSTATUS_CHANGE\0\2UP\4\x7f\0\0\1" + struct.pack("!i", 9042)
    assert decode(handler, body, opcode=EVENT).event_args["address"] == ("127.0.0.1", 9042)


WRONG = {
    "billions of rows": rows(ONE, BILLIONS, b"v"),
    "billions of rows without columns": rows(NONE, BILLIONS),
    "fewer rows than none": rows(ONE, -1),
    "more rows than any answer has": rows(ONE, MAX_ROWS + 1, *[None] * (MAX_ROWS + 1)),
    "more rows than there is room for": rows(ONE, 3, None, None),
    "rows without a number": struct.pack("!i", 2) + ONE,
    "rows of unknown columns": rows(struct.pack("!ii", 4, 1), 1, b"v"),
    "billions of columns": rows(columns((BLOB,), count=BILLIONS), 1),
    "more columns than any answer has": rows(columns(*[(BLOB,)] * (MAX_COLUMNS + 1)), 0),
    "fewer columns than none": rows(columns(count=-1), 1),
    "a paging state beyond the end": rows(struct.pack("!iii", 2, 1, BILLIONS), 1),
    "a collection of billions": rows(columns((SET, TEXT)), 1, collection(count=BILLIONS)),
    "a collection of fewer than none": rows(columns((LIST, TEXT)), 1, collection(count=-1)),
    "a large collection": rows(columns((SET, TEXT)), 1, collection(*[b""] * (MAX_ELEMENTS + 1))),
    "many large collections": rows(columns((SET, TEXT)), 100, *[collection(*[b""] * MAX_ELEMENTS)] * 100),
    "a collection cut off": rows(columns((SET, TEXT)), 1, b"\0"),
    "nested types": rows(columns((LIST,) * 100_000), 1),
    "a collection of collections": rows(columns((LIST, LIST, TEXT)), 0),
    "a type of an application": rows(columns((APPLICATION,)), 0),
    "a tuple": rows(columns((TUPLE, 2, TEXT, TEXT)), 0),
    "a type by its name": rows(columns((CUSTOM,)), 0),
    "a number without a limit": rows(columns((DECIMAL,)), 0),
    "a type of no kind": rows(columns((0x77,)), 0),
    "another keyspace": struct.pack("!ih", 3, 1) + b"k",
    "a statement of billions of columns": prepared(columns(count=BILLIONS), 0, ONE),
    "a statement of more key columns than any": prepared(columns((TEXT,)), MAX_COLUMNS + 1, ONE),
    "a statement of billions of key columns": prepared(columns(), 0, b"")[:18]
    + struct.pack("!i", BILLIONS)
    + bytes(99),
    "a statement with rows of billions of columns": prepared(columns((TEXT,)), 1, columns(count=BILLIONS)),
    "a statement with rows of collections": prepared(columns((TEXT,)), 1, columns((SET, TEXT))),
    "a statement with values of collections": prepared(columns((SET, TEXT)), 1, ONE),
    "nothing": b"",
    "no kind": struct.pack("!i", 99),
}


@each_row("body", WRONG)
def test_what_no_answer_holds_is_refused(handler: Any, body: bytes) -> None:
    with pytest.raises(ProtocolViolationError):
        decode(handler, body)


@each_row(
    ("opcode", "flags", "body"),
    {
        "no kind": (0x77, 0, b""),
        "empty error": (ERROR, 0, b""),
        "failures": (ERROR, 0, struct.pack("!ihhiii", 0x1300, 0, 1, 1, 1, BILLIONS)),
        "event": (EVENT, 0, b"\0\5OTHER"),
        "packed": (RESULT, 1, b"packed"),
        "payload": (RESULT, 4, struct.pack("!H", 0xFFFF)),
        "warnings": (RESULT, 8, struct.pack("!H", 0xFFFF)),
    },
)
def test_other_messages_that_cannot_be_decoded(handler: Any, opcode: int, flags: int, body: bytes) -> None:
    with pytest.raises(ProtocolViolationError):
        decode(handler, body, opcode=opcode, flags=flags)
