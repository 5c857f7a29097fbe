"""The same requests through an HTTP connection and through the ASGI app get the same bytes."""

import asyncio
import socket
from collections.abc import AsyncIterator
from dataclasses import dataclass

import httpx
import pytest
from servers.limits import budget, http_limits, state_limits

from pannier_sidecar.http_api.calls import HttpApi
from pannier_sidecar.http_api.profiles import PROFILES
from pannier_sidecar.http_api.routes import build
from pannier_sidecar.http_api.server import HttpServer
from pannier_sidecar.runtime import Runtime
from pannier_sidecar.state.directory import Directory, ServedStore
from pannier_sidecar.state.keys import KeyScheme
from pannier_sidecar.state.service import StateService
from pannier_sidecar.stores.in_memory import InMemoryStore

ITEM = '[{"key": "planet", "value": {"name" : "Tatooine", "suns": 2.0}, "metadata": {"ttlInSeconds": "1000"}}]'
OPERATIONS = '[{"operation": "upsert", "request": {"key": "hp", "value": 10}}]'
REQUESTS = (
    ("POST", "/v1.0/state/statestore", ITEM),
    ("PUT", "/v1.0/state/statestore?consistency=strong", ITEM),
    ("POST", "/v1.0/state/statestore/", ITEM),
    ("POST", "/v1.0/state", ITEM),
    ("GET", "/v1.0/state/statestore/planet", None),
    ("GET", "/v1.0/state/planet?metadata.partitionKey=a%20b", None),
    ("GET", "/v1.0/state/statestore/none", None),
    ("POST", "/v1.0/state/statestore", '[{"key": "a/b ü+", "value": "ü"}]'),
    ("GET", "/v1.0/state/statestore/a%2Fb%20%C3%BC+", None),
    ("GET", "/v1.0/state/statestore/a/b", None),
    ("GET", "/v1.0/state/statestore/%zz", None),
    ("GET", "/v1.0/state/statestore/%ff", None),
    ("GET", "/v1.0/state/statestore/", None),
    ("GET", "/v1.0/state//planet", None),
    ("GET", "/v1.0/state/statestore/a%7C%7Cb", None),
    ("GET", "/v1.0/state/nowhere/planet", None),
    ("POST", "/v1.0/state/statestore", "[{]"),
    ("POST", "/v1.0/state/statestore", '[{"value": 1}]'),
    ("POST", "/v1.0/state/statestore", '[{"key": "planet", "value": 1, "options": {"concurrency": "first-write"}}]'),
    ("POST", "/v1.0/state/statestore/bulk", '{"keys": ["planet", "none", "hp"]}'),
    ("POST", "/v1.0/state/bulk", '{"keys": ["planet"]}'),
    ("POST", "/v1.0/state/statestore/transaction", f'{{"operations": {OPERATIONS}}}'),
    ("POST", "/v1.0/state/statestore/transaction", '{"operations": [{"operation": "x", "request": {"key": "k"}}]}'),
    ("GET", "/v1.0-alpha1/state/statestore/keys?prefix=p&values=true", None),
    ("GET", "/v1.0-alpha1/state/statestore/keys?limit=0", None),
    ("POST", "/v1.0-alpha1/state/statestore/bulk-delete", '[{"key": "none"}, {"key": "planet", "etag": "x"}]'),
    ("POST", "/v1.0-alpha1/state/statestore/query", "{}"),
    ("POST", "/v1.0-alpha1/state/statestore/touch", '{"key": "planet", "metadata": {"ttlInSeconds": 100}}'),
    ("POST", "/v1.0-alpha1/state/statestore/increment", '{"key": "planet"}'),
    ("GET", "/v1.0-alpha1/state/statestore/exists?key=planet", None),
    (
        "POST",
        "/v1.0-alpha1/state/statestore/batch",
        '{"operations": [{"operation": "delete", "request": {"key": "k"}}]}',
    ),
    ("POST", "/v1.0/actors/cat/tom/state", OPERATIONS),
    ("GET", "/v1.0/actors/cat/tom/state/hp", None),
    ("GET", "/v1.0/actors/dapr.internal.x/tom/state/hp", None),
    ("DELETE", "/v1.0-alpha1/actors/dog/rex/state?limit=1", None),
    ("DELETE", "/v1.0/state/statestore/planet?concurrency=last-write", None),
    ("DELETE", "/v1.0/state/hp", None),
    ("GET", "/v1.0/metadata", None),
    ("PUT", "/v1.0/metadata/colour", "blue"),
    ("GET", "/v1.0/healthz", None),
    ("GET", "/v1.0/healthz?verbose", None),
    ("GET", "/v1.0/healthz?appid=other", None),
    ("GET", "/v1.0/healthz/outbound", None),
    ("PATCH", "/v1.0/state/statestore/planet", None),
    ("HEAD", "/v1.0/healthz", None),
    ("GET", "/nowhere", None),
    ("GET", "/", None),
)


Seen = tuple[int, list[tuple[str, str]], bytes]


@dataclass
class FrontEnds:
    """One API, reached both ways."""

    port: int
    client: httpx.AsyncClient

    async def through_connection(self, method: str, target: str, body: str | None) -> Seen:
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        content = (body or "").encode()
        head = f"{method} {target} HTTP/1.1\r\nhost: test\r\nif-match: 1\r\ncontent-length: {len(content)}\r\n"
        writer.write(f"{head}connection: close\r\n\r\n".encode() + content)
        answer = await reader.read()
        writer.close()
        await writer.wait_closed()
        start, _, rest = answer.partition(b"\r\n")
        lines, _, payload = rest.partition(b"\r\n\r\n")
        pairs = [line.split(": ", 1) for line in lines.decode("latin-1").split("\r\n")]
        headers = sorted((name, value) for name, value in pairs if name not in ("date", "connection"))
        return int(start.split()[1]), headers, payload

    async def through_asgi(self, method: str, target: str, body: str | None) -> Seen:
        url = httpx.URL("http://test").copy_with(raw_path=target.encode())
        content = (body or "").encode()
        answer = await self.client.request(method, url, content=content, headers={"if-match": "1"})
        payload = b"" if method == "HEAD" else answer.content
        return answer.status_code, sorted(answer.headers.items()), payload


async def one_api(profile: str) -> HttpApi:
    """An API with its own store."""
    store = InMemoryStore({})
    await store.open()
    keys = KeyScheme(store="statestore", app_id="app")
    served = ServedStore("statestore", "state.in-memory", "v1", store, keys, holds_actor_state=True)

    class Nobody:
        def call_ended(self, store: str, operation: str, succeeded: bool, seconds: float) -> None: ...

    runtime = Runtime("app", "1.0.0", is_loaded=True)
    return HttpApi(StateService(Directory("app", [served]), Nobody(), state_limits()), runtime, PROFILES[profile])


@pytest.fixture(params=["spec", "dapr"])
async def front_ends(request: pytest.FixtureRequest) -> AsyncIterator[FrontEnds]:
    api = await one_api(request.param)
    server = HttpServer(http_limits(), budget())
    listening = socket.create_server(("127.0.0.1", 0))
    port = listening.getsockname()[1]
    await server.listen([listening], api.answer)
    async with httpx.AsyncClient(transport=httpx.ASGITransport(build(api))) as client:
        yield FrontEnds(port, client)
    await server.stop(5)


async def test_both_ways_answer_with_the_same_bytes(front_ends: FrontEnds) -> None:
    statuses = set()
    for method, target, body in REQUESTS:
        by_connection = await front_ends.through_connection(method, target, body)
        statuses.add(by_connection[0])
        if method in ("GET", "HEAD", "PATCH") or by_connection[0] >= 400 or not target.startswith("/v1.0/state/"):
            assert by_connection == await front_ends.through_asgi(method, target, body), (method, target)
        else:  # a write changes what the second one finds, but not how it is answered
            assert by_connection[:2] == (await front_ends.through_asgi(method, target, body))[:2], (method, target)
    assert {200, 204, 400, 404, 409} <= statuses


async def test_a_delete_with_a_stale_etag_is_refused_too(front_ends: FrontEnds) -> None:
    await front_ends.through_connection("POST", "/v1.0/state/statestore", ITEM)
    by_connection = await front_ends.through_connection("DELETE", "/v1.0/state/statestore/planet", None)
    assert by_connection[0] == 409
    assert by_connection == await front_ends.through_asgi("DELETE", "/v1.0/state/statestore/planet", None)
