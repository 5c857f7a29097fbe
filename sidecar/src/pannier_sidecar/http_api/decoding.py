"""Turns the JSON bodies, query parameters and headers that clients send into requests.

A `value` stays the bytes that the client sent (`msgspec.Raw`), so it comes back byte for byte: no float is rounded, no
large integer lost, no key order changed.

`calls.py` reads the parameters that only one call has. `_request` in `routes.py` lists all of them for OpenAPI.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

import msgspec
from msgspec import Struct

from ..state.errors import (
    EmptyKeyError,
    MalformedRequestError,
    UnknownActorOperationError,
    UnknownOperationError,
)
from ..state.pacing import FEW, Pace
from ..state.requests import NO_METADATA, Concurrency, Consistency, Pattern, RetryPolicy, WriteItem
from .bounds import LARGE, BodyDecoder, KeysDecoder, Kinds
from .json_errors import why_not_json
from .sent import LenientItem, Number, SentBulkGet, SentOperation, SentTransaction, StrictItem

if TYPE_CHECKING:
    from .go_json import BodyKind
    from .renaming import Renamer

MAX_RETRIES = 100
MAX_RETRY_INTERVAL_MS = 600_000


class RequestDefaults(Struct, gc=False):
    """Options from the query and the headers, for items of the request that have none."""

    concurrency: Concurrency | None = None
    consistency: Consistency | None = None
    retry: RetryPolicy | None = None
    metadata: Mapping[str, str] = NO_METADATA
    """Wins over the metadata of an item (as in Dapr)."""


NO_DEFAULTS = RequestDefaults()


def request_defaults(query: Mapping[str, str], headers: Mapping[bytes, bytes]) -> RequestDefaults:
    """Return the defaults from the query, or else from the headers.

    Raises MalformedRequestError naming the parameter.
    """
    concurrency = query.get("concurrency") or headers.get(b"concurrency", b"").decode("latin-1")
    consistency = query.get("consistency") or headers.get(b"consistency", b"").decode("latin-1")
    interval, pattern, threshold = (query.get(name) for name in ("retryInterval", "retryPattern", "retryThreshold"))
    retry = None
    if interval or pattern or threshold:
        retry = _retry(_number("retryInterval", interval), _number("retryThreshold", threshold), pattern, None)
    return RequestDefaults(
        _choice(Concurrency, "concurrency", concurrency, None),
        _choice(Consistency, "consistency", consistency, None),
        retry,
        {name[9:]: value for name, value in query.items() if value and name.startswith("metadata.")} or NO_METADATA,
    )


class Decoding:
    """Reads the bodies of requests.

    Each method raises MalformedRequestError, naming the place in the body and what belongs there.
    """

    def __init__(self, *, is_lenient: bool, max_items: int, pace: Pace | None = None):
        """Prepare to read bodies as the published specs show them (lenient), or as Dapr accepts them."""
        self._max_items = max_items
        self._pace = pace or Pace()
        self._is_lenient = is_lenient
        self._renamer: Renamer | None = None
        item: Any = LenientItem if is_lenient else StrictItem
        operation: Any = SentOperation
        transaction: Any = SentTransaction
        several: Any = list

        def operation_of(kinds: Kinds) -> Any:
            return kinds.counted(operation[kinds.measured(item)])

        self._items = BodyDecoder(lambda kinds: several[kinds.counted(kinds.measured(item))], max_items)
        self._transaction = BodyDecoder(lambda kinds: kinds.measured(transaction[operation_of(kinds)]), max_items)
        self._actor_transaction = BodyDecoder(lambda kinds: several[operation_of(kinds)], max_items)
        self._bulk_get = KeysDecoder(SentBulkGet, max_items)

    async def items(self, body: bytes, defaults: RequestDefaults) -> list[WriteItem]:
        """Return the items of a save."""
        sent = await self._decode(self._items, body, _ITEMS_ADVICE, "items")
        if len(sent) <= FEW:
            return [_item(item, (index, ""), defaults) for index, item in enumerate(sent)]
        return await self._pace.each(lambda place: _item(place[1], (place[0], ""), defaults), list(enumerate(sent)))

    def only_item(self, body: bytes) -> WriteItem | None:
        """Return the item of a save of one item; None for any other body, and for one that only `items` can read."""
        if body.count(b'"key"') != 1:
            return None
        try:
            if not body.isascii():
                body.decode()
            sent = self._items.decode(body)
        except (UnicodeError, msgspec.DecodeError, RecursionError):
            return None
        return _item(sent[0], (0, ""), NO_DEFAULTS) if len(sent) == 1 else None

    async def bulk_get(self, body: bytes) -> tuple[list[str], Mapping[str, str]]:
        """Return keys and metadata of a bulk get."""
        sent = await self._decode(self._bulk_get, body, _KEYS_ADVICE, "bulk get", _DESERIALIZING)
        return sent.keys or [], _given(sent.metadata)

    async def transaction(self, body: bytes, defaults: RequestDefaults) -> tuple[list[WriteItem], Mapping[str, str]]:
        """Return operations and metadata of a transaction."""
        sent = await self._decode(self._transaction, body, _OPERATIONS_ADVICE, "transaction", _DESERIALIZING)
        items = await self._operations(sent.operations or (), defaults)
        return items, {**_given(sent.metadata), **defaults.metadata}

    async def actor_transaction(self, body: bytes, defaults: RequestDefaults) -> list[WriteItem]:
        """Return the operations on an actor's state."""
        sent = await self._decode(
            self._actor_transaction, body, _OPERATIONS_ADVICE, "actor transaction", _DESERIALIZING
        )
        return await self._operations(sent, defaults, UnknownActorOperationError)

    async def _operations(
        self,
        sent: Sequence[SentOperation[Any]],
        defaults: RequestDefaults,
        unknown: Callable[[str], UnknownOperationError] = UnknownOperationError,
    ) -> list[WriteItem]:
        def item_of(place: tuple[int, SentOperation[Any]]) -> WriteItem:
            number, operation = place
            if operation.operation not in ("upsert", "delete"):
                raise unknown(operation.operation)
            return _operation(operation, (number, ".request"), defaults)

        return await self._pace.each(item_of, list(enumerate(sent)))

    async def _decode(
        self,
        decoder: BodyDecoder | KeysDecoder,
        body: bytes,
        advice: str,
        kind: BodyKind,
        context: str = "",
    ) -> Any:
        try:
            if not body.isascii():
                body.decode()  # msgspec does not check the UTF-8 inside Raw values
            try:
                return decoder.decode(body)
            except msgspec.ValidationError:
                if len(body) > LARGE:  # it may have very many fields, so each turn of the loop reads only one such body
                    normalized = await self._pace.run(lambda: self._normalized(body, kind))
                else:
                    normalized = self._normalized(body, kind)
                if normalized is body:
                    raise
                return decoder.decode(normalized)
        except RecursionError as error:
            raise MalformedRequestError(
                f"{context}JSON is nested too deeply", "store the inner part as a string"
            ) from error
        except (UnicodeError, msgspec.DecodeError) as error:
            raise self._malformed(error, body, kind, context, advice) from error

    def _normalized(self, body: bytes, kind: BodyKind) -> bytes:
        """Return the JSON with field names in their proper case, and without unknown fields. Raises TooManyItemsError
        and TooManyFieldsError.

        If it is lenient, the body may be a JSON string that contains the JSON. The guide of the published specs sends
        that, by `requests.post(url, json='[...]')`.
        """
        if self._renamer is None:
            from .renaming import Renamer  # imported here, because most clients write the names as they are

            self._renamer = Renamer(self._max_items)
        if self._is_lenient and body.lstrip().startswith(b'"'):
            body = msgspec.json.decode(body, type=str).encode()
        return self._renamer.rename(body, kind)

    def _malformed(
        self, error: Exception, body: bytes, kind: BodyKind, context: str, advice: str
    ) -> MalformedRequestError:
        reason = None if isinstance(error, msgspec.ValidationError) else why_not_json(body)
        if isinstance(error, UnicodeError):
            text = reason or f"the body is not UTF-8: {error}"
        else:
            text = reason or str(error).replace("Object missing required field `key`", _KEY_MISSING)
        malformed = MalformedRequestError(f"{context}{text}", advice)
        if not self._is_lenient:
            from . import go_json  # imported here, because few clients of few sidecars see its words

            words = go_json.error_of(body, kind) or (_KEY_MISSING if text.startswith(_KEY_MISSING) else text)
            malformed.dapr_message = f"{context}{words}"
        return malformed


_KEY_MISSING = '"key" is a required field'
_DESERIALIZING = "failed deserializing HTTP body: "
_ITEMS_ADVICE = 'write a JSON array of items like {"key": "k", "value": 1}'
_KEYS_ADVICE = 'write {"keys": ["a", "b"]}'
_OPERATIONS_ADVICE = (
    'write operations like {"operation": "upsert", "request": {"key": "k", "value": 1}} '
    'or {"operation": "delete", "request": {"key": "k"}}'
)


ItemPath = tuple[int, str]
"""Path of an item in the body, for messages: its index, and the path from there to its fields."""


def _operation(sent: SentOperation[Any], place: ItemPath, defaults: RequestDefaults) -> WriteItem:
    item = _item(sent.request, place, defaults)
    return item if sent.operation == "upsert" else msgspec.structs.replace(item, value=None)


def _item(sent: StrictItem | LenientItem, place: ItemPath, defaults: RequestDefaults) -> WriteItem:
    if not sent.key:
        raise EmptyKeyError(_at(place))
    concurrency, consistency, retry = defaults.concurrency, defaults.consistency, defaults.retry
    if (options := sent.options) is not None:
        concurrency = _choice(Concurrency, "concurrency", options.concurrency, place) or concurrency
        consistency = _choice(Consistency, "consistency", options.consistency, place) or consistency
        if (policy := options.retryPolicy) is not None:
            retry = _retry(policy.interval, policy.threshold, policy.pattern, place)
    etag = sent.etag
    if isinstance(etag, int):
        etag = str(etag)
    metadata = defaults.metadata
    if sent.metadata:
        metadata = _given(sent.metadata)
        if defaults.metadata:
            metadata = {**metadata, **defaults.metadata}
    return WriteItem(sent.key, bytes(sent.value), etag, concurrency, consistency, metadata, retry, is_json=True)


def _at(place: ItemPath | None) -> str:
    return "" if place is None else f" - at `$[{place[0]}]{place[1]}`"


def _given(metadata: Mapping[str, str | bool | Number | None] | None) -> dict[str, str]:
    """Return the metadata as strings, without the null and empty values that templates and SDKs produce."""
    if not metadata:
        return {}
    return {
        name: value if isinstance(value, str) else _text(value)
        for name, value in metadata.items()
        if value is not None and value != ""
    }


def _text(value: bool | Number) -> str:
    return msgspec.json.encode(value).decode()


Choice = TypeVar("Choice", Concurrency, Consistency, Pattern)


def _choice(kind: type[Choice], name: str, text: str | None, place: ItemPath | None) -> Choice | None:
    if not text:
        return None
    try:
        return kind(text)
    except ValueError:
        known = " or ".join(f'"{member.value}"' for member in kind)
        raise MalformedRequestError(f"unrecognized {name} model '{text}'{_at(place)}", f"write {known}") from None


def _retry(interval: int | None, threshold: int | None, pattern: str | None, place: ItemPath | None) -> RetryPolicy:
    default = RetryPolicy()
    interval = default.interval_ms if interval is None else interval
    threshold = default.threshold if threshold is None else threshold
    for name, number, limit in (
        ("interval", interval, MAX_RETRY_INTERVAL_MS),
        ("threshold", threshold, MAX_RETRIES),
    ):
        if not 0 <= number <= limit:
            raise MalformedRequestError(
                f"retry {name} is {number}{_at(place)}", f"write a whole number from 0 to {limit}"
            )
    return RetryPolicy(interval, threshold, _choice(Pattern, "retry pattern", pattern, place) or default.pattern)


def _number(name: str, text: str | None) -> int | None:
    if not text:
        return None
    if _WHOLE_NUMBER.fullmatch(text.strip()) is None:
        raise MalformedRequestError(f"{name} is {text[:50]!r}", "write a whole number")
    return int(text)


_WHOLE_NUMBER = re.compile(r"[+-]?[0-9]{1,18}")
