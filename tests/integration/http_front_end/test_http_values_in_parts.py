"""Values that are kept in parts go in and out part by part, whatever senders and readers do."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from integration.http_front_end.http_wire import Serving, Wire, chunked, get, request, serving, until
from servers.limits import http_limits

from pannier_sidecar.large_values.layout import Keys
from pannier_sidecar.large_values.part_store import PartStore, Sizes
from pannier_sidecar.serving import Budget
from pannier_sidecar.state.errors import StoreRefusedError
from pannier_sidecar.state.items_in_flight import ItemsInFlight
from pannier_sidecar.state.requests import Delete, Get, Set
from pannier_sidecar.state.store import Store, StoredValue
from pannier_sidecar.stores.in_memory import InMemoryStore

PART = 100_000
VALUE = bytes(range(256)) * 4000
HUGE = VALUE * 16
"""More than the buffers of the network hold."""
MAXIMUM = len(HUGE)
KEYS = Keys("app||")
RAW = "/v1.0-alpha1/state/statestore/k/value"
PLAIN = "/v1.0/state/statestore/k"


class SlowStore(InMemoryStore):
    """A store in memory that counts parts, and waits or fails when a test says so."""

    def __init__(self) -> None:
        super().__init__({})
        self.may_write = asyncio.Event()
        self.may_write.set()
        self.written = self.read = 0
        self.fails_at = 1000

    async def set(self, write: Set) -> None:
        if len(write.value) == PART:
            await self.may_write.wait()
            self.written += 1
            if self.written > self.fails_at:
                raise StoreRefusedError("the disk is full")
        await super().set(write)

    async def get(self, get: Get) -> StoredValue | None:
        found = await super().get(get)
        self.read += found is not None and len(found.value) == PART
        return found

    async def all(self) -> list[str]:
        """The stored keys."""
        return list((await self.keys("", 1000, None)).keys)


@asynccontextmanager
async def in_parts(store: Store, budget: Budget | None = None) -> AsyncIterator[Serving]:
    parts = PartStore(store, KEYS, Sizes(PART, MAXIMUM, 150_000, 300_000))
    async with serving(limits=http_limits(body=10_000), store=parts, budget=budget) as here:  # type: ignore[arg-type]
        assert here.api is not None
        here.listener.streams = here.api.streams  # type: ignore[attr-defined]
        yield here


@pytest.fixture
def store() -> SlowStore:
    return SlowStore()


@pytest.fixture
async def here(store: SlowStore) -> AsyncIterator[Serving]:
    async with in_parts(store) as here:
        yield here


def put(*headers: str, body: bytes = VALUE, target: str = RAW) -> bytes:
    return request("PUT", target, body, *headers)


def put_in_chunks(*parts: bytes) -> bytes:
    return request("PUT", RAW, None, "Transfer-Encoding: chunked") + chunked(*parts)


async def is_stored(wire: Wire, value: bytes) -> None:
    answer = await wire.ask(get(PLAIN))
    assert (answer.status, answer.body == value) == (200, True)


async def nothing_is_left(store: SlowStore) -> None:
    """Wait until the parts of a writer that failed are removed."""
    async with asyncio.timeout(20):
        while await store.all():
            await asyncio.sleep(0.01)


# --- in ---------------------------------------------------------------------------------------------------------------


async def test_a_value_comes_in_however_it_is_sent(here: Serving, subtests: pytest.Subtests) -> None:
    wire = await here.connect()
    third = len(VALUE) // 3
    ways = {
        "with a length": put(),
        "in chunks": put_in_chunks(VALUE[:third], VALUE[third:]),
        "in chunks with a trailer": request("POST", RAW, None, "Transfer-Encoding: chunked")
        + chunked(VALUE, trailer=b"If-Match: 9\r\n"),
        "in small chunks": put_in_chunks(*(VALUE[at : at + 1000] for at in range(0, len(VALUE), 1000))),
        "by an absolute address": put(target=f"http://test{RAW}"),
        "of just whole parts": put(body=VALUE[: 3 * PART]),
        "of a part": put(body=VALUE[:PART]),
        "of a part and a byte": put(body=VALUE[: PART + 1]),
        "of nothing": put(body=b""),
    }
    for name, sent in ways.items():
        with subtests.test(name):
            assert (await wire.ask(sent)).status == 201
            size = {"of just whole parts": 3 * PART, "of a part": PART, "of a part and a byte": PART + 1}.get(name)
            await is_stored(wire, b"" if name == "of nothing" else VALUE[:size])


async def test_requests_behind_it_are_answered_in_their_order(here: Serving) -> None:
    wire = await here.connect()
    await wire.send(get("/v1.0/healthz") + put() + get(PLAIN) + put(body=VALUE[::-1]) + get(PLAIN))
    answers = [await wire.answer() for _ in range(5)]
    assert [answer.status for answer in answers] == [204, 201, 200, 201, 200]
    assert (answers[2].body, answers[4].body) == (VALUE, VALUE[::-1])
    assert await wire.is_usable()


async def test_a_client_that_waits_for_100_continue_gets_it(here: Serving) -> None:
    wire = await here.connect()
    head = put("Expect: 100-continue").removesuffix(VALUE)
    assert (await wire.ask(head)).status == 100
    assert (await wire.ask(VALUE)).status == 201
    assert await wire.is_usable()


async def test_a_sender_waits_while_the_store_does(here: Serving, store: SlowStore) -> None:
    wire = await here.connect()
    store.may_write.clear()
    sending = asyncio.create_task(wire.send(put(body=VALUE * 2)))
    await until(lambda: bool(here.connections) and here.connections[0]._is_reading_paused, "a pause")
    assert here.listener.held < 600_000, "a part that is written, one that is read, and what was in the network"
    store.may_write.set()
    await sending
    assert (await wire.answer()).status == 201


async def test_a_sender_that_ends_early_stores_nothing(
    here: Serving, store: SlowStore, subtests: pytest.Subtests
) -> None:
    half = put()[: -len(VALUE) // 2]
    for name in ("is reset", "ends its side", "sends a wrong chunk", "is silent", "is slow"):
        with subtests.test(name):
            wire = await here.connect()
            if name == "sends a wrong chunk":
                await wire.send(put_in_chunks(VALUE)[:-5] + b"no chunk\r\n")
            else:
                await wire.send(half)
            await until(lambda: store.written > 2, "parts")
            if name == "is reset":
                wire.reset()
            elif name == "ends its side":
                wire.writer.write_eof()
                assert (await wire.answer()).status == 400
            elif name == "sends a wrong chunk":
                answer = await wire.answer()
                assert (answer.status, json.loads(answer.body)["errorCode"]) == (400, "ERR_MALFORMED_REQUEST")
            else:
                for _ in range(80):
                    if name == "is slow" and not wire.has_more():
                        await wire.send(b"x")
                    await asyncio.sleep(0.001)
                    here.pass_time(1)
                answer = await wire.answer()
                assert (answer.status, json.loads(answer.body)["errorCode"]) == (408, "ERR_REQUEST_TIMEOUT")
                assert "nothing was stored" in json.loads(answer.body)["message"]
            await nothing_is_left(store)
            store.written = 0
            wire.abort()
            await until(lambda: not here.connections, "the end of the connection")


async def test_a_store_that_fails_is_answered_while_the_client_still_sends(here: Serving, store: SlowStore) -> None:
    store.fails_at = 2
    wire = await here.connect()
    await wire.send(put()[:-1])
    answer = await wire.answer()
    assert (answer.status, answer.closes) == (500, True)
    assert "the disk is full" in json.loads(answer.body)["message"]
    await nothing_is_left(store)


async def test_what_is_too_large_is_refused_before_it_comes(here: Serving, store: SlowStore) -> None:
    wire = await here.connect()
    head = request("PUT", RAW, None, f"Content-Length: {MAXIMUM + 1}")
    answer = await wire.ask(head)
    assert (answer.status, answer.closes) == (413, True)
    assert "over 16,384,000 bytes" in json.loads(answer.body)["message"]
    wire = await here.connect()
    await wire.send(put_in_chunks(HUGE, VALUE)[:-1])
    assert (await wire.answer()).status == 413
    await nothing_is_left(store)
    wire = await here.connect()
    assert (await wire.ask(request("PUT", RAW, None, "Content-Length: 20000", "Upgrade: h2c"))).status == 413
    wire = await here.connect()
    assert (await wire.ask(request("POST", "/v1.0/state/statestore", None, "Content-Length: 20000"))).status == 413


async def test_without_parts_the_limit_of_bodies_holds() -> None:
    async with serving(limits=http_limits(body=10_000)) as here:
        assert here.api is not None
        here.listener.streams = here.api.streams  # type: ignore[attr-defined]
        wire = await here.connect()
        assert (await wire.ask(put(body=VALUE[:10_000]))).status == 201
        await is_stored(wire, VALUE[:10_000])
        answer = await wire.ask(put())
        assert (answer.status, answer.closes) == (413, True)
        assert json.loads(answer.body)["message"] == (
            "state store statestore takes no value that is larger than --max-body-size; send less, or set largeValues: "
            '"true" in its component'
        )


async def test_senders_that_hold_too_much_are_given_up(store: SlowStore) -> None:
    async with in_parts(store, Budget(1_000_000)) as here:
        wires = [await here.connect() for _ in range(20)]
        for wire in wires:
            await wire.send(put()[: PART + 90_000])
        answers = [await wire.answer() for wire in wires if await _is_answered(wire)]
        assert answers and {answer.status for answer in answers} == {503}
        assert all(answer.headers["retry-after"] == "1" for answer in answers)
        for wire in wires:
            wire.abort()
        await until(lambda: not here.connections, "the end of all connections")
        await nothing_is_left(store)


async def test_parts_wait_for_room_among_other_requests(here: Serving, store: SlowStore) -> None:
    assert here.api is not None
    here.api.service.in_flight = in_flight = ItemsInFlight(1000, 1000, patience=0.05)
    share = await in_flight.share(900, 0)
    wire = await here.connect()
    answer = await wire.ask(put())
    assert (answer.status, json.loads(answer.body)["errorCode"]) == (503, "ERR_OVERLOADED")
    await nothing_is_left(store)
    share.end()
    wire = await here.connect()
    assert (await wire.ask(put())).status == 201
    assert not in_flight.is_crowded and (await in_flight.share(1000, 0)).items == 1000


async def _is_answered(wire: Wire) -> bool:
    for _ in range(50):
        if wire.has_more():
            return True
        await asyncio.sleep(0.001)
    return False


# --- conditions -------------------------------------------------------------------------------------------------------


async def test_conditions_are_about_the_etag_of_the_whole(here: Serving) -> None:
    wire = await here.connect()
    assert (await wire.ask(put("If-None-Match: *"))).status == 201
    answer = await wire.ask(put("If-None-Match: *"))
    assert (answer.status, json.loads(answer.body)["errorCode"]) == (409, "ERR_STATE_SAVE")
    wire = await here.connect()  # the first one is closed, because the value was still coming
    etag = (await wire.ask(get(RAW))).headers["etag"]
    assert (await wire.ask(put(f"If-Match: {etag}", body=VALUE[::-1]))).status == 201
    assert (await wire.ask(put(f"If-Match: {etag}"))).status == 409
    wire = await here.connect()
    etag = (await wire.ask(get(RAW))).headers["etag"]
    for headers, status in (
        ((f"If-None-Match: {etag}",), 304),
        ((f'If-None-Match: "x", "{etag}"',), 304),
        (("If-None-Match: x",), 200),
        ((f'If-Match: "{etag}"',), 200),
        (("If-Match: x",), 412),
        (("If-Match: *", "If-None-Match: *"), 304),
    ):
        answer = await wire.ask(get(RAW, *headers))
        assert (answer.status, headers) == (status, headers)
        assert answer.body == (VALUE[::-1] if status == 200 else b"")
        assert answer.headers["etag"] == etag
    for headers in (("If-None-Match: x",), ("Idempotency-Key: x",), ("Content-Type: x", "If-None-Match: W/1")):
        answer = await wire.ask(put(*headers, body=b"small"))
        assert (answer.status, json.loads(answer.body)["errorCode"]) == (400, "ERR_MALFORMED_REQUEST")
    answer = await wire.ask(put(target=f"{RAW}?retryThreshold=3", body=b"small"))
    assert answer.status == 400 and "retry policy" in json.loads(answer.body)["message"]
    assert (await wire.ask(put(target=f"{RAW}?metadata.ttlInSeconds=1000"))).status == 201
    assert "metadata.ttlexpiretime" in (await wire.ask(get(PLAIN))).headers


# --- out --------------------------------------------------------------------------------------------------------------

LAST = len(VALUE) - 1
RANGES: tuple[tuple[str, int, int, int], ...] = (
    ("bytes=0-0", 206, 0, 1),
    ("bytes=0-", 206, 0, LAST + 1),
    ("bytes=99999-100000", 206, 99_999, 100_001),
    ("bytes=100000-199999", 206, 100_000, 200_000),
    ("bytes=-1", 206, LAST, LAST + 1),
    ("bytes=-99999999", 206, 0, LAST + 1),
    (f"bytes={LAST}-", 206, LAST, LAST + 1),
    (f"bytes={LAST}-99999999999999999999999999999", 206, LAST, LAST + 1),
    ("BYTES = 5 - 6", 206, 5, 7),
    (f"bytes={LAST + 1}-", 416, 0, 0),
    ("bytes=-0", 416, 0, 0),
    (f"bytes={'9' * 1000}-", 416, 0, 0),
    ("bytes=5-4", 200, 0, LAST + 1),
    ("bytes=-", 200, 0, LAST + 1),
    ("bytes=a-b", 200, 0, LAST + 1),
    ("bytes=0-1,5-6", 200, 0, LAST + 1),
    ("bytes=--5", 200, 0, LAST + 1),
    ("bytes=\xb2-5", 200, 0, LAST + 1),
    ("lines=0-1", 200, 0, LAST + 1),
    ("bytes=" + "0-," * 500, 200, 0, LAST + 1),
)


async def test_ranges_are_answered_as_the_rfc_says(here: Serving, subtests: pytest.Subtests) -> None:
    wire = await here.connect()
    for small in (False, True):
        value = VALUE[: 9000 if small else None]
        assert (await wire.ask(put(body=value))).status == 201
        for target in (RAW,) if small else (RAW, PLAIN):
            for header, status, start, stop in RANGES:
                if small and (
                    "9999" in header or "100" in header or str(LAST)[:4] in header or str(LAST + 1) in header
                ):
                    continue
                with subtests.test(f"{target} {header[:40]} {small}"):
                    answer = await wire.ask(get(target, f"Range: {header}"))
                    assert answer.status == status
                    end = min(stop, len(value))
                    begin = len(value) - 1 if header == "bytes=-1" else start
                    assert answer.body == (b"" if status == 416 else value[begin:end])
                    shown = {206: f"bytes {begin}-{end - 1}/{len(value)}", 416: f"bytes */{len(value)}"}
                    assert answer.headers.get("content-range") == shown.get(status)


async def test_a_range_is_only_sent_of_the_version_that_is_meant(here: Serving) -> None:
    wire = await here.connect()
    await wire.ask(put())
    etag = (await wire.ask(request("GET", RAW, None, "Range: bytes=0-0"))).headers["etag"]
    for condition, status in ((etag, 206), (f'"{etag}"', 206), ("x", 200), ("Sat, 28 Nov 2026 09:00:00 GMT", 200)):
        answer = await wire.ask(get(RAW, "Range: bytes=0-9", f"If-Range: {condition}"))
        assert (answer.status, condition) == (status, condition)


async def test_head_says_how_large_it_is(here: Serving, store: SlowStore) -> None:
    wire = await here.connect()
    await wire.ask(put())
    store.read = 0
    await wire.send(request("HEAD", RAW, None, "Range: bytes=0-9"))
    answer = await wire.answer(to_head=True)
    assert (answer.status, answer.headers["content-length"]) == (200, str(len(VALUE)))
    assert (answer.headers["accept-ranges"], answer.headers["content-type"]) == ("bytes", "application/octet-stream")
    assert store.read == 0
    assert await wire.is_usable()
    await wire.send(request("HEAD", "/v1.0-alpha1/state/statestore/none/value"))
    assert (await wire.answer(to_head=True)).status == 204


async def test_parts_are_read_as_the_client_reads_them(here: Serving, store: SlowStore) -> None:
    wire = await here.connect(receive_buffer=4096)
    await wire.ask(put(body=HUGE))
    store.read = 0
    await wire.send(get(PLAIN))
    await until(lambda: bool(here.connections) and here.connections[0]._drained is not None, "a pause")
    assert store.read < 100, "of 164 parts, some are in the buffers of the network"
    answer = await wire.answer()
    assert answer.body == HUGE
    assert await wire.is_usable()


async def test_a_value_that_is_replaced_while_it_is_sent_is_cut_off(here: Serving, store: SlowStore) -> None:
    """It has announced its size, so the client sees that bytes are missing; none of another version are sent."""
    slow, other = await here.connect(receive_buffer=4096), await here.connect()
    await other.ask(put(body=HUGE))
    await slow.send(get(PLAIN))
    await until(lambda: any(each._drained is not None for each in here.connections), "a pause")
    for key in await store.all():
        if "||p||" in key:
            await store.delete(Delete(key))
    await other.ask(put(body=HUGE[::-1]))
    head = await slow.reader.readuntil(b"\r\n\r\n")
    assert f"content-length: {len(HUGE)}".encode() in head
    got = await slow.rest()
    assert got == HUGE[: len(got)] and len(got) < len(HUGE)
    await is_stored(other, HUGE[::-1])


async def test_a_part_that_is_missing_is_an_error(here: Serving, store: SlowStore) -> None:
    wire = await here.connect()
    await wire.ask(put())
    first = next(key for key in await store.all() if key.endswith("||0"))
    await store.delete(Delete(first))
    for target in (PLAIN, RAW):
        answer = await wire.ask(get(target))
        assert (answer.status, json.loads(answer.body)["errorCode"]) == (500, "ERR_STATE_GET")
        assert "part 1 of 11 is missing or damaged" in json.loads(answer.body)["message"]
    assert await wire.is_usable()
    answer = await wire.ask(get(RAW, "Range: bytes=100000-100009"))
    assert (answer.status, answer.body) == (206, VALUE[100_000:100_010])


async def test_readers_that_are_too_slow_are_given_up(here: Serving) -> None:
    slow, other = await here.connect(receive_buffer=4096), await here.connect()
    await other.ask(put(body=HUGE))
    await slow.send(get(PLAIN))
    await until(lambda: any(each._drained is not None for each in here.connections), "a pause")
    for _ in range(3):
        here.pass_time(31)
    await until(lambda: len(here.connections) == 1, "the end of the slow one")
    assert await other.is_usable()


async def test_other_calls_say_that_it_is_too_large(here: Serving) -> None:
    wire = await here.connect()
    await wire.ask(put())
    small = request("POST", "/v1.0/state/statestore", b'[{"key": "small", "value": {"a": 1}}]')
    assert (await wire.ask(small)).status == 201
    [entry, other] = json.loads(
        (await wire.ask(request("POST", "/v1.0/state/statestore/bulk", b'{"keys": ["k", "small"]}'))).body
    )
    assert "has 1,024,000 bytes, and this call returns values of up to 150,000" in entry["error"]
    assert other["data"] == {"a": 1}
    answer = await wire.ask(get("/v1.0-alpha1/state/statestore/exists?key=k"))
    assert json.loads(answer.body) == {"exists": True}
    query = request("POST", "/v1.0-alpha1/state/statestore/query", b"{}")
    assert [found["key"] for found in json.loads((await wire.ask(query)).body)["results"]] == ["small"]
    listed = json.loads((await wire.ask(get("/v1.0-alpha1/state/statestore/keys"))).body)["keys"]
    assert [each["key"] for each in listed] == ["k", "small"]
    increment = request("POST", "/v1.0-alpha1/state/statestore/increment", b'{"key": "k"}')
    answer = await wire.ask(increment)
    assert (answer.status, json.loads(answer.body)["errorCode"]) == (400, "ERR_STATE_INCREMENT")
