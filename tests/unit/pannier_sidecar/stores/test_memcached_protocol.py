"""memcached's text protocol alone: replies from bytes, however they are cut."""

import tracemalloc
from collections.abc import Sequence

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from pannier_sidecar.stores.memcached.protocol import (
    MAX_ITEM,
    MAX_LINE,
    NotUnderstoodError,
    ProtocolError,
    Reply,
    ReplyReader,
)

Written = tuple[bytes, list[Reply]]
"""A server's bytes, and the replies in them."""

lines = st.sampled_from(
    [b"HD", b"EN", b"NS", b"EX", b"NF", b"MN", b"STORED", b"VERSION 1.6.38", b"SERVER_ERROR x", b""]
)
values = st.binary(max_size=300) | st.sampled_from([b"\r\n", b"END\r\n", b"VA 3 t\r\nabc\r\n", b"ERROR\r\n"])
written: st.SearchStrategy[Written] = st.one_of(
    lines.map(lambda line: (line + b"\r\n", [line])),
    values.map(lambda value: (b"VA %d c5 f0 t-1\r\n%b\r\n" % (len(value), value), [_with_value(value)])),
    st.just((b"STAT pid 1\r\nSTAT version 1.6 and more\r\nEND\r\n", [b"END"])),
)
places = st.lists(st.integers(0, 10_000), max_size=8)


def _with_value(value: bytes) -> Reply:
    return b"VA %d c5 f0 t-1" % len(value), value


def cut(data: bytes, places: Sequence[int]) -> list[bytes]:
    at = sorted({0, len(data), *(place % (len(data) + 1) for place in places)})
    return [data[start:end] for start, end in zip(at, at[1:], strict=False)]


def read(pieces: Sequence[bytes]) -> tuple[list[Reply], type[ProtocolError] | None]:
    """All replies, and how the reading ended."""
    reader, found = ReplyReader(), []
    try:
        for piece in pieces:
            for reply in reader.feed(piece):
                found.append(reply)
    except ProtocolError as error:
        return found, type(error)
    return found, None


@given(several=st.lists(written, max_size=6), places=places)
def test_replies_are_read_however_they_are_cut(several: list[Written], places: list[int]) -> None:
    data = b"".join(sent for sent, _ in several)
    meant = [reply for _, replies in several for reply in replies]
    assert read(cut(data, places)) == (meant, None)


tokens = (b"VA ", b"STAT ", b"STAT a b", b"1", b"0", b"-1", b"9" * 5000, b" ", b"\r\n", b"\r", b"\n", b"ERROR", b"END")


@given(pieces=st.lists(st.binary(max_size=20) | st.sampled_from(tokens), max_size=25), before=written, places=places)
@example([b"VA ", b"\r\n"], (b"", []), [])
@example([b"VA 1_0 \r\n"], (b"", []), [])
@example([b"VA \xb2 \r\n"], (b"", []), [])
@example([b"VA 0\r\nab"], (b"", []), [])
def test_any_bytes_are_replies_or_a_protocol_error(pieces: list[bytes], before: Written, places: list[int]) -> None:
    data = before[0] + b"".join(pieces)
    whole = read([data])
    assert whole[0][: len(before[1])] == before[1]
    assert read(cut(data, places)) == whole
    assert read([data[at : at + 1] for at in range(len(data))]) == whole


@pytest.mark.parametrize("line", [b"ERROR", b"CLIENT_ERROR bad data chunk"])
def test_after_a_command_that_was_not_understood_nothing_is_read(line: bytes) -> None:
    assert read([b"HD\r\n" + line + b"\r\nHD\r\n"]) == ([b"HD", line], NotUnderstoodError)


def test_figures_are_kept_beside_the_replies() -> None:
    reader = ReplyReader()
    assert list(reader.feed(b"STAT pid 1\r\nSTAT version 1.6 and")) == []
    assert list(reader.feed(b" more\r\nEND\r\n")) == [b"END"]
    assert reader.stats == {"pid": "1", "version": "1.6 and more"}


def test_a_large_value_is_read_in_small_pieces() -> None:
    value = bytes(8 * 1024 * 1024)
    sent = b"VA %d c5\r\n%b\r\nHD\r\n" % (len(value), value)
    found, _ = read([sent[at : at + 512] for at in range(0, len(sent), 512)])
    assert found == [(b"VA %d c5" % len(value), value), b"HD"]


@pytest.mark.parametrize(
    "piece",
    [b"x" * 1000, b"STAT a " + b"1" * 1000 + b"\r\n", b"STAT " + b"a" * 70_000 + b" 1\r\n", b"VA 9" + b"9" * 1000],
    ids=["a line", "figures", "a long figure", "a size"],
)
def test_endless_input_is_not_kept(piece: bytes) -> None:
    reader = ReplyReader()
    tracemalloc.start()
    try:
        with pytest.raises(ProtocolError):
            for _ in range(10_000):
                assert list(reader.feed(piece)) == []
        assert tracemalloc.get_traced_memory()[1] < 4 * MAX_LINE + 1024 * 1024
    finally:
        tracemalloc.stop()


def test_an_item_larger_than_any_is_refused_when_it_is_announced() -> None:
    assert read([b"VA %d t\r\n" % (MAX_ITEM + 1)]) == ([], ProtocolError)
    assert read([b"VA %d t\r\n" % MAX_ITEM]) == ([], None)
