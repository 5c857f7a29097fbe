"""The HTTPS server for admission reviews: those of pods go to kopf, the others to functions of ours.

It replaces kopf's own server, which takes no review of more than 1 MiB. A review holds the new object and the old one,
so a Component of half that size could be created and then never be changed or labelled.

API servers show no certificate, so any pod of the cluster may send something here. The memory and time that a request
may take are bounded, so API servers are answered meanwhile.
"""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Any, Final

from aiohttp import web

from pannier_operator.webhook.bodies import Bodies, BodyRefusedError
from pannier_operator.webhook.connections import Connections

if TYPE_CHECKING:
    import ssl
    from collections.abc import AsyncIterator, Awaitable, Callable, Mapping

    Answer = Callable[[Any], Awaitable[Any]]

logger = logging.getLogger(__name__)

PODS: Final = "pods"
"""The path of the webhook that kopf answers: it makes a patch of the changes to the pod."""
_HANDSHAKE: Final = 10.0
"""Seconds for a TLS handshake; asyncio's default is a minute."""
_LINGERING: Final = 1.0
"""Seconds for which the rest of a refused body is received and dropped, so that its sender gets the answer."""


class WebhookServer:
    """A webhook server as kopf expects it: called with kopf's handler, it serves while it is iterated."""

    def __init__(self, port: int, context: ssl.SSLContext, answers: Mapping[str, Answer]):
        """`context` is updated when certificates are renewed; `answers` are functions for reviews, by path."""
        self._port = port
        self._context = context
        self._answers = dict(answers)
        self._bodies = Bodies()
        self._connections = Connections()

    async def __call__(self, fn: Callable[..., Awaitable[Any]]) -> AsyncIterator[Any]:
        async def ask_kopf(review: Any) -> Any:
            return await fn(review, webhook=PODS, headers={}, sslpeer=None)

        answers = {**self._answers, PODS: ask_kopf}
        application = web.Application()
        for path, answer in answers.items():
            application.router.add_post(f"/{path}", self._handler(path, answer))
        # A compressed body would be small until it is in memory; API servers send none.
        runner = web.AppRunner(
            application,
            handle_signals=False,
            access_log=None,
            auto_decompress=False,
            lingering_time=_LINGERING,
            logger=_quiet(),
        )
        await runner.setup()
        assert runner.server is not None
        self._connections.of = runner.server
        listening = await asyncio.get_running_loop().create_server(
            self._connections.accept,
            None,
            self._port,
            ssl=self._context,
            ssl_handshake_timeout=_HANDSHAKE,
            reuse_port=True,
        )
        try:
            yield {"url": f"https://localhost:{self._port}"}  # kopf leaves webhook configurations alone
            await asyncio.Event().wait()
        finally:
            listening.close()
            await runner.cleanup()

    def _handler(self, path: str, answer: Answer) -> Callable[[web.Request], Awaitable[web.Response]]:
        async def handle(request: web.Request) -> web.Response:
            with self._connections.busy(request):
                try:
                    async with self._bodies.review_in(request) as review:
                        self._connections.prove(request)
                        return web.json_response(await answer(review))
                except BodyRefusedError as refused:
                    response = web.Response(status=refused.status, text=f"{refused}\n")
                    response.force_close()
                    return response
                except Exception as error:
                    logger.warning("A review at /%s could not be answered: %s", path, type(error).__name__)
                    logger.debug("It failed here", exc_info=error)
                    return web.Response(
                        status=500, text="the operator fails to answer this review; its log says more\n"
                    )

        return handle


def _quiet() -> logging.Logger:
    """Return the logger for aiohttp's errors: if a client sends something other than HTTP, that is no error of ours."""
    found = logging.getLogger(f"{__name__}.http")
    found.setLevel(logging.CRITICAL)
    return found
