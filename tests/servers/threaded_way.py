"""A proxy to a server for tests without an event loop: `CutWay` on its own thread."""

from __future__ import annotations

import asyncio
from typing import Literal

from servers.cut_way import CutWay, Where
from servers.eventually import end_other_tasks
from servers.loop_thread import LoopThread

Gone = Literal["refused", "silent"]


class ThreadedWay:
    """Forwards connections to a port of this machine, until `go_away` is called."""

    def __init__(self, port: int, *, tells_its_port: bool = False):
        self._way = CutWay(port, tells_its_port=tells_its_port)
        self._thread = LoopThread()

    def __enter__(self) -> ThreadedWay:
        self._thread.start()
        self._thread.run(self._way.open())
        return self

    def __exit__(self, *_: object) -> None:
        self._thread.run(self._way.close())
        self._thread.run(end_other_tasks())
        self._thread.close()

    @property
    def port(self) -> int:
        return self._way.port

    @property
    def address(self) -> str:
        return self._way.address

    def go_away(self, how: Gone) -> None:
        """Reset and refuse connections, or let nothing pass any more on open and new ones."""
        if how == "silent":
            self._way.is_silent = True
        else:
            self._thread.run(self._way.close())

    def come_back(self) -> None:
        if self._way.is_silent:
            self._thread.run(self._way.close())  # bytes that waited in the proxy do not arrive later
            self._way.is_silent = False
        self._thread.run(self._way.open())

    def arm(self, where: Where, word: bytes) -> None:
        """As `CutWay.arm`."""
        self._thread.call_soon(self._way.arm, where, word)

    def cut_when_met(self) -> None:
        """Reset the connection of the awaited request, a moment after it was passed on."""
        self._thread.run(self._cut())

    async def _cut(self) -> None:
        await self._way.met()
        await asyncio.sleep(0.2)
        self._way.cut()
