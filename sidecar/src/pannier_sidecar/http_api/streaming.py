"""Bodies that a connection handles part by part: those of requests while they arrive, those of answers while they are
made. What is not taken yet waits in the network: reading is paused, and parts are made as the client reads them.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from ..serving import time_to_take
from ..state.errors import StoreError
from .limiting import LimitedConnection
from .messages import StreamedCall
from .receiving import REFUSALS
from .request_rules import origin_form

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from .listener import HttpListener

log = logging.getLogger(__name__)


class StreamingConnection(LimitedConnection):
    """A connection whose answers are made elsewhere."""

    __slots__ = ()

    _listener: HttpListener

    # --- requests -------------------------------------------------------------------------------------------------

    def _stream(self, size: int | None) -> bool:
        streams = self._listener.streams
        if streams is None or self._parser.get_http_version() != "1.1":
            return False
        headers = self._headers if size is not None else self._saved_headers  # trailers of a chunked body come now
        url = self._url if self._url.startswith(b"/") else origin_form(self._url, headers)
        path, _, query = url.partition(b"?")
        method = self._parser.get_method()
        if not streams(method, path):
            return False
        from .incoming import IncomingBody  # few sidecars have such calls

        incoming = IncomingBody(self, size)
        call = StreamedCall(method, path, query, headers, b"", False, incoming=incoming)
        incoming.call = call
        received, self._body = bytes(self._body), incoming  # type: ignore[arg-type]  # it is no IncomingBody yet
        self._count(-len(received))
        incoming.feed(received)
        self._expects_continue = size is not None and headers.get(b"expect", b"").lower() == b"100-continue"
        self._take(call)
        return True

    def _give_up_stream(self, status: int, message: str) -> None:
        incoming = self.incoming
        if incoming is not None:
            from .incoming import BodyCutError  # loaded already

            incoming.discard()
            self._body = b""
            incoming.fail(BodyCutError(status, REFUSALS[status], message))

    def _discard_rest(self) -> None:
        """Discard what is left of a body whose request is answered already, so that the client reads the answer."""
        if self.incoming is not None:
            self._is_lingering, self._in_message = True, False
            self._give_up_stream(400, "the request was answered before all of its body had arrived")
            self.read_on()

    def wait_with_reading(self) -> None:
        """Read no more until `read_on`."""
        if not self._is_reading_paused and not self._transport.is_closing():
            self._is_reading_paused = True
            self._transport.pause_reading()

    def read_on(self) -> bool:
        """Read more of the body. Return whether some of it had arrived already, and was fed."""
        if self._expects_continue:
            self._expects_continue = False
            if not self._is_lingering:
                self._transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        if self._unparsed:
            self._parse_on()
            return True
        if self._is_reading_paused and not self._transport.is_closing():
            self._is_reading_paused = False
            self._transport.resume_reading()
        return False

    def hold(self, size: int) -> None:
        """Count bytes that are held for the client, or no longer held. A connection that is closed holds nothing."""
        self._count(max(size, -self._held))

    # --- answers --------------------------------------------------------------------------------------------------

    async def _send_each(self, parts: AsyncIterator[bytes]) -> None:
        """Send parts. If one cannot be made, or the client takes too long for all of them, the connection is closed:
        the size that was announced shows the client that some are missing.
        """
        transport = self._transport
        sent, waited = 0, 0.0
        try:
            async for part in parts:
                if transport.is_closing():
                    return
                transport.write(part)
                sent += len(part)
                if self._drained is not None:
                    began = self._loop.time()
                    await self._drained.wait()
                    waited += self._loop.time() - began
                    if waited > time_to_take(sent, self._limits.stalled):
                        transport.abort()
        except StoreError as error:
            log.warning("an answer was cut off after %d bytes: %s", sent, error)
            transport.abort()
        except BaseException:
            transport.abort()
            raise
