"""Serves HTTP: for each port of the sidecar, sockets and the function that answers their calls."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..serving import Server
from .connection import HttpConnection
from .listener import HttpListener

if TYPE_CHECKING:
    import socket
    from collections.abc import Awaitable, Callable, Iterable

    from ..serving import Budget
    from .fast_path import FastPath
    from .limits import Limits
    from .messages import Answer, Call


class HttpServer(Server):
    """Serves any number of ports, each with its own answering function."""

    def __init__(self, limits: Limits, budget: Budget):
        """`budget` bounds what all clients may make the sidecar hold, including those of other servers."""
        super().__init__()
        self._limits = limits
        self._budget = budget

    async def listen(
        self,
        sockets: Iterable[socket.socket],
        answer: Callable[[Call], Awaitable[Answer]],
        fast_path: FastPath | None = None,
    ) -> HttpListener:
        """Serve bound sockets (TCP or Unix) with `answer`, and return their listener, whose `answer` and `fast_path`
        may be exchanged. May be called again for other ports.
        """
        listener = HttpListener(answer, self._limits, fast_path, budget=self._budget)
        await self.serve(sockets, listener, lambda: HttpConnection(listener))
        return listener
