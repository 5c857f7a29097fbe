"""Answers over HTTP, read up to a limit, however much a server sends."""

from __future__ import annotations

import asyncio
from functools import partial
from typing import Any, ClassVar, Final

import aiohttp
from aiohttp.client_proto import ResponseHandler

from pannier_sidecar.network import answers

MAX_ANSWERS: Final = 16
"""Maximum of answers to one request: interim ones, with a status of 1xx, and the final one."""
PLAIN: Final = {"Accept-Encoding": "identity"}
"""Asks servers not to compress: an answer could unpack to many times what was sent."""


class BoundedResponse(aiohttp.ClientResponse):
    """A response whose body is no larger than an answer may be, and is not compressed."""

    takes_encodings: ClassVar[bool] = False
    """Whether a Content-Encoding is passed over: for sessions that decode none."""

    async def read(self) -> bytes:
        """Return the body. Raises ClientPayloadError if it is too large."""
        if self._body is None:
            try:
                self._body = await self._read_up_to(answers.limit())
            except BaseException:
                self.close()
                raise
        return await super().read()

    async def _read_up_to(self, limit: int) -> bytes:
        if not self.takes_encodings and self.headers.get("Content-Encoding", "identity") != "identity":
            raise aiohttp.ClientPayloadError("the answer is compressed, which was not asked for")
        parts, left = [], limit - (self.content_length or 0)
        if left >= 0:
            left = limit
            async for part in self.content.iter_any():
                parts.append(part)
                left -= len(part)
                if left < 0:
                    break
        if left < 0:
            raise aiohttp.ClientPayloadError(f"the answer has more than {limit} bytes")
        return b"".join(parts)


class _Handler(ResponseHandler):
    """A connection that takes only a few interim answers (1xx) before the final one.

    aiohttp takes any number, in one iteration of the event loop if they come fast enough.
    """

    _answers = 0

    def set_response_params(self, **options: Any) -> None:
        self._answers = 0
        super().set_response_params(**options)

    async def read(self) -> Any:
        self._answers += 1
        if self._answers > MAX_ANSWERS:
            raise aiohttp.ClientPayloadError(f"over {MAX_ANSWERS - 1} interim answers came, and no final one")
        return await super().read()


def bounded(connector: aiohttp.TCPConnector) -> aiohttp.TCPConnector:
    """Have the connector make connections that take only a few interim answers, and return it."""
    factory = partial(_Handler, loop=asyncio.get_running_loop())
    connector._factory = factory  # type: ignore[assignment]  # noqa: SLF001  # aiohttp has no public option for it
    return connector
