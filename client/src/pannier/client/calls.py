"""What each call sends, what its answer means, and when a request is made again. Does no I/O.

A call is a generator, which either client drives: it yields a request and is sent the reply, or a pause in seconds. If
the request fails, `NotSentError` or `LostError` is thrown into it.
"""

from __future__ import annotations

import json
import os
import random
from collections.abc import Generator, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final, TypeVar
from urllib.parse import quote

from .errors import ConflictError, OutcomeUnknownError, PannierError, RefusedError, UnreachableError

T = TypeVar("T")

_JSON: Final = {"content-type": "application/json"}
_IDEMPOTENCY_KEY: Final = "idempotency-key"

_FIRST_PAUSE_S: Final = 0.1
_MAX_PAUSE_S: Final = 5.0
_NOTHING_DONE: Final = (429, 503)
"""Statuses with which the sidecar says that nothing was done, and that the request may be repeated."""


@dataclass(frozen=True)
class Request:
    """One request. A read may be repeated; a write, once it was sent, only if it has an Idempotency-Key."""

    method: str
    path: str
    query: Mapping[str, str] = field(default_factory=dict)
    body: bytes | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    is_read: bool = False

    @property
    def may_repeat(self) -> bool:
        return self.is_read or _IDEMPOTENCY_KEY in self.headers


@dataclass(frozen=True)
class Reply:
    """The answer to a request; the names of its headers are in lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes


class NotSentError(Exception):
    """There was no connection for the request."""


class LostError(Exception):
    """The request was sent, at least in part, and not answered."""


Flow = Generator[Request | float, Reply, T]


@dataclass(frozen=True)
class Item:
    """What is stored under a key."""

    key: str
    value: Any
    """What the stored JSON means; bytes, if they are no JSON."""
    etag: str
    expires_at: datetime | None = None
    """None: never."""


@dataclass(frozen=True)
class Upsert:
    """A save in a transaction; the arguments are those of `save`."""

    key: str
    value: Any
    etag: str | None = None
    first_write: bool = False
    ttl: int | None = None


@dataclass(frozen=True)
class Delete:
    """A deletion in a transaction, on the condition of an ETag if there is one."""

    key: str
    etag: str | None = None


@dataclass(frozen=True)
class Change:
    """What the changes of a value where it is have in common."""

    key: str
    ttl: int | None
    etag: str | None
    idempotency_key: str | None = None


class Calls:
    """The calls for one store."""

    def __init__(self, store: str | None, retries: int):
        """`retries` is how often a request is made again. None is the default store."""
        self._at = [] if store is None else [store]
        self._retries = retries

    def get(self, key: str, *, strong: bool = False) -> Flow[Item | None]:
        query = {"consistency": "strong"} if strong else {}
        reply = yield from self._answered(Request("GET", self._path("v1.0", key), query, is_read=True))
        return None if reply.status == 204 else _item(key, reply)

    def get_many(self, keys: Iterable[str]) -> Flow[dict[str, Item]]:
        body = {"keys": list(keys)}
        reply = yield from self._answered(self._post("v1.0", "bulk", body, is_read=True))
        found = {}
        for entry in _entries(reply):
            key = entry["key"]
            if "error" in entry:  # the value is no JSON or too large for this answer, or cannot be read at all
                item = yield from self.get(key)
                if item is not None:
                    found[key] = item
            elif "etag" in entry:
                found[key] = Item(key, entry.get("data"), entry["etag"], expiry_of(entry))
        return found

    def save(self, write: Upsert, *, strong: bool = False) -> Flow[None]:
        item = _written(write)
        if strong:
            item.setdefault("options", {})["consistency"] = "strong"
        yield from self._answered(Request("POST", self._path("v1.0"), body=_encoded([item]), headers=_JSON))

    def delete(self, write: Delete) -> Flow[None]:
        headers = {} if write.etag is None else {"if-match": write.etag}
        yield from self._answered(Request("DELETE", self._path("v1.0", write.key), headers=headers))

    def transact(self, operations: Iterable[Upsert | Delete]) -> Flow[None]:
        body = {
            "operations": [
                {"operation": "upsert" if isinstance(each, Upsert) else "delete", "request": _written(each)}
                for each in operations
            ]
        }
        yield from self._answered(self._post("v1.0", "transaction", body))

    def increment(self, change: Change, **options: int | None) -> Flow[int]:
        given = {option: number for option, number in options.items() if number is not None}
        reply = yield from self._changed("increment", change, given)
        return _number(reply, "value")

    def append(self, change: Change, values: tuple[Any, ...], max_length: int | None) -> Flow[int]:
        limit = {} if max_length is None else {"maxLength": max_length}
        reply = yield from self._changed("append", change, {"values": values, **limit})
        return _number(reply, "length")

    def get_and_set(self, change: Change, value: Any, default: Any) -> Flow[Any]:
        reply = yield from self._changed("get-and-set", change, {"value": value})
        return default if reply.status == 204 else decoded(reply.body)

    def touch(self, change: Change) -> Flow[bool]:
        reply = yield from self._changed("touch", change, {})
        return bool(_number(reply, "exists"))

    def exists(self, key: str) -> Flow[bool]:
        path = self._path("v1.0-alpha1", "exists")
        reply = yield from self._answered(Request("GET", path, {"key": key}, is_read=True))
        return bool(_number(reply, "exists"))

    def watch(self, prefix: str, values: bool) -> Request:
        """Return the request of a watch, which is no call: its answer does not end."""
        query = {"prefix": prefix, "values": "true" if values else "false"}
        return Request("GET", self._path("v1.0-alpha1", "watch"), query, headers={"accept": "text/event-stream"})

    def _changed(self, name: str, change: Change, options: Mapping[str, Any]) -> Flow[Reply]:
        body: dict[str, Any] = {"key": change.key, **options}
        if change.ttl is not None:
            body["metadata"] = {"ttlInSeconds": str(change.ttl)}
        if change.etag is not None:
            body["etag"] = change.etag
        repeated = {} if change.idempotency_key is None else {_IDEMPOTENCY_KEY: change.idempotency_key}
        path = self._path("v1.0-alpha1", name)
        return (yield from self._answered(Request("POST", path, body=_encoded(body), headers=_JSON | repeated)))

    def _path(self, version: str, *parts: str) -> str:
        return "/".join(["", version, "state", *map(_segment, (*self._at, *parts))])

    def _post(self, version: str, name: str, body: object, *, is_read: bool = False) -> Request:
        return Request("POST", self._path(version, name), body=_encoded(body), headers=_JSON, is_read=is_read)

    def _answered(self, request: Request) -> Flow[Reply]:
        """Make a request until it is answered, as often as it may be repeated. Raises PannierError."""
        retries = 0
        while True:
            pause = pause_before(retries)
            try:
                reply = yield request
            except NotSentError as error:
                failure: PannierError = UnreachableError(str(error))
                may_repeat = True
            except LostError as error:
                failure = UnreachableError(str(error)) if request.is_read else _in_doubt(error)
                may_repeat = request.may_repeat
            else:
                if reply.status < 300:
                    return reply
                failure = error_of(reply, is_read=request.is_read)
                is_doubtful = isinstance(failure, OutcomeUnknownError)
                may_repeat = says_nothing_was_done(failure) or (is_doubtful and request.may_repeat)
                pause = max(pause, retry_after(reply))
            if not may_repeat or retries >= self._retries:
                raise failure
            retries += 1
            yield pause


def error_of(reply: Reply, *, is_read: bool) -> PannierError:
    """Return the error that an answer reports."""
    try:
        body = json.loads(reply.body)
        code, message = str(body["errorCode"]), str(body["message"])
    except (ValueError, TypeError, KeyError):
        code, message = "", f"the server answers with status {reply.status} and no reason; is it a sidecar?"
    if reply.status == 401:
        message = "the sidecar wants its API token: pass it as token, or set DAPR_API_TOKEN"
    if code == "ERR_STATE_OUTCOME_UNKNOWN":
        return OutcomeUnknownError(message, reply.status, code)
    if reply.status == 409 and code in _OF_ETAGS:
        return ConflictError(message, reply.status, code)
    is_doubtful = reply.status >= 500 and not (reply.status == 503 and code)
    return RefusedError(message, reply.status, code, is_doubtful and not is_read)


_OF_ETAGS: Final = frozenset(
    f"ERR_STATE_{operation}"
    for operation in ("SAVE", "DELETE", "TRANSACTION", "INCREMENT", "APPEND", "GET_AND_SET", "TOUCH")
)


def _in_doubt(error: LostError) -> OutcomeUnknownError:
    return OutcomeUnknownError(f"{error}; the write may have happened: read before you repeat it")


def says_nothing_was_done(error: PannierError) -> bool:
    """Return whether a sidecar has answered that nothing was done, and that the request may be repeated."""
    return error.status in _NOTHING_DONE and bool(error.error_code)


def retry_after(reply: Reply) -> float:
    """Return the seconds for which an answer asks to wait; 5 at most."""
    given = reply.headers.get("retry-after", "")
    return min(float(given), _MAX_PAUSE_S) if given.isascii() and given.isdigit() else 0.0


def pause_before(retries: int) -> float:
    """Return a random pause in seconds, longer after each attempt: clients that failed together come back apart."""
    return min(_FIRST_PAUSE_S * 2.0 ** min(retries, 10), _MAX_PAUSE_S) * random.uniform(0.5, 1)


def decoded(raw: bytes) -> Any:
    """Return what JSON means, or the bytes if they are none."""
    try:
        return json.loads(raw)
    except (ValueError, RecursionError):
        return raw


def _number(reply: Reply, name: str) -> int:
    """Return a number or a boolean of an answer. Raises RefusedError if it is not there."""
    found = decoded(reply.body)
    if not isinstance(found, dict) or not isinstance(found.get(name), int):
        raise _no_sidecar(reply)
    return int(found[name])


def _entries(reply: Reply) -> list[dict[str, Any]]:
    """Return the entries of a bulk get. Raises RefusedError if there are none."""
    found = decoded(reply.body)
    if not isinstance(found, list) or not all(isinstance(each, dict) and "key" in each for each in found):
        raise _no_sidecar(reply)
    return found


def _no_sidecar(reply: Reply) -> RefusedError:
    what = f"the server answers with status {reply.status}, but not as a sidecar; is it one?"
    return RefusedError(what, reply.status, "", may_have_happened=True)


def expiry_of(entry: Mapping[str, Any]) -> datetime | None:
    """Return the time of expiry in the metadata of an entry or an event."""
    given = (entry.get("metadata") or {}).get("ttlExpireTime")
    return None if given is None else datetime.fromisoformat(given)


def base_url(given: str | None, environment: Mapping[str, str] = os.environ) -> str:
    """Return where the sidecar is: as given, or as the variables of Dapr's SDKs say, or on port 3500."""
    port = environment.get("DAPR_HTTP_PORT") or "3500"
    return given or environment.get("DAPR_HTTP_ENDPOINT") or f"http://127.0.0.1:{port}"


def token_headers(given: str | None, environment: Mapping[str, str] = os.environ) -> dict[str, str]:
    """Return the header with the API token, if there is one: as given, or as DAPR_API_TOKEN says."""
    token = given or environment.get("DAPR_API_TOKEN")
    return {"dapr-api-token": token} if token else {}


def _item(key: str, reply: Reply) -> Item:
    expiry = reply.headers.get("metadata.ttlexpiretime")
    expires_at = None if expiry is None else datetime.fromisoformat(expiry)
    return Item(key, decoded(reply.body), reply.headers.get("etag", ""), expires_at)


def _written(write: Upsert | Delete) -> dict[str, Any]:
    """Return an item as the API has it."""
    item: dict[str, Any] = {"key": write.key}
    if write.etag is not None:
        item["etag"] = write.etag
    if isinstance(write, Upsert):
        item["value"] = write.value
        if write.first_write:
            item["options"] = {"concurrency": "first-write"}
        if write.ttl is not None:
            item["metadata"] = {"ttlInSeconds": str(write.ttl)}
    return item


def _encoded(body: object) -> bytes:
    """Return JSON. Raises ValueError or TypeError for what JSON cannot hold."""
    return json.dumps(body, ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode()


def _segment(part: str) -> str:
    """Return a store or a key as one segment of a path. Raises ValueError for an empty one."""
    if not part:
        raise ValueError("a key or a store has no name: write one character at least")
    return part.replace(".", "%2E") if part in (".", "..") else quote(part, safe="")  # those would be taken out
