"""A proxy to a server that holds bytes back, cuts connections, and cuts off clients, as a test orders."""

from __future__ import annotations

import asyncio
from contextlib import suppress

from servers.processes import wait_until
from servers.proxy import CHUNK, OwnThread

HELD_CHECK_S = 0.005


class FaultyProxy(OwnThread):
    """Forwards connections and can hold what they bring."""

    def __init__(self, target: int):
        super().__init__(target)
        self._holds_requests = False
        self._holds_answers = False
        self._isolated: frozenset[str] = frozenset()
        self.held_requests = 0
        """Bytes of requests that have arrived since requests are held."""
        self.held_answers = 0
        """Bytes of answers that have arrived since answers are held: the server has carried out those requests."""

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
        self.thread.run(self.end_all())

    def wait_for_answers(self) -> None:
        """Wait until the server has answered, and the answer is held."""
        wait_until(lambda: self.held_answers > 0, "an answer is held")

    def wait_for_requests(self) -> None:
        wait_until(lambda: self.held_requests > 0, "a request is held")

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        source = writer.get_extra_info("peername")[0]
        from_server, to_server = await asyncio.open_connection("127.0.0.1", self.target)
        there = asyncio.create_task(self._pump(reader, to_server, source, is_answer=False))
        back = asyncio.create_task(self._pump(from_server, writer, source, is_answer=True))
        try:
            await asyncio.wait((there, back), return_when=asyncio.FIRST_COMPLETED)
        finally:
            there.cancel()
            back.cancel()
            to_server.transport.abort()

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
