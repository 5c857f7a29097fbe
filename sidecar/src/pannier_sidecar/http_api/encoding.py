"""Turns results and errors into the answers that clients get."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final
from urllib import parse

import msgspec
from msgspec import UNSET, Raw, Struct, UnsetType

from ..state.errors import IllegalKeyError, OperationFailedError
from ..state.json_values import is_json
from ..state.store import rfc3339
from ..state.wording import ADVICE, percent_encoded
from .messages import JSON, Answer

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ..state.bulk_reads import BulkItem
    from ..state.errors import StateError, StoreError
    from ..state.key_lists import ListedKeys
    from ..state.listing import Owner
    from ..state.pacing import Pace
    from ..state.querying import Results
    from ..state.requests import WriteItem
    from ..state.store import StoredValue
    from .profiles import Profile


class ItemBody(Struct, omit_defaults=True, gc=False):
    """One entry of a bulk get or of a list of keys."""

    key: str
    data: Raw | UnsetType = UNSET
    etag: str | None = None
    metadata: dict[str, str] | None = None
    error: str | None = None


class KeyBody(ItemBody, omit_defaults=True, rename="camel", gc=False, kw_only=True):
    """One entry of a list of keys."""

    actor_type: str | None = None
    """None: the key is the app's own."""
    actor_id: str | None = None


class KeysBody(Struct):
    """A page of keys."""

    keys: list[KeyBody]
    cursor: str | None = None


class QueryBody(Struct, omit_defaults=True):
    """A page of what a query has found."""

    results: list[ItemBody]
    token: str | None = None


class DeletedBody(Struct):
    """How many keys a call has deleted, and the cursor for the next call."""

    deleted: int
    cursor: str | None = None


class DeletedItemBody(Struct, omit_defaults=True, rename="camel", gc=False):
    """One entry of a bulk delete; without an error, the key is deleted."""

    key: str
    status: int | None = None
    """The HTTP status that the delete of this key alone would have had."""
    error_code: str | None = None
    error: str | None = None


class BulkDeleteBody(Struct, omit_defaults=True, rename="camel"):
    """The answer to a bulk delete; if an item failed, it has the fields of an error too."""

    results: list[DeletedItemBody]
    error_code: str | UnsetType = UNSET
    message: str | UnsetType = UNSET
    details: list[dict[str, Any]] | UnsetType = UNSET


class ErrorBody(Struct, omit_defaults=True, rename="camel"):
    """A call that failed, in Dapr's shape."""

    error_code: str
    message: str
    details: list[dict[str, Any]] | UnsetType = UNSET


NO_CONTENT: Final = Answer(204)


def value_answer(value: StoredValue | None) -> Answer:
    """Return the answer to a get: the stored bytes as they are, or 204 if the key is absent."""
    if value is None:
        return NO_CONTENT
    etag = value.etag
    if not etag.isprintable():  # another program wrote it; a line break would end the header
        etag = parse.quote(etag)
    if value.expires_at is None:
        return Answer(200, value.value, JSON, ((b"etag", etag.encode()),))
    expiry = (b"metadata.ttlexpiretime", rfc3339(value.expires_at).encode())
    return Answer(200, value.value, JSON, ((b"etag", etag.encode()), expiry))


async def items_answer(items: Sequence[BulkItem], pace: Pace) -> Answer:
    """Return the answer to a bulk get."""
    return Answer(200, msgspec.json.encode(await pace.each(_item_body, items)), JSON)


async def query_answer(found: Results, pace: Pace) -> Answer:
    """Return the answer to a query: 204 if nothing was found, as in Dapr."""
    if not found.items and found.token is None:
        return NO_CONTENT
    bodies = await pace.each(_item_body, found.items)
    return Answer(200, msgspec.json.encode(QueryBody(bodies, found.token)), JSON)


async def keys_answer(listed: ListedKeys, pace: Pace) -> Answer:
    """Return the answer to a list of keys."""
    bodies = await pace.each(_key_body, list(zip(listed.items, listed.owners, strict=True)))
    return Answer(200, msgspec.json.encode(KeysBody(bodies, listed.cursor)), JSON)


def _key_body(listed: tuple[BulkItem, Owner | None]) -> KeyBody:
    body, owner = _item_body(listed[0]), listed[1]
    actor_type, actor_id = owner or (None, None)
    return KeyBody(body.key, body.data, body.etag, body.metadata, body.error, actor_type=actor_type, actor_id=actor_id)


async def deleted_items_answer(
    items: Sequence[WriteItem], failure: OperationFailedError | None, profile: Profile, pace: Pace
) -> Answer:
    """Return the answer to a bulk delete, with an entry for each item in the order of the request."""
    errors: Sequence[StoreError | None] = (failure and failure.of_items) or [None] * len(items)

    def entry(place: tuple[WriteItem, StoreError | None]) -> DeletedItemBody:
        item, error = place
        if error is None:
            return DeletedItemBody(item.key)
        alone = OperationFailedError("ERR_STATE_DELETE", "", [(item.key, error)])
        code, status = alone.code, alone.http_status
        if not profile.gives_advice:
            code, status = alone.dapr_code or code, alone.dapr_http_status or status
        return DeletedItemBody(item.key, status, code, str(error))

    results = await pace.each(entry, list(zip(items, errors, strict=True)))
    if failure is None:
        return Answer(200, msgspec.json.encode(BulkDeleteBody(results)), JSON)
    answer = error_answer(failure, profile)
    error = msgspec.json.decode(answer.body, type=ErrorBody)
    answer.body = msgspec.json.encode(BulkDeleteBody(results, error.error_code, error.message, error.details))
    return answer


def _item_body(item: BulkItem) -> ItemBody:
    if item.error is not None:
        return ItemBody(item.key, error=item.error)
    if (value := item.found) is None:
        return ItemBody(item.key)
    metadata = None if value.expires_at is None else {"ttlExpireTime": rfc3339(value.expires_at)}
    if not is_json(value.value):
        why = f"the value is no JSON, so it can't be part of this answer; get key {item.key!r} alone"
        return ItemBody(item.key, etag=value.etag, metadata=metadata, error=why)
    return ItemBody(item.key, Raw(value.value), value.etag, metadata)


def error_answer(error: StateError, profile: Profile) -> Answer:
    """Return the answer to a call that failed, in Dapr's shape."""
    if not profile.gives_advice:
        return _answer_in_daprs_words(error)
    details = UNSET if error.reason is None else _details(error)
    headers: tuple[tuple[bytes, bytes], ...] = ()
    if error.retry_after is not None and error.http_status in (429, 503):
        headers = retry_after(error)
    body = ErrorBody(error.code, str(error), details)
    return Answer(error.http_status, msgspec.json.encode(body), JSON, headers)


def _answer_in_daprs_words(error: StateError) -> Answer:
    """Return the answer that Dapr 1.18 gives, with the advice in a detail, or in a header if there can be none."""
    status = error.dapr_http_status or error.http_status
    message = error.message if error.dapr_message is None else error.dapr_message
    if isinstance(error, IllegalKeyError):  # Dapr wraps this error in another one, with the text that its log has
        message = _IN_DAPRS_LOG + message
    headers = retry_after(error) if error.retry_after is not None and status in (429, 503) else ()
    details: list[dict[str, Any]] | UnsetType = UNSET
    if error.has_dapr_http_details and (error.reason is not None or error.advice):
        details = _details(error, error.dapr_reason, error.advice)
    elif error.advice:
        headers += ((ADVICE, percent_encoded(error.advice)),)
    return Answer(
        status, msgspec.json.encode(ErrorBody(error.dapr_code or error.code, message, details)), JSON, headers
    )


_IN_DAPRS_LOG = "api error: code = InvalidArgument desc = "


def retry_after(error: StateError | type[StateError]) -> tuple[tuple[bytes, bytes], ...]:
    return ((b"retry-after", b"%d" % (error.retry_after or 0)),)


def refusal(status: int, code: str, message: str, advice: str = "", *, gives_advice: bool = True) -> Answer:
    """Return the answer to a request that is no call of the API, in the same shape.

    Without `gives_advice` the message is only Dapr's, and the advice is in a detail.
    """
    if not advice or gives_advice:
        return Answer(status, msgspec.json.encode(ErrorBody(code, f"{message}; {advice}" if advice else message)), JSON)
    return Answer(status, msgspec.json.encode(ErrorBody(code, message, [_info(code, {"advice": advice})])), JSON)


def _details(error: StateError, reason: str | None = None, advice: str = "") -> list[dict[str, Any]]:
    """Return the google.rpc details of an error; keys in alphabetical order, as Dapr writes them.

    The `advice` goes into one of them and not into one more, because Dapr's clients count the details.
    """
    details: list[dict[str, Any]] = []
    if error.violation is not None:
        field, description = error.violation
        if advice and isinstance(error, IllegalKeyError):
            description = _IN_DAPRS_LOG + description
        violation = {"description": description, "field": field}
        details.append({"@type": _TYPES + "BadRequest", "field_violations": [violation]})
    if error.help_link is not None:
        description, url = error.help_link
        details.append({"@type": _TYPES + "Help", "links": [{"description": description, "url": url}]})
    if error.resource is not None:
        names = {"description": advice, "owner": "", "resource_name": error.resource, "resource_type": "state"}
        details.append({"@type": _TYPES + "ResourceInfo", **names})
        advice = ""
    info = {**(error.info or {}), **({"advice": advice} if advice else {})}
    details.append(_info(reason or error.reason or error.dapr_code or error.code, info or None))
    return details


def _info(reason: str, metadata: dict[str, str] | None) -> dict[str, Any]:
    return {"@type": _TYPES + "ErrorInfo", "domain": "dapr.io", "metadata": metadata, "reason": reason}


_TYPES = "type.googleapis.com/google.rpc."
