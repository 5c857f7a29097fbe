"""A connection to Cassandra ends when the server sends what it should not, or closes in the middle of a frame."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from cassandra.connection import DefaultEndPoint
from servers.cassandra_faults import EVENT, NODE_IS_UP, READY, RESULT, SUPPORTED, cql
from servers.eventually import close_server, until

from pannier_sidecar.stores.cassandra.connection import BoundedConnection

OPTIONS = b"\0\2\0\x0bCQL_VERSION\0\1\0\x053.4.7\0\x0bCOMPRESSION\0\0"
EVENTS = cql(EVENT, NODE_IS_UP, stream=-1)
ANSWERS = cql(READY, b"", stream=77)


@asynccontextmanager
async def connected(answer: bytes, *, closes: bool = False) -> AsyncIterator[BoundedConnection]:
    """Connect to a server that answers the first request so."""
    over = asyncio.Event()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(9)
        writer.write(answer)
        await writer.drain()
        if not closes:
            await over.wait()
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    place = DefaultEndPoint("127.0.0.1", server.sockets[0].getsockname()[1])
    BoundedConnection.initialize_reactor()
    connection = await asyncio.to_thread(BoundedConnection, place, connect_timeout=10, protocol_version=4)
    try:
        yield connection
    finally:
        connection.close()
        over.set()
        await close_server(server)


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (b"HTTP/1.1 400 Bad Request\r\n\r\n", "no frame"),
        (cql(RESULT, b"", length=2**31 - 1), "a frame of 2147483647 bytes"),
        (EVENTS * 1001, "too many events"),
        (ANSWERS * 101, "too many answers without a request"),
        (cql(READY, b"", stream=-1) * 101, "too many answers without a request"),
    ],
    ids=["another protocol", "2 GB", "events", "answers", "no events"],
)
async def test_it_ends(answer: bytes, reason: str) -> None:
    async with connected(answer) as connection:
        await until(lambda: connection.is_closed)
        assert reason in str(connection.last_error)


async def test_it_ends_where_the_server_closes_in_the_middle_of_a_frame() -> None:
    async with connected(cql(RESULT, b"x", length=100), closes=True) as connection:
        await until(lambda: connection.is_closed)


async def test_an_answer_that_nobody_asked_for_is_ignored_and_takes_no_request_id() -> None:
    async with connected(EVENTS * 1000 + ANSWERS * 100 + cql(SUPPORTED, OPTIONS)) as connection:
        free = len(connection.request_ids)
        await until(lambda: connection.cql_version is not None)
        assert not connection.is_closed
        assert len(set(connection.request_ids)) == len(connection.request_ids) <= free + 1
