"""What comes from a server of Cassandra is cut into frames once, and nothing is kept that is no frame."""

import io
import random
import struct
from collections.abc import Callable, Iterator

import pytest
from cassandra.segment import SegmentCodec
from unit.tables import each_row

from pannier_sidecar.stores.cassandra.frames import Frame, FrameReader, ProtocolViolationError

LIMIT = 1_000_000
VERSION = 0x85


def frame(body: bytes, stream: int = 1, *, version: int = VERSION, length: int | None = None) -> bytes:
    return struct.pack("!BBhBi", version, 0, stream, 8, len(body) if length is None else length) + body


def segments(data: bytes) -> bytes:
    buffer = io.BytesIO()
    SegmentCodec().encode(buffer, data)
    return buffer.getvalue()


def pieces(data: bytes, largest: int) -> Iterator[bytes]:
    numbers = random.Random(len(data))
    at = 0
    while at < len(data):
        size = numbers.randint(1, largest)
        yield data[at : at + size]
        at += size


def read(reader: FrameReader, data: bytes, largest: int) -> list[Frame]:
    return [found for piece in pieces(data, largest) for found in reader.feed(piece)]


def segmented() -> FrameReader:
    reader = FrameReader(LIMIT)
    reader.begin_segments()
    return reader


SIZES = (0, 1, 5000, 131_071, 131_072, 400_000)
MANY = 100_000


@pytest.mark.parametrize("largest", [1, 7, 4096, 10_000_000])
def test_frames_are_found_in_whatever_pieces_they_come(largest: int) -> None:
    sizes = SIZES[:3] if largest == 1 else SIZES
    bodies = [bytes([number]) * size for number, size in enumerate(sizes)]
    sent = [frame(body, number) for number, body in enumerate(bodies)]
    expected = [Frame(5, 0, number, 8, body) for number, body in enumerate(bodies)]
    assert read(FrameReader(LIMIT), b"".join(sent), largest) == expected
    assert read(segmented(), b"".join(map(segments, sent)), largest) == expected


@pytest.mark.parametrize("largest", [1, 10, 10_000])
def test_segments_begin_behind_the_frame_after_which_they_are_announced(largest: int) -> None:
    reader = FrameReader(LIMIT)
    found = []
    for piece in pieces(frame(b"ready") + segments(frame(b"first") + frame(b"second")), largest):
        for each in reader.feed(piece):
            found.append(each.body)
            if each.body == b"ready":
                reader.begin_segments()
    assert found == [b"ready", b"first", b"second"]


@pytest.mark.parametrize("wrap", [bytes, segments])
def test_a_hundred_thousand_frames_in_one_piece_take_no_longer_than_each_by_itself(
    wrap: Callable[[bytes], bytes],
) -> None:
    reader = FrameReader(LIMIT) if wrap is bytes else segmented()
    assert len(list(reader.feed(wrap(frame(b"")) * MANY))) == MANY


BROKEN = bytearray(segments(frame(b"value")))
BROKEN[-1] ^= 1
WRONG = {
    "a request": frame(b"", version=5),
    "a version of long ago": frame(b"", version=0x82),
    "a version yet to come": frame(b"", version=0x8F),
    "garbage": b"x" * 9,
    "zeros": bytes(9),
    "less than nothing": frame(b"", length=-1),
    "more than the limit": frame(b"", length=LIMIT + 1),
    "2 GB": frame(b"", length=2**31 - 1),
}
WRONG_SEGMENTS = {
    **{title: segments(data) for title, data in WRONG.items()},
    "no segments": frame(b"value"),
    "another checksum": bytes(BROKEN),
    "nothing in it": segments(b""),
    "a byte in each": segments(frame(b"", length=100)) + segments(b"x"),
}


@each_row("data", WRONG)
def test_what_is_no_frame_is_refused_before_more_of_it_comes(data: bytes) -> None:
    with pytest.raises(ProtocolViolationError):
        list(FrameReader(LIMIT).feed(data))


@each_row("data", WRONG_SEGMENTS)
def test_what_is_no_segment_is_refused_before_more_of_it_comes(data: bytes) -> None:
    with pytest.raises(ProtocolViolationError):
        list(segmented().feed(data))


def test_a_frame_of_the_limit_is_taken() -> None:
    (found,) = FrameReader(LIMIT).feed(frame(bytes(LIMIT)))
    assert len(found.body) == LIMIT
