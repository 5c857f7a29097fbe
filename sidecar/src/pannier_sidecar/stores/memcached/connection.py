"""A pipelined connection to a memcached server: gives each call its reply."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pannier_sidecar.network.pipeline import Pipeline

from .protocol import NotUnderstoodError, ProtocolError, ReplyReader

if TYPE_CHECKING:
    import asyncio


class Connection(Pipeline):
    """A connection on which a call gets a Reply."""

    def __init__(self, loop: asyncio.AbstractEventLoop, name: str, timeout: float):
        super().__init__(loop, f"memcached at {name}", timeout, "timeout")
        self.name = name
        """host:port, for error texts."""
        self.run = ""
        """Identifies the run of the server: ETags of another run mean nothing in it. Set while connecting."""
        self.largest_item = 0
        """Bytes that an item may have, overhead included. Set while connecting."""
        self._replies = ReplyReader()
        self.stats = self._replies.stats
        """What the server reported in `stats`."""

    def read(self, data: bytes) -> None:
        """Give the replies that are complete to the calls that wait for them."""
        owed = self.owed
        try:
            for reply in self._replies.feed(data):
                caller = owed.popleft()
                if caller is None:
                    continue
                try:
                    caller.set_result(reply)
                except Exception as error:
                    self.check_gone(caller, error)
        except NotUnderstoodError:
            self.abort(f"memcached at {self.name} does not understand what was sent")
        except (IndexError, ProtocolError):  # an answer to no request, or bytes that are no answer
            self.abort(f"what answers at {self.name} is no memcached")
