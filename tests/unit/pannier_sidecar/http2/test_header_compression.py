"""HPACK agrees with the well-known library, and requests follow RFC 9113."""

import hpack
import pytest
from hpack.exceptions import HPACKDecodingError
from hypothesis import given
from hypothesis import strategies as st
from unit.tables import each_row

from pannier_sidecar.http2.frames import ErrorCode, Http2ConnectionError
from pannier_sidecar.http2.headers import HeaderReader, MalformedHeadersError, literal
from pannier_sidecar.http2.hpack import Decoder, HpackError

NAMES = st.sampled_from([b"te", b"user-agent", b"grpc-timeout", b"x-a", b":path", b"cookie"]) | st.binary(max_size=40)
FIELDS = st.lists(st.tuples(NAMES, st.binary(max_size=300)), max_size=12)
STEPS = st.lists(st.tuples(FIELDS, st.booleans(), st.none() | st.integers(0, 4096)), max_size=8)
ROOM = 1 << 20


@given(STEPS)
def test_blocks_that_the_library_encodes_are_decoded(
    steps: list[tuple[list[tuple[bytes, bytes]], bool, int | None]],
) -> None:
    encoder, decoder = hpack.Encoder(), Decoder(max_list_size=ROOM)
    for fields, is_huffman, table_size in steps:
        if table_size is not None:
            encoder.header_table_size = table_size
        assert decoder.decode(encoder.encode(fields, huffman=is_huffman)) == fields


@given(st.lists(st.binary(max_size=80), min_size=1, max_size=4))
def test_any_bytes_are_decoded_as_the_library_does_or_refused(blocks: list[bytes]) -> None:
    theirs, ours = hpack.Decoder(ROOM), Decoder(max_list_size=ROOM)
    for block in blocks:
        try:
            found = ours.decode(block)
        except HpackError:
            return
        try:
            expected = [(bytes(name), bytes(value)) for name, value in theirs.decode(block, raw=True)]
        except HPACKDecodingError:
            return
        assert found == expected


@given(FIELDS, st.booleans(), st.data())
def test_a_block_that_is_changed_never_crashes(
    fields: list[tuple[bytes, bytes]], is_huffman: bool, data: st.DataObject
) -> None:
    block = bytearray(hpack.Encoder().encode(fields, huffman=is_huffman))
    for _ in range(data.draw(st.integers(1, 3))):
        if block:
            block[data.draw(st.integers(0, len(block) - 1))] = data.draw(st.integers(0, 255))
    try:
        Decoder(max_list_size=ROOM).decode(bytes(block))
    except HpackError:
        pass


def test_every_byte_survives_huffman() -> None:
    every = bytes(range(256)) * 3
    assert Decoder(max_list_size=ROOM).decode(hpack.Encoder().encode([(b"n", every)])) == [(b"n", every)]


@given(st.lists(st.tuples(st.integers(0, 5), st.integers(0, 3), st.booleans()), max_size=30))
def test_a_remembered_block_has_the_fields_that_decoding_gives(calls: list[tuple[int, int, bool]]) -> None:
    encoder, reader = hpack.Encoder(), HeaderReader(ROOM)
    for method, timeout, has_id in calls:
        fields = [*request(b"/s/m%d" % method), (b"grpc-timeout", b"%dS" % timeout)]
        fields += [(b"x-id", b"7" * method)] if has_id else []
        assert reader.read(encoder.encode(fields)) == dict(fields)


def request(path: bytes = b"/s/m") -> list[tuple[bytes, bytes]]:
    return [(b":method", b"POST"), (b":scheme", b"http"), (b":path", path), (b"te", b"trailers")]


@each_row(
    "fields",
    [
        request()[1:],
        [request()[0], *request()[2:]],
        [*request()[:2], *request()[3:]],
        [*request()[:2], (b":path", b"")],
        [*request(), (b":path", b"/late")],
        [request()[0], *request()],
        [*request(), (b"Upper", b"x")],
        [(b":status", b"200"), *request()],
        [*request(), (b"connection", b"close")],
        [*request(), (b"te", b"gzip")],
        [*request(), (b"", b"x")],
    ],
)
def test_a_request_that_is_not_allowed_is_malformed(fields: list[tuple[bytes, bytes]]) -> None:
    block = hpack.Encoder().encode(fields)
    reader = HeaderReader(ROOM)
    for _ in range(2):
        with pytest.raises(MalformedHeadersError):
            reader.read(block)
        block = hpack.Encoder().encode([], huffman=False) + b"".join(literal(*field) for field in fields)


def test_bad_compression_ends_the_connection() -> None:
    with pytest.raises(Http2ConnectionError) as fault:
        HeaderReader(ROOM).read(b"\xff\xff\xff\xff\xff\xff")
    assert fault.value.code is ErrorCode.COMPRESSION_ERROR


def test_a_header_list_over_the_limit_ends_the_connection() -> None:
    with pytest.raises(Http2ConnectionError, match="over 1000 bytes"):
        HeaderReader(1000).read(hpack.Encoder().encode([*request(), (b"x", b"y" * 1000)]))


@given(st.binary(max_size=400), st.binary(max_size=40_000))
def test_a_literal_is_read_back(name: bytes, value: bytes) -> None:
    assert hpack.Decoder(ROOM).decode(literal(name, value), raw=True) == [(name, value)]
