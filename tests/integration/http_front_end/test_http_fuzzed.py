"""Whatever bytes arrive, no answer is a 5xx, nothing breaks, and the next client is served."""

import asyncio
import json
import re
import socket
from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from integration.http_front_end.http_wire import Wire, api_over, fast_path_of, get, request
from servers.limits import budget, http_limits
from servers.loop_thread import LoopThread

from pannier_sidecar.http_api.asgi import Documentation
from pannier_sidecar.http_api.server import HttpServer
from pannier_sidecar.stores.in_memory import InMemoryStore

BOUNDED = settings(
    max_examples=300,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)


class Background:
    """A server on its own event loop, so that tests without a loop can call it."""

    def __init__(self) -> None:
        self._thread = LoopThread()
        self.complaints: list[object] = []
        self._thread.loop.set_exception_handler(lambda _, context: self.complaints.append(context))
        self._thread.start()
        self.server = HttpServer(http_limits(), budget())
        self.port = self._thread.run(self._listen())

    async def _listen(self) -> int:
        listening = socket.create_server(("127.0.0.1", 0))
        api = await api_over(InMemoryStore({}))
        api.documentation = Documentation(api)
        await self.server.listen([listening], api.answer, fast_path_of(api, http_limits().body))
        return int(listening.getsockname()[1])

    def statuses(self, raw: bytes) -> list[int]:
        """Return the statuses that raw bytes get, and assert that the next client is served."""
        return self._thread.run(self._statuses(raw))

    async def _statuses(self, raw: bytes) -> list[int]:
        wire = Wire(*await asyncio.open_connection("127.0.0.1", self.port))
        await wire.send(raw)
        wire.writer.write_eof()
        got = await wire.rest()
        await wire.close()
        other = Wire(*await asyncio.open_connection("127.0.0.1", self.port))
        assert (await other.ask(get("/v1.0/healthz"))).status == 204
        await other.close()
        assert not self.complaints, self.complaints
        return [int(status) for status in re.findall(rb"HTTP/1\.1 (\d{3}) [A-Z]", got)]

    def close(self) -> None:
        self._thread.run(self.server.stop(5))
        self._thread.close()


@pytest.fixture(scope="module")
def background() -> Iterator[Background]:
    background = Background()
    yield background
    background.close()


# --- any bytes --------------------------------------------------------------------------------------------------------

VALID = (
    request("POST", "/v1.0/state/statestore", b'[{"key":"k","value":{"a":1},"etag":"1"}]', "Content-Type: text/plain"),
    request("POST", "/v1.0/state/statestore/bulk?metadata.a=b", b'{"keys":["k"],"parallelism":2}'),
    request("POST", "/v1.0/state/statestore", None, "Transfer-Encoding: chunked")
    + b"4;a=b\r\n[   \r\n1\r\n]\r\n0\r\nT: 1\r\n\r\n",
    request("DELETE", "/v1.0/state/statestore/k%20?consistency=strong&retryInterval=1", None, "If-Match: 1"),
    request("POST", "/v1.0/state/statestore", b"[]", "Expect: 100-continue", "Connection: Upgrade", "Upgrade: h2c"),
    get("/v1.0-alpha1/state/statestore/keys?prefix=k&limit=1&values=true&cursor=x", "traceparent: 00-1-1-00"),
)


@BOUNDED
@given(raw=st.binary(max_size=300))
def test_any_bytes(background: Background, raw: bytes) -> None:
    assert all(status < 500 for status in background.statuses(raw))


PIECES = (b"\r\n", b"\r\n\r\n", b"0", b":", b"%", b"\x00")


@st.composite
def mutated(draw: st.DrawFn) -> bytes:
    """A few valid requests, with some bytes cut out, put in or changed."""
    raw = bytearray(b"".join(draw(st.lists(st.sampled_from(VALID), min_size=1, max_size=3))))
    for _ in range(draw(st.integers(1, 4))):
        place = draw(st.integers(0, len(raw)))
        end = min(len(raw), place + draw(st.integers(0, 8)))
        raw[place:end] = draw(
            st.binary(max_size=4) | st.sampled_from([b"\r\n", b"\r\n\r\n", b"0", b":", b"%", b"\x00"])
        )
    return bytes(raw)


@BOUNDED
@given(raw=mutated())
def test_mutated_requests(background: Background, raw: bytes) -> None:
    assert all(status < 500 for status in background.statuses(raw))


# --- any JSON ---------------------------------------------------------------------------------------------------------

WORDS = ["key", "value", "etag", "metadata", "options", "concurrency", "consistency", "retryPolicy", "interval", "keys"]
WORDS += ["threshold", "pattern", "operations", "operation", "request", "upsert", "delete", "strong", "first-write"]
WORDS += ["ttlInSeconds", "1", "", "a||b", "Key", "OPERATIONS", "k", "parallelism"]
TEXTS = st.sampled_from(WORDS) | st.text(max_size=8)
SCALARS = st.none() | st.booleans() | st.integers() | st.floats() | TEXTS
ANY_JSON = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXTS, inner, max_size=5),
    max_leaves=12,
)
ITEM = st.fixed_dictionaries(
    {"key": TEXTS},
    optional={
        "value": ANY_JSON,
        "etag": SCALARS,
        "metadata": st.dictionaries(TEXTS, SCALARS, max_size=3) | SCALARS,
        "options": st.fixed_dictionaries(
            {},
            optional={
                "concurrency": TEXTS | SCALARS,
                "consistency": TEXTS | SCALARS,
                "retryPolicy": st.dictionaries(st.sampled_from(WORDS), SCALARS, max_size=3),
            },
        ),
    },
)
OPERATIONS = st.lists(st.fixed_dictionaries({"operation": TEXTS, "request": ITEM}), max_size=4)
BODIES = (
    ANY_JSON
    | st.lists(ITEM, max_size=4)
    | OPERATIONS
    | st.fixed_dictionaries({"operations": OPERATIONS}, optional={"metadata": ANY_JSON})
    | st.fixed_dictionaries({"keys": st.lists(TEXTS) | ANY_JSON}, optional={"parallelism": SCALARS})
)
PATHS = (
    "/v1.0/state/statestore",
    "/v1.0/state",
    "/v1.0/state/statestore/bulk",
    "/v1.0/state/bulk",
    "/v1.0/state/statestore/transaction",
    "/v1.0/actors/cat/tom/state",
    "/v1.0-alpha1/state/statestore/query",
)


@BOUNDED
@given(body=BODIES, path=st.sampled_from(PATHS), is_ascii=st.booleans())
@example(body="\ud800", path="/v1.0/state", is_ascii=True)
@example(body=[{"key": "\ud800"}], path="/v1.0/state", is_ascii=True)
@example(body={"keys": ["\ud800"]}, path="/v1.0/state/bulk", is_ascii=True)
@example(body=[{"key": "k", "metadata": {"ttlInSeconds": "9" * 5000}}], path="/v1.0/state", is_ascii=True)
@example(body=[{"key": "k", "etag": 10**4000}], path="/v1.0/state", is_ascii=True)
@example(body=[{"key": "k", "options": {"retryPolicy": {"interval": 10**30}}}], path="/v1.0/state", is_ascii=True)
def test_any_json_on_any_path(background: Background, body: object, path: str, is_ascii: bool) -> None:
    text = json.dumps(body, ensure_ascii=is_ascii).encode("utf-8", "surrogatepass")
    (status,) = background.statuses(request("POST", path, text))
    assert status < 500


# --- any path, query and header ---------------------------------------------------------------------------------------

SEGMENTS = st.sampled_from(
    ["v1.0", "state", "statestore", "actors", "metadata", "bulk", "keys", "healthz", "v1.0-alpha1"]
)
PARAMETERS = st.sampled_from(
    [
        "consistency",
        "concurrency",
        "retryInterval",
        "retryThreshold",
        "metadata.x",
        "limit",
        "cursor",
        "prefix",
        "values",
    ]
)
PRINTABLE = st.text(st.characters(min_codepoint=0x21, max_codepoint=0x7E), max_size=12)


@BOUNDED
@given(
    method=st.sampled_from(["GET", "DELETE", "POST", "PUT", "HEAD", "OPTIONS"]),
    segments=st.lists(SEGMENTS | PRINTABLE, max_size=7),
    query=st.lists(st.tuples(PARAMETERS, PRINTABLE), max_size=4),
    headers=st.lists(
        st.tuples(
            st.sampled_from(["If-Match", "consistency", "concurrency", "dapr-api-token", "traceparent", "tracestate"]),
            PRINTABLE,
        ),
        max_size=3,
    ),
)
def test_any_path_query_and_header(
    background: Background,
    method: str,
    segments: list[str],
    query: list[tuple[str, str]],
    headers: list[tuple[str, str]],
) -> None:
    target = "/" + "/".join(segments) + "?" + "&".join(f"{name}={value}" for name, value in query)
    lines = [f"{name}: {value}" for name, value in headers]
    body = b"[]" if method in ("POST", "PUT") else None
    (status,) = background.statuses(request(method, target, body, *lines))
    assert status < 500
