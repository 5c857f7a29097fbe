"""The HTTP front end as an app uses it, over one persistent connection."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPException
from typing import Any
from urllib.parse import quote, urlencode

from scenarios.state_client import Entry, Found, Item, Kind, Operation, Refused, Retry

PATIENCE_S = 30.0

KINDS = {
    "ERR_STATE_STORE_NOT_FOUND": Kind.STORE_MISSING,
    "ERR_STATE_STORE_NOT_CONFIGURED": Kind.STORE_MISSING,
    "ERR_STATE_STORE_NOT_SUPPORTED": Kind.NOT_SUPPORTED,
    "ERR_IDEMPOTENCY_KEY_NOT_SUPPORTED": Kind.NOT_SUPPORTED,
}
KINDS_OF_STATUS = {
    400: Kind.MALFORMED,
    403: Kind.FORBIDDEN,
    409: Kind.CONFLICT,
    422: Kind.CONFLICT,
    500: Kind.FAILED,
    503: Kind.NOT_READY,
}


@dataclass(frozen=True)
class Response:
    """One HTTP response; names of headers in lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


class HttpClient:
    """A StateApi over HTTP."""

    gives_advice = True

    def __init__(self, port: int, saved: int = 201, deleted: int = 200):
        self.port = port
        self._saved, self._deleted = saved, deleted
        self._connection = HTTPConnection("127.0.0.1", port, timeout=PATIENCE_S)

    def close(self) -> None:
        self._connection.close()

    def call(self, method: str, target: str, body: bytes | str | None = None, **headers: str) -> Response:
        """Make any request; underscores in the names of headers stand for dashes."""
        content = body.encode() if isinstance(body, str) else body
        names = {name.replace("_", "-"): value for name, value in headers.items()}
        try:
            self._connection.request(method, target, content, names)
            response = self._connection.getresponse()
            body = response.read()
        except (HTTPException, OSError):
            self._connection.close()
            raise
        found = {name.lower(): value for name, value in response.getheaders()}
        return Response(response.status, found, body)

    # --- StateApi -----------------------------------------------------------------------------------------------------

    def save(self, store: str | None, *items: Item) -> None:
        self._done("POST", path(store), _array(_item(item) for item in items), self._saved)

    def get(
        self, store: str | None, key: str, *, consistency: str | None = None, metadata: Mapping[str, str] | None = None
    ) -> Found | None:
        query = {"consistency": consistency, **_parameters(metadata)}
        return _found(self._ok("GET", path(store, key) + _query(query)))

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
        query: dict[str, Any] = {"concurrency": concurrency, "consistency": consistency}
        if retry is not None:
            query |= {
                "retryInterval": retry.interval,
                "retryThreshold": retry.threshold,
                "retryPattern": retry.pattern,
            }
        headers = {} if etag is None else {"If_Match": etag}
        self._done("DELETE", path(store, key) + _query(query), None, self._deleted, **headers)

    def bulk_get(self, store: str | None, keys: Sequence[str]) -> list[Entry]:
        answer = self._ok("POST", path(store, "bulk"), json.dumps({"keys": list(keys)}))
        return _entries(answer.body)

    def transact(self, store: str | None, *operations: Operation, metadata: Mapping[str, str] | None = None) -> None:
        steps = _array(_operation(operation) for operation in operations)
        body = b'{"operations":' + steps + b',"metadata":' + json.dumps(metadata or {}).encode() + b"}"
        self._done("POST", path(store, "transaction"), body, 204)

    def keys(
        self,
        store: str | None,
        prefix: str = "",
        *,
        limit: int = 100,
        cursor: str | None = None,
        values: bool = False,
        actors: bool = False,
    ) -> tuple[list[Entry], str | None]:
        query: dict[str, Any] = {"prefix": prefix, "limit": limit, "cursor": cursor}
        query |= {"values": "true" if values else None, "actors": "true" if actors else None}
        answer = self._ok("GET", _alpha(path(store)) + "/keys" + _query(query))
        return [_entry(entry) for entry in answer.json["keys"]], answer.json["cursor"]

    def delete_keys(
        self, store: str | None, prefix: str, *, limit: int | None = None, cursor: str | None = None
    ) -> tuple[int, str | None]:
        query = _query({"prefix": prefix, "limit": limit, "cursor": cursor})
        done = self._ok("DELETE", _alpha(path(store)) + "/keys" + query).json
        return done["deleted"], done["cursor"]

    def query(self, store: str | None, query: str) -> tuple[list[Entry], str | None]:
        answer = self._ok("POST", _alpha(path(store)) + "/query", query)
        if answer.status == 204:
            return [], None
        assert answer.json["results"]
        return [_entry(entry) for entry in answer.json["results"]], answer.json.get("token")

    def delete_bulk_each(self, store: str | None, *items: Item) -> list[tuple[str, str | None]]:
        answer = self.call("POST", _alpha(path(store)) + "/bulk-delete", _array(_item(item) for item in items))
        results = answer.json["results"]
        statuses = [entry["status"] for entry in results if "status" in entry]
        assert answer.status in (statuses or [200]), answer
        return [(entry["key"], entry.get("errorCode")) for entry in results]

    def batch(self, store: str | None, *items: Item) -> list[tuple[str, str, str | None]]:
        operations = [Operation("delete" if item.value is None else "upsert", item) for item in items]
        body = b'{"operations":%b}' % _array(map(_operation, operations))
        answer = self._ok("POST", _alpha(path(store)) + "/batch?returnEtags=true", body)
        return [(entry["key"], entry["outcome"], entry.get("etag")) for entry in answer.json["results"]]

    def change(self, store: str | None, name: str, key: str, once: str | None = None, **fields: Any) -> Any:
        values = [b'"%b":%b' % (field.encode(), _spelt(value)) for field, value in {"key": key, **fields}.items()]
        headers = {} if once is None else {"Idempotency_Key": once}
        answer = self._ok("POST", _alpha(path(store)) + f"/{name}", b"{" + b",".join(values) + b"}", **headers)
        if name == "get-and-set":
            return answer.body if answer.status == 200 else None
        [found] = answer.json.values()
        return found

    def exists(self, store: str | None, key: str) -> bool:
        found: bool = self._ok("GET", _alpha(path(store)) + "/exists" + _query({"key": key})).json["exists"]
        return found

    def delete_actor_state(
        self, actor_type: str, actor_id: str, *, limit: int | None = None, cursor: str | None = None
    ) -> tuple[int, str | None]:
        target = _alpha(actor_path(actor_type, actor_id)) + _query({"limit": limit, "cursor": cursor})
        done = self._ok("DELETE", target).json
        return done["deleted"], done["cursor"]

    def get_actor_state(self, actor_type: str, actor_id: str, key: str) -> Found | None:
        return _found(self._ok("GET", f"{actor_path(actor_type, actor_id)}/{_quoted(key)}"))

    def transact_actor_state(self, actor_type: str, actor_id: str, *operations: Operation) -> None:
        body = _array(_operation(operation) for operation in operations)
        self._done("POST", actor_path(actor_type, actor_id), body, 204)

    def _done(self, method: str, target: str, body: bytes | None, status: int, **headers: str) -> None:
        answer = self._ok(method, target, body, **headers)
        assert (answer.status, answer.body) == (status, b""), answer

    def _ok(self, method: str, target: str, body: bytes | str | None = None, **headers: str) -> Response:
        answer = self.call(method, target, body, **headers)
        if answer.status >= 400:
            error = answer.json
            kind = KINDS.get(error["errorCode"]) or KINDS_OF_STATUS[answer.status]
            raise Refused(kind, error["errorCode"], error["message"])
        return answer


def path(store: str | None, key: str | None = None) -> str:
    """The path of a store or of a key in it."""
    return "/".join(["/v1.0/state", *(_quoted(part) for part in (store, key) if part is not None)])


def actor_path(actor_type: str, actor_id: str) -> str:
    return f"/v1.0/actors/{_quoted(actor_type)}/{_quoted(actor_id)}/state"


def _alpha(target: str) -> str:
    return target.replace("/v1.0/", "/v1.0-alpha1/", 1)


def _quoted(text: str) -> str:
    return quote(text, safe="")


def _query(parameters: Mapping[str, Any]) -> str:
    given = {name: value for name, value in parameters.items() if value is not None}
    return "?" + urlencode(given) if given else ""


def _parameters(metadata: Mapping[str, str] | None) -> dict[str, str]:
    return {f"metadata.{name}": value for name, value in (metadata or {}).items()}


def _spelt(value: Any) -> bytes:
    """A field of a change: bytes are JSON already, alone or in a list."""
    if isinstance(value, list):
        return _array(value)
    return value if isinstance(value, bytes) else json.dumps(value).encode()


def _array(parts: Any) -> bytes:
    return b"[" + b",".join(parts) + b"]"


def _item(item: Item) -> bytes:
    options: dict[str, Any] = {"concurrency": item.concurrency, "consistency": item.consistency}
    if item.retry is not None:
        retry = item.retry
        options["retryPolicy"] = {
            "interval": retry.interval,
            "threshold": retry.threshold,
            "pattern": retry.pattern,
        }
    given = {"key": item.key, "etag": item.etag, "metadata": dict(item.metadata) or None}
    given["options"] = {name: value for name, value in options.items() if value is not None} or None
    fields = [
        f'"{name}":{json.dumps(value, ensure_ascii=False)}'.encode()
        for name, value in given.items()
        if value is not None
    ]
    if item.value is not None:
        fields.append(b'"value":' + item.value)  # as it is: how a value is spelt is part of what is tested
    return b"{" + b",".join(fields) + b"}"


def _operation(operation: Operation) -> bytes:
    return b'{"operation":' + json.dumps(operation.name).encode() + b',"request":' + _item(operation.item) + b"}"


def _found(answer: Response) -> Found | None:
    if answer.status == 204:
        assert answer.body == b""
        return None
    assert answer.status == 200, answer
    assert answer.headers["content-type"] == "application/json"
    return Found(answer.body, answer.headers.get("etag"), answer.headers.get("metadata.ttlexpiretime"))


def _entries(body: bytes) -> list[Entry]:
    return [_entry(entry) for entry in json.loads(body)]


def _entry(entry: Mapping[str, Any]) -> Entry:
    found = None
    if "data" in entry:
        value = json.dumps(entry["data"], separators=(",", ":"), ensure_ascii=False).encode()
        found = Found(value, entry.get("etag"), entry.get("metadata", {}).get("ttlExpireTime"))
    actor = (entry["actorType"], entry["actorId"]) if "actorType" in entry else None
    return Entry(entry["key"], found, entry.get("error"), actor)
