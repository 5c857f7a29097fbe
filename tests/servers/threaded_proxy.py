"""A proxy to a server for tests without an event loop: `CuttingProxy` on its own thread."""

from __future__ import annotations

import asyncio
from typing import Literal

from servers.cutting_proxy import CuttingProxy, Where
from servers.eventually import end_other_tasks
from servers.loop_thread import LoopThread

Gone = Literal["refused", "silent"]


class ThreadedProxy:
    """Forwards connections to a port of this machine, until `go_away` is called."""

    def __init__(self, port: int, *, announces_its_port: bool = False):
        self._proxy = CuttingProxy(port, announces_its_port=announces_its_port)
        self._thread = LoopThread()

    def __enter__(self) -> ThreadedProxy:
        self._thread.start()
        self._thread.run(self._proxy.open())
        return self

    def __exit__(self, *_: object) -> None:
        self._thread.run(self._proxy.close())
        self._thread.run(end_other_tasks())
        self._thread.close()

    @property
    def port(self) -> int:
        return self._proxy.port

    @property
    def address(self) -> str:
        return self._proxy.address

    def go_away(self, how: Gone) -> None:
        """Reset and refuse connections, or let nothing pass any more on open and new ones."""
        if how == "silent":
            self._proxy.is_silent = True
        else:
            self._thread.run(self._proxy.close())

    def come_back(self) -> None:
        if self._proxy.is_silent:
            self._thread.run(self._proxy.close())  # bytes that waited in the proxy do not arrive later
            self._proxy.is_silent = False
        self._thread.run(self._proxy.open())

    def arm(self, where: Where, word: bytes) -> None:
        """Do as `CuttingProxy.arm` does."""
        self._thread.call_soon(self._proxy.arm, where, word)

    def cut_when_met(self) -> None:
        """Reset the connection of the awaited request, a moment after it was passed on."""
        self._thread.run(self._cut())

    async def _cut(self) -> None:
        await self._proxy.met()
        await asyncio.sleep(0.2)
        self._proxy.cut()
