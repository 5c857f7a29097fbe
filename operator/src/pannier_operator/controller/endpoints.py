"""The operator's HTTP endpoints for kubelets and Prometheus: /livez and /readyz on one port, /metrics on another."""

from __future__ import annotations

from typing import TYPE_CHECKING

from aiohttp import web

from pannier_operator.metrics import CONTENT_TYPE

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from pannier_operator.metrics import Metrics


class Endpoints:
    """Two small servers."""

    def __init__(
        self,
        metrics: Metrics,
        liveness: Callable[[], Awaitable[list[str]]],
        readiness: Callable[[], Awaitable[list[str]]],
        set_gauges: Callable[[], None],
    ):
        """`liveness` and `readiness` return the list of problems; an empty list means healthy.

        `set_gauges` is called before each scrape.
        """
        self._metrics = metrics
        self._liveness = liveness
        self._readiness = readiness
        self._set_gauges = set_gauges
        self._runners: list[web.AppRunner] = []

    async def start(self, health_port: int, metrics_port: int) -> None:
        """Start both servers. Raises OSError when a port is taken."""
        await self._serve(health_port, {"/livez": self._livez, "/readyz": self._readyz})
        await self._serve(metrics_port, {"/metrics": self._text})

    async def stop(self) -> None:
        for runner in self._runners:
            await runner.cleanup()

    async def _serve(self, port: int, routes: dict[str, Callable[[web.Request], Awaitable[web.Response]]]) -> None:
        application = web.Application()
        for path, handler in routes.items():
            application.router.add_get(path, handler)
        runner = web.AppRunner(application, handle_signals=False, access_log=None)
        await runner.setup()
        self._runners.append(runner)
        await web.TCPSite(runner, None, port).start()

    async def _livez(self, _: web.Request) -> web.Response:
        return _answer(await self._liveness())

    async def _readyz(self, _: web.Request) -> web.Response:
        return _answer(await self._readiness())

    async def _text(self, _: web.Request) -> web.Response:
        self._set_gauges()
        return web.Response(body=self._metrics.text().encode(), headers={"Content-Type": CONTENT_TYPE})


def _answer(problems: list[str]) -> web.Response:
    return web.Response(status=503 if problems else 200, text="\n".join(problems or ["ok"]) + "\n")
