"""The HTTPS server for admission reviews: those of Components and pods go to kopf, those of workloads do not.

It replaces kopf's own server, which takes no review of more than 1 MiB. A review holds the new object and the old one,
so a Component of half that size could be created and then never be changed or labelled.
"""

from __future__ import annotations

import asyncio
from contextlib import nullcontext
from typing import TYPE_CHECKING, Any, Final

from aiohttp import web

if TYPE_CHECKING:
    import ssl
    from collections.abc import AsyncIterator, Awaitable, Callable

    from pannier_operator.objects.kinds import AdmissionReview

MAX_REVIEW: Final = 16 * 1024 * 1024
"""Bytes. API servers take requests of up to 3 MiB; a review holds two such objects."""
LARGE_REVIEW: Final = 512 * 1024
"""Bytes. Larger ones are read one at a time: parsed, each may take ten times as much memory."""
WORKLOADS_PATH: Final = "workloads"


class WebhookServer:
    """A webhook server as kopf expects it: called with kopf's handler, it serves while it is iterated."""

    def __init__(
        self,
        port: int,
        context: ssl.SSLContext,
        judge_workload: Callable[[AdmissionReview], Awaitable[AdmissionReview]],
    ):
        """`context` is updated when certificates are renewed; `judge_workload` answers reviews at /workloads."""
        self._port = port
        self._context = context
        self._judge_workload = judge_workload
        self._one_large_review = asyncio.Lock()

    async def __call__(self, fn: Callable[..., Awaitable[Any]]) -> AsyncIterator[Any]:
        async def serve(request: web.Request) -> web.Response:
            webhook = request.match_info["id"]
            async with self._lock_for(request):
                review = await request.json()
                if webhook == WORKLOADS_PATH:
                    return web.json_response(await self._judge_workload(review))
                return web.json_response(await fn(review, webhook=webhook, headers=dict(request.headers), sslpeer=None))

        application = web.Application(client_max_size=MAX_REVIEW)
        application.router.add_post("/{id}", serve)
        runner = web.AppRunner(application, handle_signals=False, access_log=None)
        await runner.setup()
        try:
            await web.TCPSite(runner, None, self._port, ssl_context=self._context, reuse_port=True).start()
            yield {"url": f"https://localhost:{self._port}"}  # kopf leaves webhook configurations alone
            await asyncio.Event().wait()
        finally:
            await runner.cleanup()

    def _lock_for(self, request: web.Request) -> Any:
        size = request.content_length
        return self._one_large_review if size is None or size > LARGE_REVIEW else nullcontext()
