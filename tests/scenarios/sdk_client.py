"""Dapr's Python SDK, its unmodified sync and asyncio clients; calls that they cannot make use grpcio."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from dapr.aio.clients import DaprClient as AioDaprClient
from dapr.clients import DaprClient
from dapr.clients.exceptions import DaprGrpcError, DaprInternalError
from dapr.clients.grpc._request import TransactionalStateOperation, TransactionOperationType
from dapr.clients.grpc._state import Concurrency, Consistency, StateItem, StateOptions
from dapr.conf import settings
from scenarios.grpc_client import DaprGrpcClient, refused
from scenarios.state_client import Entry, Found, Item, Operation, Retry
from servers.loop_thread import LoopThread

CONCURRENCY = {
    None: Concurrency.unspecified,
    "first-write": Concurrency.first_write,
    "last-write": Concurrency.last_write,
}
CONSISTENCY = {None: Consistency.unspecified, "eventual": Consistency.eventual, "strong": Consistency.strong}


class SdkClient(DaprGrpcClient):
    """A StateApi over an SDK."""

    def __init__(self, port: int, ask: Callable[..., Any]):
        """`ask`: call a method of the SDK's client."""
        super().__init__(port)
        self._sdk = ask

    def _ask(self, name: str, *arguments: Any, **more: Any) -> Any:
        try:
            return self._sdk(name, *arguments, **more)
        except (DaprGrpcError, DaprInternalError) as error:  # the asyncio client raises either
            raise refused(error.__cause__) from error

    def save(self, store: str | None, *items: Item) -> None:
        if not store or not items or any(item.value is None for item in items):
            super().save(store, *items)
        elif len(items) == 1:
            (item,) = items
            self._ask("save_state", store, item.key, item.value, item.etag, options(item), dict(item.metadata))
        elif any(item.concurrency or item.consistency for item in items):  # the SDK fails on options of several items
            super().save(store, *items)
        else:
            states = [StateItem(item.key, item.value or b"", item.etag, None, dict(item.metadata)) for item in items]
            self._ask("save_bulk_state", store, states)

    def get(
        self, store: str | None, key: str, *, consistency: str | None = None, metadata: Mapping[str, str] | None = None
    ) -> Found | None:
        plain = super().get(store, key, consistency=consistency, metadata=metadata)
        if not store or consistency:
            return plain
        answer = self._ask("get_state", store, key, dict(metadata or {}))
        return Found(answer.data, answer.etag, plain.expires_at if plain else None) if answer.etag else None

    def delete(
        self,
        store: str | None,
        key: str,
        *,
        etag: str | None = None,
        concurrency: str | None = None,
        consistency: str | None = None,
        retry: Retry | None = None,
    ) -> None:
        assert retry is None, "gRPC has no retry policy"
        if not store:
            super().delete(store, key, etag=etag, concurrency=concurrency, consistency=consistency)
            return
        self._ask("delete_state", store, key, etag, options(Item(key, None, etag, concurrency, consistency)))

    def bulk_get(self, store: str | None, keys: Sequence[str]) -> list[Entry]:
        plain = super().bulk_get(store, keys)
        if not store:
            return plain
        items = self._ask("get_bulk_state", store, keys, parallelism=3).items
        assert [(item.key, item.error or None) for item in items] == [(entry.key, entry.error) for entry in plain]
        return [Entry(entry.key, found(item, entry), entry.error) for item, entry in zip(items, plain, strict=True)]

    def transact(self, store: str | None, *operations: Operation, metadata: Mapping[str, str] | None = None) -> None:
        if not store or not all(is_sayable(one) for one in operations):
            super().transact(store, *operations, metadata=metadata)
            return
        steps = [
            TransactionalStateOperation(
                one.item.key,
                one.item.value,
                one.item.etag,
                TransactionOperationType(one.name),
                dict(one.item.metadata),
            )
            for one in operations
        ]
        self._ask("execute_state_transaction", store, steps, dict(metadata or {}))


def options(item: Item) -> StateOptions | None:
    if item.concurrency is None and item.consistency is None:
        return None
    return StateOptions(CONSISTENCY[item.consistency], CONCURRENCY[item.concurrency])


def found(item: Any, entry: Entry) -> Found | None:
    if not item.etag:
        return None
    return Found(item.data, item.etag, entry.found.expires_at if entry.found else None)


def is_sayable(one: Operation) -> bool:
    """Whether the SDK can express a step of a transaction."""
    item = one.item
    has_value = item.value is not None or one.name == "delete"
    return one.name in ("upsert", "delete") and has_value and not (item.concurrency or item.consistency)


class SyncSdkClient(SdkClient):
    """Over `dapr.clients.DaprClient`."""

    def __init__(self, port: int, http_port: int):
        """It asks for health over HTTP."""
        settings.DAPR_HTTP_PORT = http_port  # type: ignore[attr-defined]
        self._client = DaprClient(f"127.0.0.1:{port}")
        super().__init__(port, lambda name, *rest, **more: getattr(self._client, name)(*rest, **more))

    def close(self) -> None:
        self._client.close()
        super().close()


class AioSdkClient(SdkClient):
    """Over `dapr.aio.clients.DaprClient`, in its own event loop."""

    def __init__(self, port: int, http_port: int):
        """It asks for health over HTTP."""
        settings.DAPR_HTTP_PORT = http_port  # type: ignore[attr-defined]
        self._thread = LoopThread()
        self._thread.start()
        self._client = self._thread.run(self._make(f"127.0.0.1:{port}"))
        super().__init__(port, self._call)

    async def _make(self, address: str) -> AioDaprClient:
        return AioDaprClient(address)

    def _call(self, name: str, *rest: Any, **more: Any) -> Any:
        return self._thread.run(getattr(self._client, name)(*rest, **more))

    def close(self) -> None:
        self._thread.run(self._client.close())
        self._thread.close()
        super().close()
