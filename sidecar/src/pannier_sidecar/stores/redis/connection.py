"""A pipelined connection to a Redis server: gives each call its replies."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from hiredis import ProtocolError, ReplyError

from pannier_sidecar.network.pipeline import Pipeline

from .errors import described
from .resp import PushReader, ReplyReader

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable, Sequence


class Connection(Pipeline):
    """A connection on which a call gets its reply, or the list of its replies if there is more than one.

    Replies that are errors are results too, of type ReplyError.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, name: str, read_timeout: float):
        super().__init__(loop, f"Redis at {name}", read_timeout, "readTimeout")
        self.name = name
        """host:port, for error texts."""
        self.disconnect_reason: str | None = None
        """The error with which the server closed the connection."""
        self.run_id = ""
        """Identifies the server's process; empty if the server does not report it."""
        self.online_replicas: int | None = None
        """How many replicas were online when the connection was made; None: the server does not report that."""
        self._replies = ReplyReader()
        self._partial: list[Any] = []

    def read(self, data: bytes) -> None:
        """Give the replies that are complete to the calls that wait for them."""
        owed = self.owed
        try:
            for reply in self._replies.feed(data):
                caller = owed.popleft()
                if caller is None:
                    self._partial.append(reply)
                    continue
                if self._partial:
                    self._partial.append(reply)
                    reply, self._partial = self._partial, []
                try:
                    caller.set_result(reply)
                except Exception as error:
                    self.check_gone(caller, error)
        except IndexError:  # before it hangs up, Redis says why it refuses the connection
            self.abort(self._reason_in(reply))
        except ProtocolError:
            self.abort(f"the server at {self.name} does not speak the Redis protocol")

    def connection_lost(self, exc: Exception | None) -> None:
        """Fail the calls in flight with the reason."""
        if self._reason is None and self._partial and isinstance(self._partial[-1], ReplyError):
            self._reason = self._reason_in(self._partial[-1])  # it came before all replies to a call
            self._update_flow()
        super().connection_lost(exc)

    def _reason_in(self, reply: object) -> str:
        self.disconnect_reason = described(str(reply))
        return f"Redis at {self.name} says: {self.disconnect_reason}"


class PushConnection(Connection):
    """A connection on which messages may come between the replies, as in RESP3."""

    def __init__(self, loop: asyncio.AbstractEventLoop, name: str, read_timeout: float):
        super().__init__(loop, name, read_timeout)
        self.on_push: Callable[[Sequence[Any]], object] = _ignore
        """Called with each message: its kind and what belongs to it, as the server sent it."""
        self._replies = PushReader(self._take_push)

    def _take_push(self, push: Sequence[Any]) -> None:
        self._unfinished = 0  # the message is whole, and no part of an answer
        self.on_push(push)


def _ignore(_: Sequence[Any]) -> None:
    return
