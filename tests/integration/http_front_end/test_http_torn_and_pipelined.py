"""Requests that arrive in pieces, and many that arrive in one."""

import asyncio
import json

import pytest
from integration.http_front_end.http_wire import Gate, chunked, get, request, save, serving, until

from pannier_sidecar.http_api.messages import Answer, Call

pytestmark = pytest.mark.transport

ITEM = '[{"key":"k","value":{"a":"b\\r\\n"}}]'


async def test_a_request_torn_at_any_byte_is_answered_all_the_same() -> None:
    whole = save(ITEM, "If-Match: 1", target="/v1.0/state/statestore?consistency=strong")
    async with serving() as here:
        wire = await here.connect()
        for place in range(1, len(whole)):
            await wire.send(whole[:place])
            await asyncio.sleep(0.001)
            assert (await wire.ask(whole[place:])).status == 201, place
        found = await wire.ask(get("/v1.0/state/statestore/k"))
        assert found.body == b'{"a":"b\\r\\n"}'


async def test_a_request_may_arrive_byte_by_byte() -> None:
    whole = request("POST", "/v1.0/state/statestore", None, "Transfer-Encoding: chunked")
    whole += chunked(ITEM[:5].encode(), ITEM[5:].encode())
    async with serving() as here:
        wire = await here.connect()
        for byte in whole:
            await wire.send(bytes([byte]))
            await asyncio.sleep(0.0005)
        assert (await wire.answer()).status == 201


async def test_a_piece_that_ends_between_two_requests_confuses_neither() -> None:
    first, second = save(ITEM), get("/v1.0/state/statestore/k")
    both = first + second
    async with serving() as here:
        wire = await here.connect()
        for place in range(len(first) - 3, len(both)):
            await wire.send(both[:place])
            await asyncio.sleep(0.001)
            await wire.send(both[place:])
            assert ((await wire.answer()).status, (await wire.answer()).status) == (201, 200), place


async def test_pipelined_requests_are_answered_in_their_order() -> None:
    async with serving() as here:
        for count in (10, 1000):
            wire = await here.connect()
            writes = [save(json.dumps([{"key": f"k{n}", "value": n}])) for n in range(count)]
            reads = [get(f"/v1.0/state/statestore/k{n}") for n in range(count)]
            sending = asyncio.create_task(wire.send(b"".join(writes + reads)))
            assert [(await wire.answer()).status for _ in writes] == [201] * count
            assert [(await wire.answer()).body for _ in reads] == [b"%d" % n for n in range(count)]
            await sending


async def test_a_quick_call_does_not_overtake_a_slow_one_before_it() -> None:
    gate = Gate()

    async def answer(call: Call) -> Answer:
        return await gate.answer(call) if call.path == b"/slow" else Answer(200, call.path)

    async with serving(answer) as here:
        wire, other = await here.connect(), await here.connect()
        await wire.send(get("/1") + get("/slow") + get("/3") + get("/4"))
        assert (await wire.answer()).body == b"/1"
        await until(lambda: len(gate.calls) == 1, "the slow call")
        assert (await other.ask(get("/meanwhile"))).body == b"/meanwhile"
        gate.open()
        assert [(await wire.answer()).body for _ in range(3)] == [b"/slow", b"/3", b"/4"]


async def test_requests_piled_up_behind_a_slow_call_are_left_in_the_network() -> None:
    gate = Gate()
    bodies = 64 * 1024
    async with serving(gate.answer) as here:
        wire = await here.connect()
        one = request("POST", "/", b"x" * bodies)
        sending = asyncio.create_task(wire.send(one * 400))
        await until(lambda: len(gate.calls) == 1, "the first call")
        for _ in range(50):
            await asyncio.sleep(0.005)
            assert here.listener.held < 1024 * 1024, "more is held than one read from the network can bring"
        assert not sending.done()
        gate.open()
        for _ in range(400):
            assert (await wire.answer()).status == 200
        await sending
        assert len(gate.calls) == 400
        assert here.listener.held == 0


async def test_the_header_section_after_a_large_body_is_not_taken_for_large() -> None:
    first = save(json.dumps([{"key": "k", "value": "x" * 40_000}]))
    second = get("/v1.0/state/statestore/k")
    async with serving() as here:
        wire = await here.connect()
        for place in (len(first) + 1, len(first) + 20, len(first) + len(second) - 1):
            await wire.send((first + second)[:place])
            assert (await wire.answer()).status == 201
            assert (await wire.ask((first + second)[place:])).status == 200


async def test_empty_lines_between_requests_are_ignored() -> None:
    async with serving() as here:
        wire = await here.connect()
        for _ in range(3):
            assert (await wire.ask(b"\r\n" + get("/v1.0/healthz") + b"\r\n")).status == 204
