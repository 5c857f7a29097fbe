"""gRPC clients that read no answers, or a byte now and then, or send expensive requests: others are served."""

from __future__ import annotations

import gzip
import struct
import time
from contextlib import ExitStack, closing

import hpack
import pytest
from hostile.conftest import Promise
from hostile.effort import Effort
from hostile.floods.conftest import PATIENCE_S, Target, many_files

from pannier_sidecar.grpc_api import messages
from pannier_sidecar.http2 import frames
from pannier_sidecar.protobuf import encode

MIB = 1024 * 1024
ON = "gRPC, Dapr's service"
SERVED = "While a client floods a sidecar, the sidecar's memory stays bounded and another client is served"
DAPR = "dapr.proto.runtime.v1.Dapr"


class Flood:
    """One connection that speaks frames."""

    def __init__(self, target: Target, window: int):
        self.sock = target.connect(target.grpc)
        self._encoder = hpack.Encoder()
        self._next = 1
        self.sock.sendall(frames.PREFACE + frames.settings({frames.INITIAL_WINDOW_SIZE: window}))

    def call(self, method: str, message: bytes, *, is_gzip: bool = False, is_last: bool = True) -> bytes:
        """The frames of a call."""
        stream, self._next = self._next, self._next + 2
        fields = [(":method", "POST"), (":scheme", "http"), (":path", f"/{DAPR}/{method}"), (":authority", "localhost")]
        fields += [("content-type", "application/grpc"), ("te", "trailers")]
        if is_gzip:
            fields.append(("grpc-encoding", "gzip"))
            message = gzip.compress(message, 9)
        whole = struct.pack(">BL", is_gzip, len(message)) + message
        parts = [whole[at : at + frames.MAX_FRAME] for at in range(0, len(whole), frames.MAX_FRAME)]
        sent = [frames.frame(frames.HEADERS, frames.END_HEADERS, stream, self._encoder.encode(fields))]
        for number, part in enumerate(parts):
            ends = is_last and number == len(parts) - 1
            sent.append(frames.frame(frames.DATA, frames.END_STREAM if ends else 0, stream, part))
        return b"".join(sent)

    def close(self) -> None:
        self.sock.close()

    def ends(self, count: int) -> list[int]:
        """Read until this many streams have ended; return their statuses, -1 for those that were reset."""
        decoder, file = hpack.Decoder(1 << 20), self.sock.makefile("rb")
        found: list[int] = []
        self.sock.settimeout(PATIENCE_S)
        while len(found) < count:
            head = file.read(9)
            assert len(head) == 9, "closed"
            payload = file.read(int.from_bytes(head[:3], "big"))
            if head[3] == frames.HEADERS:
                headers = {str(name): str(value) for name, value in decoder.decode(payload)}
                if "grpc-status" in headers:
                    found.append(int(headers["grpc-status"]))
            elif head[3] == frames.RST_STREAM:
                found.append(-1)
            elif head[3] == frames.GOAWAY:
                raise AssertionError(payload)
        return found


def get(key: str) -> bytes:
    return encode(messages.GetStateRequest("statestore", key))


@pytest.mark.parametrize("window", [0, 65_535, frames.MAX_WINDOW])
@pytest.mark.parametrize("what", ["values", "bulk"])
def test_answers_that_nobody_takes_are_held_within_the_budget(
    target: Target, promise: Promise, effort: Effort, window: int, what: str
) -> None:
    """Once, 512 values of 4 MiB to 4 connections took 1.6 GB; 10 KB of bulk reads 1.8 GB, and others waited 54
    s.
    """
    connections = effort.times(4, 16)
    for number in range(7):
        target.save(f"large{number}", "x" * (4 * MIB - 200))
    if what == "bulk":
        method, message = (
            "GetBulkState",
            encode(messages.GetBulkStateRequest("statestore", [f"large{n}" for n in range(7)])),
        )
    else:
        method, message = "GetState", get("large0")
    with ExitStack() as stack, target.flooded() as used:
        for _ in range(connections):
            flood = stack.enter_context(closing(Flood(target, window)))
            if window:
                flood.sock.sendall(frames.window_update(0, 2**30))
            flood.sock.sendall(b"".join([flood.call(method, message) for _ in range(128)]))
        time.sleep(effort.seconds(1, 5))
        with closing(Flood(target, frames.MAX_WINDOW)) as client:
            client.sock.sendall(frames.window_update(0, 2**30) + client.call("GetState", get("large1")))
            assert client.ends(1) == [0]
    assert used.grown_mib < (250 if what == "bulk" else 140), used
    assert used.others_are_served, used
    promise(
        SERVED,
        on=ON,
        fault=f"{'bulk gets' if what == 'bulk' else 'gets'} with answers of 4 MiB and more, "
        f"windows of {window} bytes that stay closed",
        times=128 * connections, counted=str(used),
    )  # fmt: skip


def test_a_client_that_takes_its_answers_gets_all_of_them(target: Target, promise: Promise, effort: Effort) -> None:
    """128 calls for 4 MiB each on one connection are 512 MiB: they wait for each other."""
    target.save("large", "x" * (4 * MIB - 200))
    times = effort.times(1, 4)
    with target.flooded() as used:
        for _ in range(times):
            with closing(Flood(target, frames.MAX_WINDOW)) as client:
                client.sock.sendall(frames.window_update(0, 2**30))
                client.sock.sendall(b"".join([client.call("GetState", get("large")) for _ in range(128)]))
                assert client.ends(128) == [0] * 128
    assert used.grown_mib < 100, used
    promise(
        "A client that reads its answers gets all of them", on=ON, fault="128 calls at once for 4 MiB each",
        times=times, counted=str(used),
    )  # fmt: skip


MANY = {
    "items": ("SaveState", encode(messages.SaveStateRequest("statestore")) + b"\x12\x00" * 2_000_000),
    "keys": ("GetBulkState", encode(messages.GetBulkStateRequest("statestore")) + b"\x12\x00" * 2_000_000),
    "deletes": ("DeleteBulkState", encode(messages.DeleteBulkStateRequest("statestore")) + b"\x12\x00" * 2_000_000),
    "operations": (
        "ExecuteStateTransaction",
        encode(messages.ExecuteStateTransactionRequest("statestore")) + b"\x12\x00" * 2_000_000,
    ),
    "metadata of the request": (
        "GetState", encode(messages.GetStateRequest("statestore", "k")) + b"\x22\x00" * 2_000_000,
    ),
    "metadata of an item": (
        "SaveState", encode(messages.SaveStateRequest("statestore")) + b"\x12\x80\x88\x7a" + b"\x22\x00" * 1_000_000,
    ),
    "keys of one request": ("GetState", b"\x12\x00" * 2_000_000),
    "unknown fields": ("GetState", b"\x78\x00" * 2_000_000),
}  # fmt: skip


@pytest.mark.parametrize("what", MANY)
def test_small_messages_that_unpack_to_very_many_fields_are_refused_early(
    target: Target, promise: Promise, effort: Effort, what: str
) -> None:
    """Once, a gzip of 4,255 bytes took 9.4 s in one turn of the loop, and 557 MB."""
    method, message = MANY[what]
    times = effort.times(4, 40)
    with closing(Flood(target, 65_535)) as flood, target.flooded() as used:
        flood.sock.sendall(b"".join([flood.call(method, message, is_gzip=True) for _ in range(times)]))
        statuses = flood.ends(times)
    assert set(statuses) <= {3, 8, 13}, statuses
    assert used.cpu_s < 1 + 0.4 * times, used
    assert used.others_are_served, used
    assert used.grown_mib < 100, used
    promise(SERVED, on=ON, fault=f"gzip messages with very many {what}", times=times, counted=str(used))


def test_as_many_items_as_are_allowed_are_read_with_pauses(target: Target, promise: Promise, effort: Effort) -> None:
    keys = [f"k{number}" for number in range(10_000)]
    save = messages.SaveStateRequest("statestore", [messages.StateItem(key, b"v" * 100) for key in keys])
    states = [messages.StateItem(key, b"1", messages.Etag("1")) for key in keys]
    mismatch = messages.SaveStateRequest("statestore", states)
    times = effort.times(2, 20)
    with closing(Flood(target, MIB)) as flood, target.flooded() as used:
        flood.sock.sendall(frames.window_update(0, 2**30))
        for _ in range(times):
            flood.sock.sendall(flood.call("SaveState", encode(save)))
            assert flood.ends(1) == [0]
            flood.sock.sendall(flood.call("SaveState", encode(mismatch)))
            assert flood.ends(1) == [10]
            flood.sock.sendall(flood.call("GetBulkState", encode(messages.GetBulkStateRequest("statestore", keys))))
            time.sleep(0.2)
    assert used.others_are_served, used
    assert used.grown_mib < 100, used
    promise(SERVED, on=ON, fault="saves, mismatches and reads of 10,000 items", times=3 * times, counted=str(used))


FRAMES = {
    "WINDOW_UPDATE frames of one byte": lambda flood: frames.window_update(0, 1) * 80_000,
    "WINDOW_UPDATE frames of one byte for a stream": lambda flood: frames.window_update(1, 1) * 80_000,
    "SETTINGS frames that change all windows": lambda flood: frames.frame(
        frames.SETTINGS, 0, 0, struct.pack(">HL", frames.INITIAL_WINDOW_SIZE, 0) * 2_700
    ) * 60,
    "calls above the limit of concurrent calls": lambda flood: b"".join(
        [flood.call("GetState", get("k"), is_last=False) for _ in range(20_000)]
    ),
}  # fmt: skip


@pytest.mark.parametrize("what", FRAMES)
def test_frames_that_carry_no_call_end_the_connection(
    target: Target, promise: Promise, effort: Effort, what: str
) -> None:
    """Once, a megabyte of WINDOW_UPDATE took a second with 128 streams blocked, and was not counted."""
    target.save("large", "x" * 60_000)
    times = effort.times(3, 30)
    with target.flooded() as used:
        for _ in range(times):
            with closing(Flood(target, 65_535)) as flood:
                flood.sock.sendall(b"".join([flood.call("GetState", get("large")) for _ in range(128)]))
                time.sleep(0.05)
                try:
                    flood.sock.sendall(FRAMES[what](flood))
                    flood.sock.settimeout(PATIENCE_S)
                    while flood.sock.recv(1 << 20):
                        pass
                except (ConnectionError, BrokenPipeError):
                    pass
    assert used.cpu_s < 1 + 0.3 * times, used
    assert used.others_are_served, used
    promise(
        "Too many frames without a call close the connection", on=ON, fault=what, times=times, counted=str(used),
    )  # fmt: skip


PARTS = {
    "a frame": frames.frame(frames.DATA, 0, 1, b"y" * 16_000)[:-1],
    "a header block": frames.frame(frames.HEADERS, 0, 1, b"y" * 16_000),
    "CONTINUATION": frames.frame(frames.HEADERS, 0, 1, b"y" * 16_000) + frames.frame(9, 0, 1, b"y" * 16_000),
}


@pytest.mark.parametrize("what", PARTS)
def test_what_does_not_end_is_held_no_longer_than_a_header_may_be(
    target: Target, promise: Promise, effort: Effort, what: str
) -> None:
    count = effort.times(200, 1500)
    with many_files(), ExitStack() as stack, target.flooded() as used:
        for _ in range(count):
            flood = stack.enter_context(closing(Flood(target, 65_535)))
            flood.sock.sendall(PARTS[what])
        time.sleep(effort.seconds(0.2, 2))
    assert used.grown_mib < 20 + count * 0.06, used
    assert used.others_are_served, used
    promise(SERVED, on=ON, fault=f"{what} that does not end", times=count, counted=str(used))


def test_header_blocks_that_go_on_end_the_connection(target: Target, promise: Promise, effort: Effort) -> None:
    times = effort.times(20, 300)
    block = frames.frame(frames.HEADERS, 0, 1, b"y" * 16_000) + frames.frame(9, 0, 1, b"y" * 16_000) * 14
    with target.flooded() as used:
        for _ in range(times):
            with closing(Flood(target, 65_535)) as flood:
                try:
                    flood.sock.sendall(block)
                    while flood.sock.recv(1 << 16):
                        pass
                except ConnectionError:
                    pass
    assert used.grown_mib < 20, used
    assert used.others_are_served, used
    promise(SERVED, on=ON, fault="header blocks of 230 KB", times=times, counted=str(used))
