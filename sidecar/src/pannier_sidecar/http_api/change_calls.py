"""The calls of the HTTP API that change a value where it is stored, and `exists`. Imported with the first such call.

Their bodies are Pannier's own, so they are read strictly: an unknown field is an error, because it may be a misspelt
one.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Final

import msgspec
from msgspec import Meta, Raw, Struct, field

from ..state.changes import (
    MAX_INTEGER,
    MIN_INTEGER,
    Append,
    GetAndSet,
    Increment,
    TooManyCommasError,
    Touch,
    elements_of,
)
from ..state.changing import ChangeRequest
from ..state.errors import MalformedRequestError, TooManyItemsError
from ..state.requests import GetRequest
from .bounds import MAX_METADATA
from .decoding import NO_DEFAULTS, request_defaults
from .json_errors import why_not_json
from .messages import JSON, Answer
from .paths import Operation

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ..state.changes import Change
    from ..state.hot_keys import Result
    from ..state.service import StateService
    from .messages import Call

Integer = Annotated[int, Meta(ge=MIN_INTEGER, le=MAX_INTEGER)]


def _nothing() -> Raw:
    return Raw(b"")


class SentChange(Struct, forbid_unknown_fields=True, rename="camel", kw_only=True):
    """What the bodies have in common."""

    key: str
    etag: str | None = None
    """The ETag that the key must have; the header If-Match says the same."""
    metadata: Raw = field(default_factory=_nothing)
    """`ttlInSeconds`, and what else the store takes."""
    return_etag: bool = False
    """Whether the answer has the ETag of the value that the call leaves."""

    def change(self, max_items: int) -> Change:
        raise NotImplementedError


class SentIncrement(SentChange, forbid_unknown_fields=True, rename="camel", kw_only=True):
    """The body of an increment."""

    by: Integer = 1
    initial: Integer = 0
    floor: Integer = MIN_INTEGER
    ceiling: Integer = MAX_INTEGER

    def change(self, max_items: int) -> Change:
        return Increment(self.key, self.by, self.initial, self.floor, self.ceiling)


class SentAppend(SentChange, forbid_unknown_fields=True, rename="camel", kw_only=True):
    """The body of an append."""

    values: Raw
    max_length: Annotated[int, Meta(ge=1, le=MAX_INTEGER)] | None = None

    def change(self, max_items: int) -> Change:
        try:
            elements = elements_of(bytes(self.values))
        except TooManyCommasError:
            raise TooManyItemsError(max_items) from None
        except ValueError:
            elements = []
        if not elements:
            raise MalformedRequestError("values is no list of elements", _ADVICE[Operation.APPEND])
        if len(elements) > max_items:
            raise TooManyItemsError(max_items)
        return Append(self.key, [bytes(element) for element in elements], self.max_length)


class SentGetAndSet(SentChange, forbid_unknown_fields=True, rename="camel", kw_only=True):
    """The body of a get-and-set."""

    value: Raw

    def change(self, max_items: int) -> Change:
        return GetAndSet(self.key, bytes(self.value), is_json=True)


class SentTouch(SentChange, forbid_unknown_fields=True, rename="camel", kw_only=True):
    """The body of a touch."""

    def change(self, max_items: int) -> Change:
        return Touch(self.key)


class NumberBody(Struct):
    """The answer to an increment."""

    value: int


class LengthBody(Struct):
    """The answer to an append."""

    length: int


class ExistsBody(Struct):
    """The answer to a touch, and to `exists`."""

    exists: bool


_BODIES: Final[dict[Operation, msgspec.json.Decoder[Any]]] = {
    Operation.INCREMENT: msgspec.json.Decoder(SentIncrement),
    Operation.APPEND: msgspec.json.Decoder(SentAppend),
    Operation.GET_AND_SET: msgspec.json.Decoder(SentGetAndSet),
    Operation.TOUCH: msgspec.json.Decoder(SentTouch),
}
_ADVICE: Final = {
    Operation.INCREMENT: 'write {"key": "k", "by": 1}, with whole numbers of 64 bits',
    Operation.APPEND: 'write {"key": "k", "values": [1]}',
    Operation.GET_AND_SET: 'write {"key": "k", "value": 1}',
    Operation.TOUCH: 'write {"key": "k", "metadata": {"ttlInSeconds": "60"}}',
}
_METADATA: Final = msgspec.json.Decoder(dict[str, str | int | None] | None)


class ChangeCalls:
    """Answers these calls."""

    def __init__(self, service: StateService):
        self._service = service

    async def change(self, operation: Operation, call: Call, store: str | None) -> Answer:
        self._service.directory.find(store)  # a missing store is reported before a malformed body, as in a save
        sent = _decoded(operation, call.body)
        defaults = request_defaults(call.query(), call.headers)
        if defaults.concurrency is not None or defaults.retry is not None:
            raise MalformedRequestError(
                "concurrency and retry policies have no effect here",
                "leave them out; a change waits for others by itself",
            )
        request = ChangeRequest(
            store,
            sent.key,
            sent.change(self._service.max_items),
            sent.etag or call.headers.get(b"if-match", b"").decode("utf-8", "replace"),
            defaults.consistency,
            {**_metadata(sent.metadata), **defaults.metadata},
            call.headers.get(b"idempotency-key", b"").decode("latin-1"),
            sent.return_etag,
        )
        return _answer(operation, await self._service.changing.change(request))

    async def exists(self, call: Call, store: str | None) -> Answer:
        query = call.query()
        defaults = request_defaults(query, call.headers) if query else NO_DEFAULTS
        request = GetRequest(store, query.get("key", ""), defaults.consistency, defaults.metadata)
        found = await self._service.changing.exists(request)
        return Answer(200, msgspec.json.encode(ExistsBody(found)), JSON)


def _decoded(operation: Operation, body: bytes) -> SentChange:
    try:
        if not body.isascii():
            body.decode()  # msgspec does not check the UTF-8 inside Raw values
        sent: SentChange = _BODIES[operation].decode(body)
    except RecursionError:
        raise MalformedRequestError("JSON is nested too deeply", "store the inner part as a string") from None
    except (UnicodeError, msgspec.DecodeError) as error:
        why = None if isinstance(error, msgspec.ValidationError) else why_not_json(body)
        raise MalformedRequestError(why or str(error), _ADVICE[operation]) from error
    return sent


def _metadata(sent: Raw) -> Mapping[str, str]:
    text = bytes(sent)
    if not text:
        return {}
    if len(text) > MAX_METADATA:
        raise MalformedRequestError(f"metadata of over {MAX_METADATA} bytes", "store what is large in a value")
    try:
        given = _METADATA.decode(text) or {}
    except msgspec.DecodeError as error:
        raise MalformedRequestError(f"metadata: {error}", 'write {"ttlInSeconds": "60"}') from error
    return {name: str(value) for name, value in given.items() if value is not None and value != ""}


def _answer(operation: Operation, result: Result) -> Answer:
    # An ETag that Pannier has just made needs no quoting.
    headers = () if result.etag is None else ((b"etag", result.etag.encode()),)
    if operation is Operation.GET_AND_SET:
        return Answer(204, headers=headers) if result.value is None else Answer(200, result.value, JSON, headers)
    body = {Operation.INCREMENT: NumberBody, Operation.APPEND: LengthBody}.get(operation, ExistsBody)(result.value)
    return Answer(200, msgspec.json.encode(body), JSON, headers)
