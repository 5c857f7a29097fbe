"""A proxy to a server that holds bytes back, cuts connections, and cuts off clients, as a test orders. It runs on its
own thread, so tests with and without an event loop can use it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from servers.eventually import close_server, end_other_tasks
from servers.loop_thread import LoopThread
from servers.processes import wait_until

CHUNK = 64 * 1024
HELD_CHECK_S = 0.005


class FaultyProxy:
    """Forwards connections to a port of this machine."""

    def __init__(self, target: int, port: int = 0):
        self.target = target
        """The port of the server."""
        self._holds_requests = False
        self._holds_answers = False
        self._isolated: frozenset[str] = frozenset()
        self._writers: set[asyncio.StreamWriter] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self.held_requests = 0
        """Bytes of requests that have arrived since requests are held."""
        self.held_answers = 0
        """Bytes of answers that have arrived since answers are held: the server has carried out those requests."""
        self.accepted = 0
        """Connections so far."""
        self._thread = LoopThread()
        self._thread.start()
        self._server = self._thread.run(asyncio.start_server(self._accept, "127.0.0.1", port, backlog=1000))
        self.port: int = self._server.sockets[0].getsockname()[1]

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.port}"

    def hold_requests(self) -> None:
        """Let nothing reach the server; requests are kept."""
        self.held_requests, self._holds_requests = 0, True

    def hold_answers(self) -> None:
        """Let requests pass, and keep the server's answers."""
        self.held_answers, self._holds_answers = 0, True

    def isolate(self, *sources: str) -> None:
        """Let nothing pass from or to clients with these addresses; their connections stay open."""
        self._isolated = frozenset(sources)

    def heal(self) -> None:
        """Let everything pass again, including kept bytes."""
        self._holds_requests = self._holds_answers = False
        self._isolated = frozenset()

    def cut(self) -> None:
        """Close all connections, and drop the bytes kept on them."""
        self._thread.run(self._abort_all())

    def wait_for_answers(self) -> None:
        """Wait until the server has answered, and the answer is held."""
        wait_until(lambda: self.held_answers > 0, "an answer is held")

    def wait_for_requests(self) -> None:
        wait_until(lambda: self.held_requests > 0, "a request is held")

    def close(self) -> None:
        self._thread.run(self._close())
        self._thread.close()

    # --- on the thread --------------------------------------------------------------------------------------------

    async def _abort_all(self) -> None:
        for task in self._tasks:
            task.cancel()
        for writer in self._writers:
            writer.transport.abort()

    async def _close(self) -> None:
        await close_server(self._server)
        await end_other_tasks()

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        self.accepted += 1
        writers = [writer]
        try:
            source = writer.get_extra_info("peername")[0]
            self._writers.add(writer)
            server_reader, server_writer = await asyncio.open_connection("127.0.0.1", self.target)
            writers.append(server_writer)
            self._writers.add(server_writer)
            there = asyncio.create_task(self._pump(reader, server_writer, source, is_answer=False))
            back = asyncio.create_task(self._pump(server_reader, writer, source, is_answer=True))
            try:
                await asyncio.wait((there, back), return_when=asyncio.FIRST_COMPLETED)
            finally:
                there.cancel()
                back.cancel()
        except (OSError, TypeError, asyncio.CancelledError):  # TypeError: the connection is closed already
            pass
        finally:
            for each in writers:
                each.transport.abort()
                self._writers.discard(each)
            self._tasks.discard(task)

    async def _pump(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, source: str, *, is_answer: bool
    ) -> None:
        with suppress(OSError):
            while chunk := await reader.read(CHUNK):
                if is_answer:
                    self.held_answers += len(chunk) if self._holds_answers else 0
                else:
                    self.held_requests += len(chunk) if self._holds_requests else 0
                while source in self._isolated or (self._holds_answers if is_answer else self._holds_requests):
                    await asyncio.sleep(HELD_CHECK_S)
                writer.write(chunk)
                await writer.drain()


@contextmanager
def faulty_proxy(target: int, port: int = 0) -> Iterator[FaultyProxy]:
    """Open a proxy to a port, on a given port or a free one."""
    proxy = FaultyProxy(target, port)
    try:
        yield proxy
    finally:
        proxy.close()
