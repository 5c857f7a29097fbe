"""Messages that begin with two strings are read and written in one piece, with the same results as by the codec."""

from typing import Annotated

from hypothesis import given
from hypothesis import strategies as st
from msgspec import Struct

from pannier_sidecar.protobuf import MalformedMessageError, decode, encode, read_pair, write_pair


class Pair(Struct):
    """Two strings, and other fields."""

    first: Annotated[str, 1] = ""
    second: Annotated[bytes, 2] = b""
    number: Annotated[int, 3] = 0
    labels: Annotated[dict[str, str], 4] = {}


SIZES = st.sampled_from((0, 1, 5, 127, 128, 300, 20_000))
TEXTS = st.text(max_size=6) | SIZES.map(lambda size: "t" * size)
DATA = st.binary(max_size=6) | SIZES.map(lambda size: b"d" * size)
PAIRS = st.builds(Pair, TEXTS, DATA) | st.builds(Pair, TEXTS, DATA, st.integers(0, 300), st.just({"a": "b"}))
REST = st.binary(max_size=8) | PAIRS.map(encode)


def decoded(data: bytes, message: Pair | None = None) -> Pair | None:
    try:
        return decode(Pair, data, message=message)
    except MalformedMessageError:
        return None


@given(PAIRS, REST, st.integers(0, 40), st.binary(max_size=2))
def test_messages_read_in_one_piece_are_read_as_the_codec_reads_them(
    pair: Pair, rest: bytes, at: int, other: bytes
) -> None:
    data = encode(pair) + rest
    for each in (data, data[:at], data[:at] + other + data[at:], rest):
        found = read_pair(each)
        if found is None:
            continue
        first, second, end = found
        try:
            begun = Pair(first.decode(), second)
        except UnicodeDecodeError:
            assert decoded(each) is None
        else:
            assert decoded(each[end:], begun) == decoded(each)


@given(TEXTS, DATA)
def test_messages_written_in_one_piece_are_written_as_the_codec_writes_them(first: str, second: bytes) -> None:
    assert write_pair(first.encode(), second) == encode(Pair(first, second))


@given(TEXTS.filter(lambda text: 0 < len(text.encode()) < 128), DATA.filter(len))
def test_the_commonest_messages_are_read_in_one_piece(first: str, second: bytes) -> None:
    data = encode(Pair(first, second))
    assert read_pair(data) == (first.encode(), second, len(data))
