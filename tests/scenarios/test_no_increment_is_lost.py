"""Many tasks increment one key using only ETags, and the sum is right."""

import asyncio
import json

import pytest
import uvloop
from scenarios.http_client import path
from scenarios.state_client import Item
from scenarios.worlds import World

TASKS = 4


class Connection:
    """A minimal HTTP client: the test should spend its time in the sidecar."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter):
        self._reader, self._writer = reader, writer

    async def ask(self, request: bytes) -> tuple[int, bytes, bytes]:
        """Return status, ETag and body."""
        self._writer.write(request)
        head = await self._reader.readuntil(b"\r\n\r\n")
        headers = dict(line.split(b": ", 1) for line in head.split(b"\r\n")[1:-2])
        body = await self._reader.readexactly(int(headers.get(b"content-length", b"0")))
        return int(head[9:12]), headers.get(b"etag", b""), body

    async def close(self) -> None:
        self._writer.close()
        await self._writer.wait_closed()


async def count_up(port: int, key: str, times: int) -> int:
    """Increment this many times and return how many attempts collided with another."""
    connection = Connection(*await asyncio.open_connection("127.0.0.1", port))
    get = f"GET {path('statestore', key)} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode()
    save = f"POST {path('statestore')} HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n\r\n"
    conflicts = 0
    while times:
        status, etag, value = await connection.ask(get)
        assert status == 200
        body = f'[{{"key":"{key}","value":{int(value) + 1},"etag":{json.dumps(etag.decode())}}}]'
        status, _, message = await connection.ask((save % len(body) + body).encode())
        assert status in (201, 409), message
        times -= status == 201
        conflicts += status == 409
    await connection.close()
    return conflicts


@pytest.mark.every_store
def test_no_increment_is_lost(here: World, key: str) -> None:
    here.http.save("statestore", Item(key, b"0"))
    each = here.database.increments // 5 // TASKS

    async def count_together() -> list[int]:
        return await asyncio.gather(*[count_up(here.http.port, key, each) for _ in range(TASKS)])

    conflicts = uvloop.run(count_together())
    found = here.http.get("statestore", key)
    assert found is not None
    assert int(found.value) == each * TASKS
    assert sum(conflicts) > 0, "the tasks never met"
