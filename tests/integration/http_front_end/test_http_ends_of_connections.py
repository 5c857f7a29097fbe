"""The ends of connections: by the client, half-closed, in the middle of a call, and when the sidecar stops."""

import asyncio
import json
import socket
from pathlib import Path

import pytest
from integration.http_front_end.http_wire import (
    PATIENCE_S,
    Gate,
    Wire,
    api_over,
    fast_path_of,
    get,
    request,
    save,
    serving,
    until,
)
from servers.limits import budget, http_limits

from pannier_sidecar.http_api.messages import Answer, Call
from pannier_sidecar.http_api.server import HttpServer
from pannier_sidecar.stores.in_memory import InMemoryStore

pytestmark = pytest.mark.transport


async def test_a_half_closed_connection_gets_its_answers() -> None:
    """`nc -N` and others close their side as soon as all is sent."""
    gate = Gate()
    async with serving(gate.answer) as here:
        wire = await here.connect()
        await wire.send(get("/1") + get("/2") + get("/3"))
        wire.writer.write_eof()
        await until(lambda: len(gate.calls) == 1, "the first call")
        gate.open()
        assert [(await wire.answer()).body for _ in range(3)] == [b"/1", b"/2", b"/3"]
        assert await wire.rest() == b""


async def test_the_end_of_a_request_may_arrive_after_its_answer_has_begun() -> None:
    big = b"x" * 4 * 1024 * 1024

    async def answer(call: Call) -> Answer:
        return Answer(200, big, b"text/plain")

    async with serving(answer) as here:
        wire = await here.connect(receive_buffer=4096)
        await wire.send(get("/"))
        wire.writer.write_eof()
        assert (await wire.answer()).body == big
        assert await wire.rest() == b""


async def test_half_a_request_and_then_the_end_is_no_call() -> None:
    gate = Gate()
    async with serving(gate.answer) as here:
        for whole in (get("/1")[:-1], request("POST", "/", b"abc")[:-1], b""):
            wire = await here.connect()
            await wire.send(whole)
            wire.writer.write_eof()
            assert await wire.rest() == b""
        assert not gate.calls


async def test_a_client_that_leaves_in_the_middle_of_a_call_harms_nobody() -> None:
    gate = Gate()
    async with serving(gate.answer) as here:
        for _ in range(20):
            wire = await here.connect()
            await wire.send(request("POST", "/", b"x" * 1000))
        await until(lambda: len(gate.calls) == 20, "their calls")
        for wire in here.wires:
            wire.reset()
        await until(lambda: not here.listener.open, "all connections gone")
        assert here.listener.held == 0
        gate.open()
        assert (await (await here.connect()).ask(get("/"))).status == 200


async def test_a_client_that_closes_in_the_middle_of_a_call_is_dropped_at_the_next_answer() -> None:
    """Before that, it looks like a client that has closed only its side."""
    gate = Gate()
    async with serving(gate.answer) as here:
        one, three = await here.connect(), await here.connect()
        await one.send(request("POST", "/", b"x" * 1000))
        await three.send(request("POST", "/", b"x" * 1000) * 3)
        await until(lambda: len(gate.calls) == 2, "the calls")
        await here.hang_up()
        gate.open()
        await until(lambda: not here.listener.open, "the connection gone")


async def test_a_client_that_leaves_in_the_middle_of_its_answer_harms_nobody() -> None:
    async def answer(call: Call) -> Answer:
        return Answer(200, b"x" * 4 * 1024 * 1024, b"text/plain")

    async with serving(answer) as here:
        for _ in range(20):
            wire = await here.connect(receive_buffer=4096)
            await wire.send(get("/") * 3)
            await wire.reader.readexactly(100)
            wire.abort()
        await until(lambda: not here.listener.open, "all connections gone")


async def test_a_thousand_connections_leave_nothing_behind() -> None:
    tasks = len(asyncio.all_tasks())
    async with serving() as here:
        for beginning in (b"", b"GET /", save("[]")[:-1], save("[]"), b"\x00\x01", get("/v1.0/healthz") * 3):
            for _ in range(3):
                wires = [await here.connect() for _ in range(60)]
                for wire in wires:
                    await wire.send(beginning)
                for wire in wires:
                    wire.abort()
        await until(lambda: not here.listener.open, "all connections gone")
        assert here.listener.held == 0
        await until(lambda: len(asyncio.all_tasks()) == tasks, "all their tasks gone")
        assert await (await here.connect()).is_usable()


async def test_a_defect_is_answered_and_closes_its_connection_and_no_other(caplog: pytest.LogCaptureFixture) -> None:
    reported = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: reported.append(context["exception"]))

    async def answer(call: Call) -> Answer:
        if call.path == b"/bad":
            raise ZeroDivisionError("a bug")
        return Answer(200)

    async with serving(answer) as here:
        good, bad = await here.connect(), await here.connect()
        await bad.send(get("/") + get("/bad") + get("/"))
        assert (await bad.answer()).status == 200
        assert (await bad.answer()).status == 500
        assert await bad.rest() == b""
        assert (await good.ask(get("/"))).status == 200
        await until(lambda: len(here.listener.open) == 1, "the broken connection gone")
    import gc

    gc.collect()
    await until(lambda: [str(error) for error in reported] == ["a bug"], "the report of the error")


# --- the sidecar stops ------------------------------------------------------------------------------------------------


async def test_a_stop_lets_calls_in_flight_end_and_closes_idle_connections() -> None:
    gate = Gate()
    async with serving(gate.answer) as here:
        idle, busy, behind = await here.connect(), await here.connect(), await here.connect()
        await busy.send(get("/1"))
        await behind.send(get("/1") + get("/2"))
        await until(lambda: len(gate.calls) == 2, "the calls")
        stopping = asyncio.create_task(here.server.stop(PATIENCE_S))
        assert await idle.rest() == b""
        with pytest.raises(OSError):
            await here.connect()
        assert not stopping.done()
        gate.open()
        for wire, closes in ((busy, True), (behind, False), (behind, True)):
            answer = await wire.answer()
            assert (answer.status, answer.closes) == (200, closes)
            if closes:
                assert await wire.rest() == b""
                await wire.close()
        await stopping


async def test_a_request_that_arrives_while_the_sidecar_stops_is_answered_as_the_last() -> None:
    async with serving() as here:
        used, fresh = await here.connect(), await here.connect()
        assert not (await used.ask(get("/v1.0/healthz"))).closes
        await until(lambda: len(here.listener.open) == 2, "both connections")
        stopping = asyncio.create_task(here.server.stop(PATIENCE_S))
        await until(lambda: here.listener.is_draining, "the end")
        for wire in (used, fresh):
            answer = await wire.ask(get("/v1.0/healthz"))
            assert (answer.status, answer.closes) == (204, True)
            await wire.close()
        await stopping


async def test_a_connection_in_the_listeners_queue_when_the_sidecar_stops_is_answered() -> None:
    async with serving() as here:
        with socket.create_connection(("127.0.0.1", here.port)) as client:  # the loop does not run meanwhile
            client.sendall(get("/v1.0/healthz"))
            stopping = asyncio.create_task(here.server.stop(PATIENCE_S))
            answer = await asyncio.to_thread(client.recv, 65536)
            assert answer.startswith(b"HTTP/1.1 204 ") and b"connection: close" in answer
        await stopping


async def test_a_stop_waits_for_a_request_that_is_on_its_way() -> None:
    async with serving() as here:
        wire = await here.connect()
        whole = save('[{"key":"k"}]')
        await wire.send(whole[:-5])
        await until(lambda: any(connection._in_message for connection in here.connections), "its beginning")
        stopping = asyncio.create_task(here.server.stop(PATIENCE_S))
        await asyncio.sleep(0.05)
        assert not stopping.done()
        assert (await wire.ask(whole[-5:])).closes
        await stopping


async def test_a_stop_waits_for_an_answer_to_be_taken() -> None:
    big = b"x" * 4 * 1024 * 1024

    async def answer(call: Call) -> Answer:
        return Answer(200, big, b"text/plain")

    async with serving(answer) as here:
        wire = await here.connect(receive_buffer=4096)
        await wire.send(get("/"))
        await wire.reader.readexactly(1)
        stopping = asyncio.create_task(here.server.stop(PATIENCE_S))
        await asyncio.sleep(0.05)
        assert not stopping.done()
        assert (await wire.rest()).endswith(b"x" * 1000)
        await stopping


async def test_a_stop_does_not_wait_for_ever() -> None:
    gate = Gate()
    async with serving(gate.answer) as here:
        slow, half = await here.connect(), await here.connect()
        await slow.send(get("/1"))
        await half.send(get("/1")[:-1])
        await until(lambda: len(gate.calls) == 1 and len(here.listener.open) == 2, "the call")
        async with asyncio.timeout(PATIENCE_S):
            await here.server.stop(0.1)
        assert await slow.rest() == await half.rest() == b""
        gate.open()


async def test_a_stop_without_connections_is_over_at_once() -> None:
    async with serving() as here:
        async with asyncio.timeout(PATIENCE_S / 2):
            await here.server.stop(PATIENCE_S)


# --- a socket in the file system --------------------------------------------------------------------------------------


async def test_a_unix_socket_serves_the_same(tmp_path: Path) -> None:
    path = tmp_path / "http.socket"
    listening = socket.socket(socket.AF_UNIX)
    listening.bind(str(path))
    server = HttpServer(http_limits(), budget())
    api = await api_over(InMemoryStore({}))
    await server.listen([listening], api.answer, fast_path_of(api, http_limits().body))
    wire = Wire(*await asyncio.open_unix_connection(path))
    assert (await wire.ask(save(json.dumps([{"key": "k", "value": "v"}])))).status == 201
    await wire.send(get("/v1.0/state/statestore/k") * 2 + get("/v1.0/state/statestore/none"))
    wire.writer.write_eof()
    assert [(await wire.answer()).body for _ in range(3)] == [b'"v"', b'"v"', b""]
    assert await wire.rest() == b""
    await wire.close()
    await server.stop(PATIENCE_S)
