"""Many clients at once, and requests that cost more than their size suggests."""

import json
import time

import pytest
from integration.http_front_end.http_wire import get, request, save, serving, until

from pannier_sidecar.serving import Budget


@pytest.mark.transport
async def test_every_upload_is_answered_however_many_are_given_up() -> None:
    """A completely received request that had not begun was once dropped without an answer: its client waited for
    ever.
    """
    async with serving(budget=Budget(60_000)) as here:
        for _ in range(10):
            whole, torn = [await here.connect() for _ in range(2)]
            await until(lambda: len(here.listener.open) == 2, "the connections")
            whole.writer.write(save(json.dumps([{"key": "k", "value": "x" * 45_000}])))
            torn.writer.write(save(b"x" * 40_000)[:-1])
            time.sleep(0.02)  # so that the server reads both before it begins to answer
            assert (await whole.answer()).status in (201, 503)
            torn.abort()
            await whole.close()
            await until(lambda: not here.listener.open, "their end")


async def test_bytes_after_a_connect_are_no_request() -> None:
    """A proxy that passes it on takes the following bytes for the tunnel's, or for a body."""
    async with serving() as here:
        wire = await here.connect()
        inner = save('[{"key": "smuggled", "value": 1}]')
        head = b"CONNECT localhost:80 HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n\r\n" % len(inner)
        await wire.send(head + inner)
        answer = await wire.answer()
        assert (answer.status, answer.closes) == (404, True)
        assert await wire.rest() == b""
        assert (await (await here.connect()).ask(get("/v1.0/state/statestore/smuggled"))).status == 204


@pytest.mark.parametrize("target", ["/v1.0/state/statestore/k", "/v1.0/healthz"])
async def test_a_query_of_very_many_parameters_is_refused(target: str) -> None:
    async with serving() as here:
        wire = await here.connect()
        assert (await wire.ask(get(f"{target}?verbose&" + "a=1&" * 250))).status in (200, 204)
        answer = await wire.ask(get(f"{target}?verbose&" + "a=1&" * 2500))
        assert (answer.status, json.loads(answer.body)["errorCode"]) == (400, "ERR_MALFORMED_REQUEST")


async def test_a_path_of_thousands_of_segments_leads_nowhere() -> None:
    async with serving() as here:
        wire = await here.connect()
        for path in ("/" * 15_000, "/v1.0/state/statestore" + "/a" * 7_000):
            assert (await wire.ask(request("GET", path))).status == 404
