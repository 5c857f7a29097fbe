"""The driver's connection, with bounds for what the server sends."""

from __future__ import annotations

import time
from io import SEEK_CUR, BytesIO
from typing import TYPE_CHECKING, Any, Final

from cassandra.cluster import Cluster
from cassandra.connection import ConnectionException
from cassandra.protocol import EventMessage

from pannier_sidecar.network import answers

from .decoding import decode
from .frames import FrameReader, ProtocolViolationError

if TYPE_CHECKING:
    from collections.abc import Callable

    from .frames import Frame

_PUSHED: Final = -1
"""The stream of events."""
_PERIOD_S: Final = 10.0
_MAX_EVENTS: Final = 1000
"""Maximum number of events in a period. Nodes that come and go cause them."""
_MAX_UNASKED: Final = 100
"""Maximum number of answers without a request in a period. An answer that comes just after its timeout counts as one:
the driver has forgotten the request, and does not expect a late answer to it yet.
"""


class _Received(BytesIO):
    """Replaces the buffer into which the driver writes received bytes. Its position counts these bytes, but it keeps
    none of them.
    """

    def __init__(self, take: Callable[[bytes], None]):
        super().__init__()
        self._take = take

    def write(self, data: Any) -> int:
        self.seek(len(data), SEEK_CUR)
        self._take(data)
        return len(data)


class _Rate:
    """Counts something that may happen a maximum number of times in a period."""

    def __init__(self, maximum: int):
        self._maximum = maximum
        self._since = 0.0
        self._count = 0

    def is_exceeded(self) -> bool:
        """Count once more."""
        now = time.monotonic()
        if now - self._since > _PERIOD_S:
            self._since, self._count = now, 0
        self._count += 1
        return self._count > self._maximum


class BoundedConnection(Cluster.connection_class):  # type: ignore[misc]  # the driver has no types
    """A connection that closes if the server sends too much, or something that was not requested.

    Its calls wait while the server is too slow, instead of failing. The driver refuses a call while the socket is not
    writable, and loses a stream with each refusal. A waiting call needs no more memory than the call itself, which the
    sidecar limits.
    """

    def __init__(self, *arguments: Any, **named: Any):
        self._received = _Received(self._take)
        self._frames = FrameReader(answers.limit())
        self._events = _Rate(_MAX_EVENTS)
        self._unasked = _Rate(_MAX_UNASKED)
        super().__init__(*arguments, **named)

    @property
    def _socket_writable(self) -> bool:
        return True

    @_socket_writable.setter
    def _socket_writable(self, _: bool) -> None:
        pass

    @property
    def _iobuf(self) -> _Received:
        return self._received

    def process_io_buffer(self) -> None:
        """Count received bytes from 0 again; they were handled when they came.

        The driver calls this only if there were any. If there were none, the server has closed the connection.
        """
        self._received.seek(0)

    def send_msg(self, msg: Any, request_id: int, cb: Any, **options: Any) -> Any:
        return super().send_msg(msg, request_id, cb, **{**options, "decoder": decode})

    def _enable_checksumming(self) -> None:
        super()._enable_checksumming()
        self._frames.begin_segments()

    def _take(self, data: bytes) -> None:
        if self._is_over():
            return
        try:
            for frame in self._frames.feed(data):
                if self._is_expected(frame):
                    self.process_msg(frame, frame.body)
                if self._is_over():
                    return
        except ProtocolViolationError as error:
            self.defunct(ConnectionException(f"the server sent {error}", self.endpoint))

    def _is_over(self) -> bool:
        return bool(self.is_defunct or self.is_closed)

    def _is_expected(self, frame: Frame) -> bool:
        """Return whether to handle a frame. Raises ProtocolViolationError for too many events or unexpected answers."""
        if frame.stream == _PUSHED and frame.opcode == EventMessage.opcode:
            if self._events.is_exceeded():
                raise ProtocolViolationError("too many events")
            return True
        if frame.stream in self._requests or frame.stream in self.orphaned_request_ids:
            return True
        if self._unasked.is_exceeded():
            raise ProtocolViolationError("too many answers without a request")
        return False
