"""HTTP calls of the Kubernetes API: JSON in, JSON out, two kinds of error. Decision 23 says why it is ours."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final, Protocol

import aiohttp

from pannier_operator.cluster.errors import ApiError, ApiRefusedError

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable
    from ssl import SSLContext

Json = dict[str, Any]
Query = dict[str, str | int]

JSON: Final = "application/json"
MERGE_PATCH: Final = "application/merge-patch+json"
JSON_PATCH: Final = "application/json-patch+json"
_CALL: Final = aiohttp.ClientTimeout(total=30, connect=5)
_MAX_LINE: Final = 4 * 1024 * 1024
"""Of a watch: one object on a line, which may be as large as etcd takes, 1.5 MiB, and is longer as JSON."""
_ERROR: Final = 400
_UNAUTHORIZED: Final = 401


class Credentials(Protocol):
    """Where the API server is and how to show who one is; kopf's ConnectionInfo is one."""

    @property
    def server(self) -> str: ...
    def as_ssl_context(self) -> SSLContext: ...
    def as_http_headers(self) -> dict[str, str]: ...


class KubernetesClient:
    """One pool of connections. Made where a loop runs."""

    def __init__(self, log_in: Callable[[], Credentials]):
        """`log_in` is called again when the API server knows the credentials no more: a token is renewed every hour."""
        self._log_in = log_in
        credentials = log_in()
        self._headers = credentials.as_http_headers()
        self._session = aiohttp.ClientSession(
            credentials.server,
            connector=aiohttp.TCPConnector(ssl=credentials.as_ssl_context()),
            headers={"User-Agent": "pannier-operator", "Accept": JSON},
            read_bufsize=_MAX_LINE // 2,
            timeout=_CALL,
        )

    async def close(self) -> None:
        await self._session.close()

    async def get(self, path: str, **query: str | int) -> Json:
        """Return what is there. Raises ApiError."""
        return await self._json("GET", path, query)

    async def send(self, method: str, path: str, body: object, *, content_type: str = JSON, **query: str | int) -> Json:
        """Send JSON and return the answer's. Raises ApiError."""
        return await self._json(method, path, query, json.dumps(body).encode(), content_type)

    async def pages(self, path: str, size: int, **query: str | int) -> AsyncGenerator[Json, None]:
        """Yield a list call's answers, each with at most `size` items. Raises ApiError; 410 if it took too long."""
        query["limit"] = size
        while True:
            page = await self.get(path, **query)
            yield page
            token = (page.get("metadata") or {}).get("continue")
            if not token:
                return
            query["continue"] = token

    async def watch(self, path: str, seconds: int, **query: str | int) -> AsyncGenerator[tuple[str, Json], None]:
        """Yield changes, `ADDED` and the like with the object, until the API server ends the watch. Raises ApiError."""
        query |= {"watch": "true", "timeoutSeconds": seconds}
        limits = aiohttp.ClientTimeout(total=2 * seconds, connect=5)
        try:
            async with await self._answer("GET", path, query, limits=limits) as answer:
                async for line in answer.content:
                    change = json.loads(line)
                    if change["type"] == "ERROR":
                        raise _refusal(int(change["object"].get("code") or 0), json.dumps(change["object"]).encode())
                    yield change["type"], change["object"]
        except (aiohttp.ClientError, OSError, ValueError) as error:
            raise ApiError(type(error).__name__) from error

    async def _json(
        self, method: str, path: str, query: Query, body: bytes | None = None, content_type: str = JSON
    ) -> Json:
        try:
            async with await self._answer(method, path, query, body, content_type) as answer:
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
        limits: aiohttp.ClientTimeout = _CALL,
    ) -> aiohttp.ClientResponse:
        """Return an answer that says yes, its body still to be read. Raises ApiRefusedError, or aiohttp's errors."""
        for is_last in (False, True):
            headers = {**self._headers, **({} if body is None else {"Content-Type": content_type})}
            answer = await self._session.request(method, path, params=query, data=body, headers=headers, timeout=limits)
            if answer.status < _ERROR:
                return answer
            async with answer:
                said = await answer.read()
            if answer.status != _UNAUTHORIZED or is_last:
                break
            self._headers = self._log_in().as_http_headers()
        raise _refusal(answer.status, said)


def _refusal(status: int, body: bytes) -> ApiRefusedError:
    """The body is a Status of Kubernetes, or what a proxy has to say."""
    try:
        said = json.loads(body)
        return ApiRefusedError(status, str(said.get("message") or ""), str(said.get("reason") or ""))
    except (ValueError, AttributeError):
        return ApiRefusedError(status, body.decode(errors="replace"))
