"""The socket between the runner of a run file and the sidecar of one of its apps.

The runner sends what to run, the sidecar reports that it and its app have started. Then the socket says nothing more;
when the runner's end is closed, the runner has been killed.
"""

from __future__ import annotations

import asyncio
import os
import socket
from typing import TYPE_CHECKING, Final, Self

import msgspec
from msgspec import Struct

from pannier_sidecar.cli.launch import Launch

if TYPE_CHECKING:
    from collections.abc import Callable

    from pannier_sidecar.cli.run_records import RunRecord

_MAX_BYTES: Final = 8 * 1024 * 1024


class Order(Struct, frozen=True):
    """What the sidecar of one app is to run."""

    arguments: tuple[str, ...]
    """Those of `pannier run`, with the command."""
    launch: Launch


class RunnerLink:
    """The sidecar's end."""

    def __init__(self, end: socket.socket):
        self._end = end

    @classmethod
    def from_standard_input(cls) -> Self:
        """Take over standard input, and put /dev/null in its place, so that the app does not read from the socket."""
        end = socket.socket(fileno=os.dup(0))
        with open(os.devnull, "rb") as nothing:
            os.dup2(nothing.fileno(), 0)
        return cls(end)

    def order(self) -> Order | None:
        """Wait for the order; None if the runner has been killed before it was sent."""
        text = b""
        while not text.endswith(b"\n"):
            chunk = self._end.recv(65536)
            if not chunk or len(text) > _MAX_BYTES:
                return None
            text += chunk
        return msgspec.json.decode(text, type=Order)

    def report(self, record: RunRecord) -> None:
        """Report to the runner that everything has started."""
        self._end.setblocking(False)
        try:
            self._end.send(msgspec.json.encode(record) + b"\n")
        except OSError:
            return  # the runner has been killed, which `when_closed` notices

    def when_closed(self, act: Callable[[], None]) -> None:
        """Call `act` once when the runner's end is closed."""
        loop = asyncio.get_running_loop()
        self._end.setblocking(False)

        def read() -> None:
            try:
                if self._end.recv(4096):
                    return
            except BlockingIOError:
                return
            except OSError:
                pass  # reset: closed too
            loop.remove_reader(self._end.fileno())
            act()

        loop.add_reader(self._end.fileno(), read)
