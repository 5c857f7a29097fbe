"""The client that blocks."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, Self, TypeVar

import httpx

from .calls import (
    Calls,
    Change,
    Delete,
    Flow,
    Item,
    LostError,
    NotSentError,
    Reply,
    Request,
    Upsert,
    base_url,
    token_headers,
)
from .events import Event, WatchStream
from .held import Lock
from .over_httpx import failure_of, reply_of

if TYPE_CHECKING:
    from collections.abc import Generator, Iterable

T = TypeVar("T")


class Client:
    """The state of one app in one store, through its sidecar. Threads may share a client.

    Every method raises PannierError.
    """

    def __init__(
        self,
        store: str | None = None,
        *,
        url: str | None = None,
        token: str | None = None,
        timeout: float = 60.0,
        retries: int = 2,
        transport: httpx.BaseTransport | None = None,
    ):
        """Connect to nothing yet. `store` is the component's name; None: the default store.

        `url` and `token` are those of the sidecar; without them those in the variables of Dapr's SDKs:
        DAPR_HTTP_ENDPOINT, DAPR_HTTP_PORT, DAPR_API_TOKEN. `timeout`: seconds for each request. `retries`: how often a
        request is made again, if it may be. `transport`: for example `httpx.HTTPTransport(uds="/run/dapr.sock")`.
        """
        self._calls = Calls(store, retries)
        self._retries = retries
        self._http = httpx.Client(
            base_url=base_url(url), headers=token_headers(token), timeout=timeout, transport=transport, trust_env=False
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """End the connections to the sidecar."""
        self._http.close()

    def get(self, key: str, *, strong: bool = False) -> Item | None:
        """Return what is stored, or None."""
        return self.run(self._calls.get(key, strong=strong))

    def get_many(self, keys: Iterable[str]) -> dict[str, Item]:
        """Return what is stored, by key; keys without a value are left out."""
        return self.run(self._calls.get_many(keys))

    def save(
        self,
        key: str,
        value: Any,
        *,
        etag: str | None = None,
        first_write: bool = False,
        ttl: int | None = None,
        strong: bool = False,
    ) -> None:
        """Write a value of JSON. Raises ConflictError if the value has another ETag, or with `first_write` and no ETag
        if there is a value. `ttl`: seconds until it expires; -1: never; None: as the component says.
        """
        self.run(self._calls.save(Upsert(key, value, etag, first_write, ttl), strong=strong))

    def delete(self, key: str, *, etag: str | None = None) -> None:
        """Delete a key, if there is one. Raises ConflictError if the value has another ETag."""
        self.run(self._calls.delete(Delete(key, etag)))

    def transact(self, *operations: Upsert | Delete) -> None:
        """Carry out all operations or none. Raises ConflictError if an ETag is not the current one."""
        self.run(self._calls.transact(operations))

    def increment(
        self,
        key: str,
        by: int = 1,
        *,
        initial: int | None = None,
        floor: int | None = None,
        ceiling: int | None = None,
        ttl: int | None = None,
        etag: str | None = None,
        idempotency_key: str | None = None,
    ) -> int:
        """Add to a number and return the new one. Raises RefusedError beyond `floor` and `ceiling`.

        With an `idempotency_key`, a new text for each new call, the call is carried out once however often it is made,
        and is repeated if its answer is lost. This needs a store with transactions and TTL.
        """
        change = Change(key, ttl, etag, idempotency_key)
        return self.run(self._calls.increment(change, by=by, initial=initial, floor=floor, ceiling=ceiling))

    def append(
        self,
        key: str,
        *values: Any,
        max_length: int | None = None,
        ttl: int | None = None,
        etag: str | None = None,
        idempotency_key: str | None = None,
    ) -> int:
        """Append to a list, of which the last `max_length` elements stay, and return its length. `idempotency_key`: as
        for `increment`.
        """
        return self.run(self._calls.append(Change(key, ttl, etag, idempotency_key), values, max_length))

    def get_and_set(
        self,
        key: str,
        value: Any,
        *,
        default: Any = None,
        ttl: int | None = None,
        etag: str | None = None,
        idempotency_key: str | None = None,
    ) -> Any:
        """Write a value and return the one before, or `default`. `idempotency_key`: as for `increment`."""
        return self.run(self._calls.get_and_set(Change(key, ttl, etag, idempotency_key), value, default))

    def touch(self, key: str, ttl: int, *, etag: str | None = None) -> bool:
        """Have a value expire `ttl` seconds from now (-1: never); False: there is none."""
        return self.run(self._calls.touch(Change(key, ttl, etag)))

    def exists(self, key: str) -> bool:
        """Return whether there is a value."""
        return self.run(self._calls.exists(key))

    def watch(self, prefix: str = "", *, values: bool = False, since: str = "") -> Generator[Event, None, None]:
        """Yield each key that begins with `prefix` as it is, and then its changes, for ever.

        A lost connection is made again, and the watch goes on where it was. `since` is the id of an event of an earlier
        watch. docs/watching-state.md says what the events promise.
        """
        stream = WatchStream(self._calls.watch(prefix, values), since, self._retries)
        while True:
            try:
                with self._http.stream(**stream.arguments()) as answer:
                    if not stream.is_accepted(answer.status_code, answer.headers):
                        answer.read()
                        stream.refuse(reply_of(answer))
                    else:
                        for part in answer.iter_bytes():
                            yield from stream.feed(part)
            except httpx.HTTPError as error:
                stream.lose(failure_of(error))
            time.sleep(stream.pause())

    def lock(self, key: str, *, ttl: int = 30, wait: float = 0.0) -> Lock:
        """Return a lock that is a leased key: see Lock."""
        return Lock(self, self._calls, key, ttl, wait)

    def run(self, flow: Flow[T]) -> T:
        """Carry out a call."""
        try:
            asked = next(flow)
            while True:
                if isinstance(asked, float):
                    time.sleep(asked)
                    asked = next(flow)
                    continue
                try:
                    reply = self._exchange(asked)
                except (NotSentError, LostError) as error:
                    asked = flow.throw(error)
                else:
                    asked = flow.send(reply)
        except StopIteration as end:
            return end.value  # type: ignore[no-any-return]

    def _exchange(self, request: Request) -> Reply:
        try:
            answer = self._http.request(
                request.method, request.path, params=request.query, content=request.body, headers=request.headers
            )
        except httpx.HTTPError as error:
            raise failure_of(error) from error
        return reply_of(answer)
