"""A proxy to a server for tests without an event loop: `CuttingProxy` on its own thread."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

from servers.cutting_proxy import CuttingProxy, Where
from servers.processes import wait_until
from servers.proxy import OwnThread

Gone = Literal["refused", "silent"]


class ThreadedProxy(OwnThread, CuttingProxy):
    """Forwards connections to a port of this machine, until `go_away` is called."""

    def go_away(self, how: Gone) -> None:
        """Reset and refuse connections, or let nothing pass any more on open and new ones."""
        if how == "silent":
            self.is_silent = True
        else:
            self.thread.run(self.close())

    def come_back(self) -> None:
        if self.is_silent:
            self.thread.run(self.close())  # bytes that waited in the proxy do not arrive later
            self.is_silent = False
        self.thread.run(self.open())

    def arm(self, where: Where, word: bytes, passes: int = 0) -> None:
        self.thread.call_soon(super().arm, where, word, passes)

    def cut_when(self, is_done: Callable[[], object]) -> None:
        """Reset the connection of the awaited request when the server has done what it asks for."""
        wait_until(lambda: self.held, "the request")
        wait_until(is_done, "the server's work")
        self.thread.call_soon(self.cut)
