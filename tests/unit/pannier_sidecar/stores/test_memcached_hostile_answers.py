"""A hostile server, or something that is not memcached: its endless answers are not kept."""

import asyncio

import pytest

from pannier_sidecar.stores.memcached.connection import Connection
from pannier_sidecar.stores.memcached.protocol import MAX_LINE, MAX_STATS


@pytest.mark.parametrize(
    "answer",
    [
        b"x" * (MAX_LINE + 1),
        b"VA -5 t0\r\nab\r\n",
        b"VA 99999999999 t0\r\n",
        b"HD\r\n" + b"y" * (MAX_LINE + 1),
        b"STAT a 1\r\n" * (MAX_STATS + 1),
    ],
    ids=[
        "a line without end",
        "a negative length",
        "a length beyond all items",
        "a line without end behind an answer",
        "figures without end",
    ],
)
async def test_an_answer_that_memcached_never_gives_ends_the_connection(answer: bytes) -> None:
    connection = Connection(asyncio.get_running_loop(), "host:11211", 5.0)
    calls = [connection.send(b"mg k\r\n"), connection.send(b"mg k\r\n")]
    for at in range(0, len(answer), 16 * 1024):
        connection.read(answer[at : at + 16 * 1024])
    assert connection.why_ended == "what answers at host:11211 is no memcached"
    connection.connection_lost(None)
    await asyncio.gather(*calls, return_exceptions=True)
