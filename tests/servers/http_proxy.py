"""An HTTP server between a client and another server, which loses or replaces answers as a test orders."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from json import dumps
from typing import Any

from aiohttp import ClientSession, web


class HttpProxy:
    """Passes calls on; the next ones meet the faults that the test orders."""

    def __init__(self, target: str):
        self.target = target
        self.troubles: list[str | tuple[int, dict[str, Any]]] = []
        """For the next calls, in order: `lost` (carried out, no answer), or status and body of an answer."""
        self.seen: list[str] = []
        """The calls that were made, by the last word of the header X-Amz-Target."""
        self.url = ""

    async def answer(self, request: web.Request) -> web.Response:
        self.seen.append(request.headers["X-Amz-Target"].rpartition(".")[2])
        trouble = self.troubles.pop(0) if self.troubles else None
        if isinstance(trouble, tuple):
            status, body = trouble
            return web.Response(status=status, text=dumps(body), content_type="application/x-amz-json-1.0")
        headers = {name: value for name, value in request.headers.items() if name != "Host"}
        async with (
            ClientSession() as session,
            session.post(self.target, data=await request.read(), headers=headers) as given,
        ):
            if trouble == "lost" and request.transport is not None:
                request.transport.abort()
            return web.Response(status=given.status, body=await given.read(), headers=_kept(given.headers))


def _kept(headers: Any) -> dict[str, str]:
    return {name: value for name, value in headers.items() if name.lower().startswith(("x-amz", "content-type"))}


@asynccontextmanager
async def http_proxy(target: str) -> AsyncIterator[HttpProxy]:
    handler = HttpProxy(target)
    application = web.Application(client_max_size=20 << 20)
    application.router.add_post("/", handler.answer)
    runner = web.AppRunner(application)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        handler.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
        yield handler
    finally:
        await runner.cleanup()
