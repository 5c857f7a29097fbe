"""The calls of the HTTP API whose bodies are values as they are, and values that are read and written part by part.
Imported with the first such call.

A value that is kept in parts is sent as its parts are read. Ranges and conditions are those of RFC 9110, sections 13
and 14; ETags have no quotes here, and are understood with quotes too.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from msgspec.structs import replace

from pannier_sidecar.large_values.part_store import parts_of
from pannier_sidecar.large_values.value_in_parts import MAX_READINGS, ReplacedError, ValueInParts

from ..state.directory import ServedStore
from ..state.errors import (
    MalformedRequestError,
    OperationFailedError,
    StoreError,
    ValueInPartsError,
)
from ..state.requests import FIRST_WRITE, GetRequest, SaveRequest, WriteItem
from ..state.service import failure_of
from ..state.store import StoredValue
from ..state.writing import set_of
from .decoding import request_defaults
from .encoding import NO_CONTENT, refusal, value_answer
from .messages import JSON, Answer, StreamedAnswer, StreamedCall
from .ranges import UnsatisfiableError, wanted_range

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator

    from ..state.items_in_flight import ItemsInFlight, Share
    from ..state.service import StateService
    from .messages import Call, Incoming

_BYTES: Final = b"application/octet-stream"
_ACCEPTS_RANGES: Final = (b"accept-ranges", b"bytes")


class ValueCalls:
    """Answers these calls."""

    def __init__(self, service: StateService, saved: Answer):
        self._service = service
        self._saved = saved

    async def put(self, call: Call, store: str | None, key: str) -> Answer:
        """Save the body of the request as the value of a key, whatever bytes it has."""
        served = self._service.directory.find(store)
        item = _item(call, key)
        if not isinstance(call, StreamedCall):
            await self._service.save(SaveRequest(store, [replace(item, value=call.body)]))
            return self._saved
        write = set_of(served, item)
        parts = parts_of(served.store)
        if parts is None:
            return refusal(
                413,
                "ERR_BODY_TOO_LARGE",
                f"state store {served.name} takes no value that is larger than --max-body-size; send less, or set "
                'largeValues: "true" in its component',
            )
        body = _BodyInTurn(call.incoming, self._service.in_flight)
        try:
            await self._service.one_key("set", served, key, parts.write(write, body))
        finally:
            body.end_turn()
        return self._saved

    async def get(self, call: Call, store: str | None, key: str) -> Answer:
        """Return the bytes of a value, or a range of them."""
        defaults = request_defaults(call.query(), call.headers)
        try:
            found = await self._service.get(GetRequest(store, key, defaults.consistency, defaults.metadata))
        except OperationFailedError as error:
            return await self.in_parts(error, call, _BYTES)
        return _at_once(call, found, _BYTES)

    async def in_parts(self, error: OperationFailedError, call: Call | None, content_type: bytes = JSON) -> Answer:
        """Return the answer to a get whose error says that its value is kept in parts. `call` is None if it has no
        condition and no range. Raises OperationFailedError, which may be the same one.
        """
        found = error.__cause__
        if not isinstance(found, ValueInPartsError):
            raise error
        value, served, key = found.value, found.store, error.errors[0][0]
        assert isinstance(value, ValueInParts), "only stores with parts raise it"
        assert isinstance(served, ServedStore), "the service notes it"
        try:
            for _ in range(MAX_READINGS):
                try:
                    return await self._begin(value, served, call, content_type)
                except ReplacedError:
                    now = await value.again()
                    if not isinstance(now, ValueInParts):
                        return _at_once(call, now, content_type)
                    value = now
            raise ReplacedError("the value was replaced each time it was read; read it again")
        except StoreError as failure:
            raise failure_of("get", served, key, failure) from failure

    async def _begin(self, value: ValueInParts, served: ServedStore, call: Call | None, content_type: bytes) -> Answer:
        """Return an answer whose first part has been read. Raises StoreError."""
        plan = _plan(call, value.size, value.etag)
        shown = value_answer(StoredValue(b"", value.etag, value.expires_at))
        headers = (*shown.headers, *(plan.headers or (_ACCEPTS_RANGES,)))
        if plan.stop == plan.start:
            return Answer(plan.status, b"", None, headers)
        rest = self._read(value, served, plan)
        first = None if call is not None and call.method == b"HEAD" else await anext(rest)
        return StreamedAnswer(
            plan.status, b"", content_type, headers, size=plan.stop - plan.start, parts=_Parts(first, rest)
        )

    async def _read(self, value: ValueInParts, served: ServedStore, plan: _Plan) -> AsyncGenerator[bytes, None]:
        """Read the parts. Each waits for room among what others read; what the client is slow to read counts there."""
        served.calls_in_flight += 1  # so that the store stays open
        parts = value.read(plan.start, plan.stop)
        try:
            while True:
                room = self._service.bytes_in_flight.begin()
                try:
                    reserved = await room.reserve(1)
                    part = await anext(parts, None)
                    room.settle(reserved, value.part_size, value.part_size)
                finally:
                    room.end()
                if part is None:
                    return
                yield part
        finally:
            served.calls_in_flight -= 1


def _at_once(call: Call | None, found: StoredValue | None, content_type: bytes) -> Answer:
    """Return the answer to a get that has read the whole value."""
    if found is None:
        return NO_CONTENT
    plan = _plan(call, len(found.value), found.etag)
    answer = value_answer(found)
    answer.status, answer.headers = plan.status, (*answer.headers, *plan.headers)
    answer.body, answer.content_type = answer.body[plan.start : plan.stop], content_type
    return answer


class _BodyInTurn:
    """A body whose parts wait for room among other large requests before they are written, because a part is copied on
    its way to the store. A client that is slow to send a part holds no room.
    """

    def __init__(self, body: Incoming, in_flight: ItemsInFlight):
        self.size = body.size
        self._body = body
        self._in_flight = in_flight
        self._share: Share | None = None

    async def read(self, size: int) -> bytes:
        """Return the next part. Raises OverloadedError if there is no room for long."""
        self.end_turn()
        part = await self._body.read(size)
        self._share = await self._in_flight.share(1, len(part))
        return part

    def end_turn(self) -> None:
        """Give back the room of the part before."""
        if self._share is not None:
            self._share.end()
            self._share = None


class _Parts:
    """The first part, and those that are read after it."""

    def __init__(self, first: bytes | None, rest: AsyncGenerator[bytes, None]):
        self._first = first
        self._rest = rest

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self

    async def __anext__(self) -> bytes:
        if self._first is not None:
            first, self._first = self._first, None
            return first
        return await anext(self._rest)

    async def aclose(self) -> None:
        await self._rest.aclose()


class _Plan(NamedTuple):
    """Which bytes of a value are sent, under which status."""

    status: int
    start: int
    stop: int
    headers: tuple[tuple[bytes, bytes], ...] = (_ACCEPTS_RANGES,)


def _plan(call: Call | None, size: int, etag: str) -> _Plan:
    """Return what is sent of a value, as the conditions and the range of a call say."""
    if call is None:
        return _Plan(200, 0, size)
    headers = call.headers
    if not _holds(headers.get(b"if-match"), etag, default=True):
        return _Plan(412, 0, 0)
    if _holds(headers.get(b"if-none-match"), etag, default=False):
        return _Plan(304, 0, 0)
    wanted = headers.get(b"range") if call.method == b"GET" and _holds(headers.get(b"if-range"), etag, True) else None
    try:
        part = wanted_range(wanted, size)
    except UnsatisfiableError:
        return _Plan(416, 0, 0, ((b"content-range", b"bytes */%d" % size),))
    if part is None:
        return _Plan(200, 0, size)
    start, stop = part
    shown = b"bytes %d-%d/%d" % (start, stop - 1, size)
    return _Plan(206, start, stop, (_ACCEPTS_RANGES, (b"content-range", shown)))


def _holds(header: bytes | None, etag: str, default: bool) -> bool:
    """Return whether a header names the ETag, with or without quotes; `default` if it is absent."""
    if not header:
        return default
    shown = etag.encode()
    return any(each.strip() in (shown, b'"%b"' % shown, b"*") for each in (header, *header.split(b",")))


def _item(call: Call, key: str) -> WriteItem:
    defaults = request_defaults(call.query(), call.headers)
    if defaults.retry is not None:
        raise MalformedRequestError(
            "a retry policy has no effect here, because the body is read only once", "leave it out"
        )
    if b"idempotency-key" in call.headers:
        raise MalformedRequestError(
            "Idempotency-Key has no effect here, because parts are not written in a transaction",
            "write If-Match: ETAG or If-None-Match: * instead",
        )
    concurrency = defaults.concurrency
    none_match = call.headers.get(b"if-none-match", b"").strip()
    if none_match:
        if none_match != b"*":
            raise MalformedRequestError("If-None-Match names an ETag", "write If-None-Match: *, or If-Match: ETAG")
        concurrency = FIRST_WRITE
    return WriteItem(
        key,
        b"",
        etag=call.headers.get(b"if-match", b"").decode("utf-8", "replace"),
        concurrency=concurrency,
        consistency=defaults.consistency,
        metadata=defaults.metadata,
    )
