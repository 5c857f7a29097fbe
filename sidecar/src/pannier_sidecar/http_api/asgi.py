"""The bridge from a call to an ASGI app: it imports FastAPI when the first request for a page needs it."""

from __future__ import annotations

import asyncio
from importlib import import_module
from typing import TYPE_CHECKING, Any
from urllib import parse

from .messages import Answer

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from .calls import HttpApi
    from .messages import Call

    App = Callable[[dict[str, Any], Any, Any], Awaitable[None]]

PAGES = frozenset({b"/openapi.json", b"/docs"})
SET_BY_CONNECTION = frozenset({b"content-length", b"content-type", b"date", b"connection"})


class Documentation:
    """Answers `/openapi.json` and `/docs` with FastAPI, which is imported on first use, in a thread."""

    def __init__(self, api: HttpApi):
        self._api = api
        self._app: App | None = None
        self._made: dict[bytes, Answer] = {}
        """The pages by their paths, kept because they never change."""

    async def __call__(self, call: Call) -> Answer:
        made = self._made.get(call.path)
        if made is not None:
            return made
        if self._app is None:
            routes = await asyncio.to_thread(import_module, "pannier_sidecar.http_api.routes")
            self._app = routes.build(self._api)
        answer = await through(self._app, call)
        if answer.status == 200 and call.path in PAGES:
            self._made[call.path] = answer
        return answer


async def through(app: App, call: Call) -> Answer:
    """Return the answer of an ASGI app to a call."""
    scope = {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.3"},
        "http_version": "1.1",
        "method": call.method.decode("latin-1"),
        "scheme": "http",
        "path": parse.unquote(call.path.decode("latin-1")),
        "raw_path": call.path,
        "query_string": call.query_string,
        "root_path": "",
        "headers": list(call.headers.items()),
    }
    start: dict[str, Any] = {}
    parts: list[bytes] = []

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": call.body, "more_body": False}

    async def send(message: dict[str, Any]) -> None:
        if message["type"] == "http.response.start":
            start.update(message)
        else:
            parts.append(message.get("body", b""))

    await app(scope, receive, send)
    headers = {name.lower(): value for name, value in start["headers"]}
    kept = tuple((name, value) for name, value in headers.items() if name not in SET_BY_CONNECTION)
    return Answer(start["status"], b"".join(parts), headers.get(b"content-type"), kept)
