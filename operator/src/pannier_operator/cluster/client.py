"""An HTTP client of the Kubernetes API: JSON in, JSON out, two kinds of error. Decision 23 says why it is our own."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final, Protocol

import aiohttp

from pannier_operator.cluster.errors import ApiError, ApiRefusedError

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable
    from ssl import SSLContext

Json = Any
"""What the API server sent. `cluster/api.py` gives it the type of what was requested."""
Query = dict[str, str | int]

JSON: Final = "application/json"
MERGE_PATCH: Final = "application/merge-patch+json"
JSON_PATCH: Final = "application/json-patch+json"
_CALL: Final = aiohttp.ClientTimeout(total=30, connect=5)
_MAX_LINE: Final = 4 * 1024 * 1024
"""Bytes of one line of a watch, which holds one object. etcd takes objects of up to 1.5 MiB; as JSON they are longer.
"""
_ERROR: Final = 400
_UNAUTHORIZED: Final = 401


class Credentials(Protocol):
    """The API server's address and the client's credentials; kopf's ConnectionInfo is one."""

    @property
    def server(self) -> str: ...
    def as_ssl_context(self) -> SSLContext: ...
    def as_http_headers(self) -> dict[str, str]: ...


class KubernetesClient:
    """One pool of connections. Create it while an event loop runs."""

    def __init__(self, log_in: Callable[[], Credentials]):
        """`log_in` is called again after a 401: a service account's token is renewed about every hour."""
        self._log_in = log_in
        credentials = log_in()
        self._headers = credentials.as_http_headers()
        self._session = aiohttp.ClientSession(
            credentials.server,
            connector=aiohttp.TCPConnector(ssl=credentials.as_ssl_context()),
            # The API server is near: compressing a list would take longer than sending it uncompressed.
            headers={"User-Agent": "pannier-operator", "Accept-Encoding": "identity"},
            read_bufsize=_MAX_LINE // 2,
            timeout=_CALL,
        )

    async def close(self) -> None:
        await self._session.close()

    async def get(self, path: str, *, accept: str = JSON, **query: str | int) -> Json:
        """Return the object at a path, in a media type that is JSON. Raises ApiError."""
        return await self._json("GET", path, query, accept=accept)

    async def send(self, method: str, path: str, body: object, *, content_type: str = JSON, **query: str | int) -> Json:
        """Send `body` as JSON and return the answer. Raises ApiError."""
        return await self._json(method, path, query, json.dumps(body).encode(), content_type)

    async def pages(self, path: str, size: int, **query: str | int) -> AsyncGenerator[Json, None]:
        """Yield the pages of a list, of at most `size` items each.

        Raises ApiError; ApiRefusedError with status 410 if the list took longer than the API server keeps its snapshot.
        """
        query["limit"] = size
        while True:
            page = await self._json("GET", path, query)
            yield page
            token = (page.get("metadata") or {}).get("continue")
            if not token:
                return
            query["continue"] = token

    async def watch(self, path: str, seconds: int, **query: str | int) -> AsyncGenerator[tuple[str, Json], None]:
        """Yield a watch's events, such as `ADDED`, each with its object, until the API server ends the watch.

        Raises ApiError.
        """
        query |= {"watch": "true", "timeoutSeconds": seconds}
        limits = aiohttp.ClientTimeout(total=2 * seconds, connect=5)
        try:
            async with await self._answer("GET", path, query, limits=limits) as answer:
                async for line in answer.content:
                    change = json.loads(line)
                    if change["type"] == "ERROR":
                        status = change["object"]
                        raise _refusal_of(int(status.get("code") or 0), status)
                    yield change["type"], change["object"]
        except (aiohttp.ClientError, OSError, ValueError) as error:
            raise ApiError(type(error).__name__) from error

    async def _json(
        self,
        method: str,
        path: str,
        query: Query,
        body: bytes | None = None,
        content_type: str = JSON,
        accept: str = JSON,
    ) -> Json:
        try:
            async with await self._answer(method, path, query, body, content_type, accept) as answer:
                found: Json = json.loads(await answer.read())
        except (aiohttp.ClientError, OSError, ValueError) as error:
            raise ApiError(type(error).__name__) from error
        return found

    async def _answer(
        self,
        method: str,
        path: str,
        query: Query,
        body: bytes | None = None,
        content_type: str = JSON,
        accept: str = JSON,
        limits: aiohttp.ClientTimeout = _CALL,
    ) -> aiohttp.ClientResponse:
        """Return a successful answer whose body is still unread. Raises ApiRefusedError, or aiohttp's errors."""
        for is_last in (False, True):
            headers = {**self._headers, "Accept": accept, **({} if body is None else {"Content-Type": content_type})}
            answer = await self._session.request(method, path, params=query, data=body, headers=headers, timeout=limits)
            if answer.status < _ERROR:
                return answer
            async with answer:
                content = await answer.read()
            if answer.status != _UNAUTHORIZED or is_last:
                break
            self._headers = self._log_in().as_http_headers()
        raise _refusal(answer.status, content)


def _refusal_of(code: int, status: Json) -> ApiRefusedError:
    """Return the error that a Kubernetes Status describes; `code` is HTTP's."""
    return ApiRefusedError(code, str(status.get("message") or ""), str(status.get("reason") or ""))


def _refusal(status: int, body: bytes) -> ApiRefusedError:
    """Return the error for a refused call. The body is a Kubernetes Status, or a proxy's error page."""
    try:
        return _refusal_of(status, json.loads(body))
    except (ValueError, AttributeError):
        return ApiRefusedError(status, body.decode(errors="replace"))
