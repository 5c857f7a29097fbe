"""A pluggable component whose answers a test decides, call by call: bytes on a real Unix socket, by grpcio's server
in threads of its own.
"""

from __future__ import annotations

import threading
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any, NoReturn

import grpc
from servers.opened_store import opened

from pannier_sidecar.protobuf import decode, encode
from pannier_sidecar.stores.pluggable import messages
from pannier_sidecar.stores.pluggable.messages import MAX_SIZE, STATE, TRANSACTIONS
from pannier_sidecar.stores.pluggable.settings import chosen
from pannier_sidecar.stores.pluggable.store import PluggableStore

Answer = bytes | Exception | Callable[[bytes, Any], bytes]
V1 = "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo"
V1ALPHA = "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo"
GET, SET, DELETE, BULK_GET = (f"/{STATE}/{name}" for name in ("Get", "Set", "Delete", "BulkGet"))
PING, INIT, FEATURES = (f"/{STATE}/{name}" for name in ("Ping", "Init", "Features"))
TRANSACT, MULTI_MAX_SIZE = f"/{TRANSACTIONS}/Transact", f"/{MAX_SIZE}/MultiMaxSize"


class Refusal(Exception):
    """The component's error: a code, a text, and details."""

    def __init__(self, code: grpc.StatusCode, text: str = "a secret of the component", *details: messages.AnyMessage):
        super().__init__(text)
        self.code, self.text = code, text
        self._details = encode(messages.Status(list(details)))

    def end(self, context: Any) -> NoReturn:
        """End a call with this error."""
        context.set_trailing_metadata((("grpc-status-details-bin", self._details),))
        context.abort(self.code, self.text)
        raise AssertionError


def of_etag(code: grpc.StatusCode) -> Refusal:
    violation = encode(messages.BadRequest([messages.FieldViolation("etag")]))
    return Refusal(code, "x", messages.AnyMessage("type.googleapis.com/google.rpc.BadRequest", violation))


def of_kit(code: grpc.StatusCode, text: str, **fields: str) -> Refusal:
    info = encode(messages.ErrorInfo({"kit_error": "true", **fields}))
    return Refusal(code, text, messages.AnyMessage("type.googleapis.com/google.rpc.ErrorInfo", info))


def listing(*services: str) -> bytes:
    listed = messages.ListServiceResponse([messages.ServiceResponse(name) for name in services])
    return encode(messages.ServerReflectionResponse(listed))


def features(*names: str) -> bytes:
    return encode(messages.FeaturesResponse(list(names)))


class ScriptedComponent:
    """Answers each path as `answers` says, and anything else with UNIMPLEMENTED. It notes what it was asked."""

    def __init__(self, folder: Path, answers: Mapping[str, Any] | None = None):
        self.folder = folder
        self.answers: dict[str, Answer] = {
            V1: listing(STATE, TRANSACTIONS, MAX_SIZE),
            INIT: b"",
            FEATURES: features("ETAG", "TRANSACTIONAL", "TTL"),
            PING: b"",
            **(answers or {}),
        }
        self.asked: list[tuple[str, bytes, dict[str, Any]]] = []
        self._server: grpc.Server | None = None
        self._released = threading.Event()

    @property
    def paths(self) -> list[str]:
        return [path for path, _, _ in self.asked]

    def request(self, path: str, kind: Any) -> Any:
        """Return the last request of a path."""
        return decode(kind, next(body for asked, body, _ in reversed(self.asked) if asked == path))

    def start(self) -> None:
        self.folder.mkdir(exist_ok=True)
        (self.folder / "scripted.sock").unlink(missing_ok=True)
        self._released.clear()
        self._pool = ThreadPoolExecutor(8)
        self._server = grpc.server(self._pool, (_Handler(self),), options=[("grpc.max_send_message_length", -1)])
        self._server.add_insecure_port(f"unix:{self.folder}/scripted.sock")
        self._server.start()

    def stop(self) -> None:
        """Cut every connection."""
        if self._server is None:
            return
        ended = self._server.stop(None)
        self._released.set()  # only now, so that nothing is answered any more
        ended.wait()
        self._server = None
        self._pool.shutdown()

    def be_silent(self, body: bytes, context: Any) -> bytes:
        """Never answer while the component runs."""
        self._released.wait()
        return b""

    def store(self, timeout: float = 30.0, **more: Any) -> PluggableStore:
        """Return a store over it, not yet open."""
        return PluggableStore(self.settings(timeout, **more))

    def settings(self, timeout: float = 30.0, **more: Any) -> Mapping[str, Any]:
        return {**more, **chosen("state.scripted", "statestore", self.folder, timeout)}


class _Handler(grpc.GenericRpcHandler):
    def __init__(self, component: ScriptedComponent):
        self._component = component

    def service(self, details: Any) -> Any:
        path = details.method
        if path not in self._component.answers:
            return None

        def answer(body: bytes, context: Any) -> bytes:
            self._component.asked.append((path, body, dict(context.invocation_metadata())))
            said = self._component.answers[path]
            if isinstance(said, Refusal):
                said.end(context)
            if isinstance(said, bytes):
                return said
            assert callable(said)
            return said(body, context)

        return grpc.unary_unary_rpc_method_handler(answer)


@contextmanager
def scripted(folder: Path, answers: Mapping[str, Any] | None = None) -> Iterator[ScriptedComponent]:
    component = ScriptedComponent(folder / "sockets", answers)
    component.start()
    try:
        yield component
    finally:
        component.stop()


@asynccontextmanager
async def scripted_store(
    folder: Path, answers: Mapping[str, Any] | None = None, timeout: float = 30.0, **settings: Any
) -> AsyncIterator[tuple[ScriptedComponent, PluggableStore]]:
    """Run a component and open a store over it, which must leave nothing behind."""
    with scripted(folder, answers) as component:
        async with opened(component.store(timeout, **settings)) as store:
            yield component, store
