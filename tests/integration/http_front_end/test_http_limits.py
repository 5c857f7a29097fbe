"""Requests that are too large, too slow or too many, and clients that read no answer: each has a bounded cost."""

import asyncio
import gc
import json
from collections.abc import AsyncIterator
from contextlib import suppress

import pytest
from integration.http_front_end.http_wire import Gate, Response, Serving, chunked, get, request, save, serving, until
from servers.limits import http_limits

from pannier_sidecar.http_api.messages import Answer, Call
from pannier_sidecar.serving import Budget

MIB = 1024 * 1024
SMALL = http_limits(body=1000, header_section=2000)
CHUNKED = b"POST /v1.0/state/statestore HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"


@pytest.fixture
async def small() -> AsyncIterator[Serving]:
    async with serving(limits=SMALL) as here:
        yield here


def refused(answer: Response, status: int, code: str, *words: str) -> None:
    """Assert that this is an error in the API's form, with advice."""
    assert (answer.status, answer.closes) == (status, True)
    error = json.loads(answer.body)
    assert error["errorCode"] == code
    for word in words:
        assert word in error["message"]


# --- bodies -----------------------------------------------------------------------------------------------------------


async def test_a_body_of_just_the_limit_is_taken(small: Serving) -> None:
    wire = await small.connect()
    items = json.dumps([{"key": "k", "value": ""}])
    exact = items.replace('""', '"' + "x" * (1000 - len(items)) + '"')
    assert (await wire.ask(save(exact))).status == 201
    assert (await wire.ask(CHUNKED + chunked(exact[:500].encode(), exact[500:].encode()))).status == 201
    assert await wire.is_usable()


async def test_a_body_that_says_it_is_too_large_is_refused_before_it_comes(small: Serving) -> None:
    wire = await small.connect()
    refused(await wire.ask(save(b"x" * 1001)[:-1000]), 413, "ERR_BODY_TOO_LARGE", "1000 bytes", "--max-body-size")
    assert await wire.rest() == b""


async def test_other_protocols_and_endless_numbers_are_named(small: Serving, subtests: pytest.Subtests) -> None:
    for whole, words in (
        (b"GET /a RTSP/1.0\r\nCSeq: 1\r\n\r\n", "this port speaks HTTP/1.1, not RTSP/1.0"),
        (b"OPTIONS /a RTSP/1.0\r\nCSeq: 1\r\nConnection: keep-alive\r\n\r\n", "not RTSP/1.0"),
        (b"SOURCE /a ICE/1.0\r\nHost: x\r\n\r\n", "this port speaks HTTP/1.1, not ICE/1.0"),
        (b"POST /a HTTP/1.1\r\nHost: x\r\nContent-Length: " + b"0" * 1500 + b"1\r\n\r\na", "has 1,501 digits"),
    ):
        for first in (b"", get("/b")):
            with subtests.test(f"{words}, behind {len(first)} bytes"):
                wire = await small.connect()
                await wire.send(first + whole)
                if first:
                    assert not (await wire.answer()).closes
                refused(await wire.answer(), 400, "ERR_MALFORMED_REQUEST", words)
                assert await wire.rest() == b""


async def test_http_1_0_may_speak_of_other_protocols(small: Serving) -> None:
    wire = await small.connect()
    body = b"POST /a RTSP/1.0"
    head = b"POST /a HTTP/1.0\r\nHost: x\r\nContent-Length: 00%d\r\n\r\n" % len(body)
    assert "RTSP" not in (await wire.ask(head + body)).body.decode()


@pytest.mark.transport
async def test_a_client_that_sends_all_of_a_far_too_large_body_first_still_gets_the_refusal(small: Serving) -> None:
    """If a server closes while bytes still arrive, the client's kernel drops the answer unread."""
    for whole in (save(b"x" * 8 * MIB), CHUNKED + chunked(*[b"x" * 65536] * 128)):
        wire = await small.connect()
        await wire.send(whole)
        refused(await wire.answer(), 413, "ERR_BODY_TOO_LARGE", "--max-body-size")
        assert await wire.rest() == b""


@pytest.mark.transport
async def test_bytes_after_a_refusal_are_thrown_away(small: Serving) -> None:
    """If they were kept, they would be copied again with each part, and other clients would be dropped to make room."""
    wire = await small.connect()
    refused(await wire.ask(save(b"x" * 1001)[:-1000]), 413, "ERR_BODY_TOO_LARGE")
    held = 0
    with suppress(ConnectionError):
        for _ in range(64):
            await wire.send(b"x" * 256 * 1024)
            await asyncio.sleep(0)
            held = max(held, small.listener.held)
    assert held < 1000


@pytest.mark.transport
async def test_a_client_that_leaves_before_its_refusal_causes_no_traceback(small: Serving) -> None:
    complaints: list[object] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: complaints.append(context))
    for _ in range(20):
        wire = await small.connect()
        wire.writer.write(save(b"x" * 1001))
        wire.abort()
    await until(lambda: not small.listener.open, "no connection")
    gc.collect()
    assert not complaints


async def test_chunks_are_refused_once_their_total_is_too_large(small: Serving) -> None:
    wire = await small.connect()
    await wire.send(CHUNKED)
    for _ in range(11):
        await wire.send(b"64\r\n" + b"x" * 100 + b"\r\n")
    refused(await wire.answer(), 413, "ERR_BODY_TOO_LARGE", "--max-body-size")
    await until(lambda: small.listener.held == 0, "what was taken of the body given back")


@pytest.mark.transport
async def test_a_refusal_waits_for_its_turn() -> None:
    gate = Gate()
    async with serving(gate.answer, SMALL) as here:
        wire = await here.connect()
        await wire.send(get("/first") + save(b"x" * 1001))
        await until(lambda: len(gate.calls) == 1, "the first call")
        gate.open()
        assert (await wire.answer()).body == b"/first"
        refused(await wire.answer(), 413, "ERR_BODY_TOO_LARGE")


@pytest.mark.transport
async def test_a_refusal_after_a_call_slower_than_the_lingering_still_arrives(fast_clock: None) -> None:
    gate = Gate()
    async with serving(gate.answer, http_limits(body=1000, lingering=0.05, receiving=0.05, idle=0.05)) as here:
        wire = await here.connect()
        await wire.send(get("/first") + save(b"x" * 1001))
        await asyncio.sleep(0.4)
        gate.open()
        assert (await wire.answer()).body == b"/first"
        refused(await wire.answer(), 413, "ERR_BODY_TOO_LARGE")


@pytest.mark.transport
async def test_bodies_of_all_connections_together_are_limited() -> None:
    gate = Gate()
    async with serving(gate.answer, budget=Budget(3000)) as here:
        wires = [await here.connect() for _ in range(4)]
        for wire in wires[:3]:
            await wire.send(request("POST", "/", b"x" * 900))
        await until(lambda: len(gate.calls) == 3, "three calls")
        refused(await wires[3].ask(request("POST", "/", b"x" * 900)), 503, "ERR_OVERLOADED", "3000 bytes")
        await until(lambda: here.listener.held == 2700, "the refused body given back")
        gate.open()
        assert [(await wire.answer()).status for wire in wires[:3]] == [200] * 3
        assert (await (await here.connect()).ask(request("POST", "/", b"x" * 900))).status == 200


async def test_an_idle_connection_keeps_nothing_of_the_body_it_brought() -> None:
    async with serving() as here:
        wire = await here.connect()
        assert (await wire.ask(save(json.dumps([{"key": "k", "value": "x" * MIB}])))).status == 201
        assert here.listener.held == 0
        (connection,) = here.connections
        assert not connection._body


# --- header sections --------------------------------------------------------------------------------------------------


async def test_a_header_section_that_is_too_large_is_refused(small: Serving, subtests: pytest.Subtests) -> None:
    beginning = b"GET /v1.0/healthz HTTP/1.1\r\nHost: x\r\n"
    for name, head in {
        "many headers": beginning + b"".join(b"x-%d: 12345\r\n" % n for n in range(200)) + b"\r\n",
        "a long header": beginning + b"x: " + b"y" * 2000 + b"\r\n\r\n",
        "a long URL": b"GET /v1.0/state/statestore/" + b"k" * 2000 + b" HTTP/1.1\r\nHost: x\r\n\r\n",
    }.items():
        with subtests.test(name):
            answer = await (await small.connect()).ask(head)
            refused(answer, 431, "ERR_HEADERS_TOO_LARGE", "2000 bytes", "--read-buffer-size")


@pytest.mark.transport
async def test_a_line_without_end_is_refused(small: Serving, subtests: pytest.Subtests) -> None:
    for name, beginning in {
        "in a header": b"GET /v1.0/healthz HTTP/1.1\r\nHost: x\r\nx: ",
        "in a header's name": b"GET /v1.0/healthz HTTP/1.1\r\nHost: x\r\n",
        "in the URL": b"GET /",
        "in a trailer": CHUNKED + b"0\r\nx: ",
    }.items():
        with subtests.test(name):
            wire = await small.connect()
            await wire.send(beginning)
            sent = 0
            while not wire.has_more() and sent < 4 * MIB:
                await wire.send(b"y" * 1000)
                sent += 1000
                await asyncio.sleep(0.001)
            refused(await wire.answer(), 431, "ERR_HEADERS_TOO_LARGE")
            assert sent < 10_000


async def test_trailers_without_end_are_refused(small: Serving) -> None:
    wire = await small.connect()
    await wire.send(CHUNKED + b"2\r\n[]\r\n0\r\n")
    for number in range(1000):
        if wire.has_more():
            break
        await wire.send(b"trailer-%d: value\r\n" % number)
        await asyncio.sleep(0.001)
    refused(await wire.answer(), 431, "ERR_HEADERS_TOO_LARGE")


async def test_a_body_in_thousands_of_tiny_chunks_is_no_large_header_section() -> None:
    body = json.dumps([{"key": "k", "value": "x" * 900}]).encode()
    async with serving(limits=SMALL) as here:
        wire = await here.connect()
        await wire.send(CHUNKED)
        for byte in body:
            await wire.send(b"1;some-extension=1\r\n")
            await asyncio.sleep(0)
            await wire.send(b"%c\r\n" % byte)
        assert (await wire.ask(b"0\r\n\r\n")).status == 201


async def test_large_header_sections_are_refused_behind_other_requests_too(small: Serving) -> None:
    wire = await small.connect()
    await wire.send(get("/v1.0/healthz") * 100 + get("/v1.0/" + "k" * 2000))
    assert [(await wire.answer()).status for _ in range(100)] == [204] * 100
    refused(await wire.answer(), 431, "ERR_HEADERS_TOO_LARGE")


# --- time -------------------------------------------------------------------------------------------------------------


@pytest.mark.transport
async def test_a_request_that_never_ends_is_refused(fast_clock: None, subtests: pytest.Subtests) -> None:
    async with serving(limits=http_limits(receiving=0.2)) as here:
        beginnings = {
            "first byte": b"G",
            "head": get("/v1.0/healthz")[:-2],
            "body": save("[]")[:-1],
            "trailers": CHUNKED + b"2\r\n[]\r\n0\r\n",
        }
        wires = {name: await here.connect() for name in beginnings}
        for name, beginning in beginnings.items():
            await wires[name].send(beginning)
        for name, wire in wires.items():
            with subtests.test(name):
                refused(await wire.answer(), 408, "ERR_REQUEST_TIMEOUT", "0.2 s")
                assert await wire.rest() == b""


async def test_a_request_that_trickles_in_is_refused_too(fast_clock: None) -> None:
    async with serving(limits=http_limits(receiving=0.2)) as here:
        wire = await here.connect()
        for byte in save(json.dumps([{"key": "k", "value": "x" * 2000}])):
            if wire.has_more():
                break
            await wire.send(bytes([byte]))
            await asyncio.sleep(0.005)
        refused(await wire.answer(), 408, "ERR_REQUEST_TIMEOUT")


@pytest.mark.transport
async def test_the_time_that_a_slow_store_takes_does_not_count_against_the_client(stopped_clock: None) -> None:
    gate = Gate()
    async with serving(gate.answer, http_limits(receiving=10, idle=10)) as here:
        wire = await here.connect()
        third = get("/third")
        await wire.send(get("/first") + get("/second") + third[:-5])
        await until(lambda: len(gate.calls) == 1, "the first call")
        here.pass_time(100)
        gate.open()
        assert (await wire.answer()).body == b"/first"
        assert (await wire.answer()).body == b"/second"
        here.pass_time(9)
        assert (await wire.ask(third[-5:])).body == b"/third"


@pytest.mark.transport
async def test_an_idle_connection_is_closed(stopped_clock: None) -> None:
    async with serving(limits=http_limits(idle=10)) as here:
        fresh, used = await here.connect(), await here.connect()
        await until(lambda: len(here.listener.open) == 2, "the connections")
        here.pass_time(9)
        assert await used.is_usable()
        here.pass_time(9)
        assert await fresh.rest() == b""
        assert await used.is_usable()
        here.pass_time(11)
        assert await used.rest() == b""
        await until(lambda: not here.listener.open, "both gone")


@pytest.mark.transport
async def test_a_client_that_reads_no_answer_is_dropped(fast_clock: None) -> None:
    async def answer(call: Call) -> Answer:
        return Answer(200, b"x" * 4 * MIB, b"text/plain")

    async with serving(answer, http_limits(stalled=0.3)) as here:
        wire = await here.connect(receive_buffer=4096)
        wire.reader._limit = 1  # type: ignore[attr-defined]  # so that the client's own loop stops reading
        await wire.send(get("/") * 100)
        await until(lambda: len(here.listener.open) == 1, "the connection")
        (connection,) = here.connections
        for _ in range(20):
            assert connection._transport.get_write_buffer_size() <= 4 * MIB + 1000, "a second answer was begun"
            await asyncio.sleep(0.005)
        await until(lambda: not here.listener.open, "the stalled connection dropped")


@pytest.mark.transport
async def test_a_client_that_reads_an_answer_bit_by_bit_is_dropped(
    fast_clock: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The client makes progress, but would make us hold the rest of the answer for ever."""
    monkeypatch.setattr("pannier_sidecar.serving.SLOWEST_RATE", 4 * MIB)

    async def answer(call: Call) -> Answer:
        return Answer(200, b"x" * 4 * MIB, b"text/plain")

    async with serving(answer, http_limits(stalled=0.5)) as here:
        wire = await here.connect(receive_buffer=4096)
        wire.reader._limit = 1  # type: ignore[attr-defined]
        await wire.send(get("/"))
        await until(lambda: here.listener.held > 0, "the answer held")
        taken = 0
        while here.listener.open:
            with suppress(ConnectionError):
                taken += len(await wire.reader.read(4000))
            await asyncio.sleep(0.005)
        assert taken < 3 * MIB


@pytest.mark.transport
async def test_the_slowest_upload_is_given_up_first() -> None:
    async with serving(budget=Budget(100_000)) as here:
        slow = [await here.connect() for _ in range(3)]
        for wire in slow:
            await wire.send(save(b"x" * 40_000)[:-10_001])
        await until(lambda: here.listener.held > 90_000, "held")
        assert (await (await here.connect()).ask(save(json.dumps([{"key": "k", "value": "x" * 20_000}])))).status == 201
        answers = [asyncio.create_task(wire.answer()) for wire in slow]
        done, others = await asyncio.wait(answers, return_when=asyncio.FIRST_COMPLETED)
        for other in others:
            other.cancel()
        (first,) = (each.result() for each in done)
        refused(first, 503, "ERR_OVERLOADED", "100000 bytes")
        assert first.headers["retry-after"] == "1"


async def test_a_request_with_very_many_headers_is_refused() -> None:
    async with serving() as here:
        few, many = ([f"x{n}: " for n in range(count)] for count in (200, 300))
        assert (await (await here.connect()).ask(get("/v1.0/healthz", *few))).status == 204
        refused(await (await here.connect()).ask(get("/v1.0/healthz", *many)), 431, "ERR_HEADERS_TOO_LARGE", "256")


@pytest.mark.transport
async def test_unread_answers_are_held_up_to_a_limit(fast_clock: None) -> None:
    async def answer(call: Call) -> Answer:
        return Answer(200, b"x" * 4 * MIB, b"text/plain")

    async with serving(answer, budget=Budget(3 * MIB)) as here:
        wires = [await here.connect(receive_buffer=4096) for _ in range(8)]
        for wire in wires:
            wire.reader._limit = 1  # type: ignore[attr-defined]
            await wire.send(get("/"))
        await until(lambda: len(here.listener.open) < 8, "a connection dropped")
        await until(lambda: here.listener.held <= 3 * MIB, "the limit kept")
        for wire in wires:
            wire.writer.transport.abort()
        await until(lambda: not here.listener.open and here.listener.held == 0, "all let go")


@pytest.mark.transport
async def test_a_slow_client_that_does_take_its_answer_gets_all_of_it(fast_clock: None) -> None:
    async def answer(call: Call) -> Answer:
        return Answer(200, b"x" * 4 * MIB, b"text/plain")

    async with serving(answer, http_limits(stalled=5)) as here:
        wire = await here.connect(receive_buffer=65536)
        await wire.send(get("/") * 2)
        for _ in range(2):
            assert len((await wire.answer()).body) == 4 * MIB


# --- connections ------------------------------------------------------------------------------------------------------


@pytest.mark.transport
async def test_the_connection_that_has_waited_longest_gives_way() -> None:
    gate = Gate()
    async with serving(gate.answer, limits=http_limits(connections=3)) as here:
        working, begun, idle = [await here.connect() for _ in range(3)]
        await working.send(get("/"))
        await begun.send(get("/")[:-4])
        await until(lambda: len(gate.calls) == 1, "a call at work")
        for one in (begun, idle):
            await here.connect()
            assert await one.rest() == b""
        gate.open()
        assert (await working.answer()).status == 200
        assert len(here.listener.open) == 3


async def test_connections_of_all_ports_leave_files_for_the_stores() -> None:
    async with serving(budget=Budget(MIB, connections=2)) as here:
        wires = [await here.connect() for _ in range(5)]
        assert await wires[-1].is_usable()
        await until(lambda: len(here.listener.open) == 2, "the others to give way")


@pytest.mark.transport
async def test_one_connection_too_many_gets_an_error() -> None:
    gate = Gate()
    async with serving(gate.answer, limits=http_limits(connections=3)) as here:
        wires = [await here.connect() for _ in range(3)]
        for wire in wires:
            await wire.send(get("/"))
        await until(lambda: len(gate.calls) == 3, "three calls at work")
        one_too_many = await here.connect()
        refused(await one_too_many.answer(), 503, "ERR_OVERLOADED", "3 connections")
        assert await one_too_many.rest() == b""
        gate.open()
        for wire in wires:
            assert (await wire.answer()).status == 200
        await wires[0].close()
        await one_too_many.close()
        await until(lambda: len(here.listener.open) == 2, "room for another one")
        assert (await (await here.connect()).ask(get("/"))).status == 200
