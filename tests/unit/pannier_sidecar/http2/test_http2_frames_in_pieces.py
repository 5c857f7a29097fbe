"""Frames are passed on when they are complete, however the network has divided them."""

from __future__ import annotations

import pytest
from unit.tables import each_row

from pannier_sidecar.http2 import frames
from pannier_sidecar.http2.reader import FrameReader

SETTINGS = frames.settings({frames.MAX_FRAME_SIZE: 16_384})
PING = frames.frame(frames.PING, 0, 0, b"12345678")
DATA = frames.frame(frames.DATA, frames.END_STREAM, 1, b"value")
SENT = frames.PREFACE + SETTINGS + PING + DATA
KINDS = [frames.SETTINGS, frames.PING, frames.DATA]


class Taken:
    def __init__(self) -> None:
        self.kinds: list[int] = []
        self.payloads: list[bytes] = []

    def __call__(self, kind: int, flags: int, stream_id: int, payload: bytes) -> None:
        self.kinds.append(kind)
        self.payloads.append(payload)


@each_row("size", range(1, len(SENT) + 1))
def test_pieces_of_any_size_give_the_same_frames(size: int) -> None:
    reader, taken = FrameReader(), Taken()
    for at in range(0, len(SENT), size):
        reader.read(SENT[at : at + size], taken)
    assert taken.kinds == KINDS
    assert taken.payloads[-1] == b"value"
    assert reader.rest == b""


def test_an_incomplete_frame_is_kept() -> None:
    reader, taken = FrameReader(), Taken()
    assert reader.read(frames.PREFACE + PING[:-1], taken)
    assert (taken.kinds, reader.rest) == ([], PING[:-1])
    assert reader.read(PING[-1:] + PING, taken)
    assert (taken.kinds, reader.rest) == ([frames.PING] * 2, b"")


def test_nothing_is_read_after_the_frame_that_stops_it() -> None:
    reader = FrameReader()
    kinds: list[int] = []

    def take(kind: int, flags: int, stream_id: int, payload: bytes) -> None:
        kinds.append(kind)
        reader.stop()

    reader.read(SENT[:-1], take)
    assert (kinds, reader.rest) == ([frames.SETTINGS], b"")


def test_an_invalid_preface_is_refused_at_its_first_wrong_byte() -> None:
    reader, taken = FrameReader(), Taken()
    assert not reader.read(b"PRI", taken)
    with pytest.raises(frames.PrefaceError):
        reader.read(b" /", taken)


def test_a_frame_that_is_too_large_is_refused_before_it_has_arrived() -> None:
    reader, taken = FrameReader(), Taken()
    reader.read(frames.PREFACE, taken)
    with pytest.raises(frames.Http2ConnectionError, match="a frame of 16385 bytes"):
        reader.read(frames.header(frames.MAX_FRAME + 1, frames.DATA, 0, 1), taken)
