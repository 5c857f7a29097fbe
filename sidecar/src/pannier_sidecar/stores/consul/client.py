"""The part of Consul's HTTP API that the store uses."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple, TypeVar
from urllib.parse import quote

from msgspec import DecodeError, Struct, json

from pannier_sidecar.network.http_client import HttpClient
from pannier_sidecar.state.errors import OutcomeUnknownError, StoreRefusedError, StoreUnavailableError, unanswered

from . import errors
from .layout import Entry, Operation, Version

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pannier_sidecar.network.http_client import Answer

    from .settings import ConsulSettings

Found = TypeVar("Found")

_JITTER: Final = 1.1
"""Consul waits for up to a sixteenth longer than it is asked to."""
_MAX_DIGITS: Final = 20
_NOT_CONSUL: Final = "the server that answers is not Consul; check httpAddr"


class _Result(Struct, rename={"entry": "KV"}):
    entry: Entry


class OperationError(Struct, rename={"place": "OpIndex", "what": "What"}):
    """Why an operation of a transaction could not be carried out."""

    place: int
    what: str


class _Outcome(Struct, rename="pascal"):
    results: list[_Result] | None
    errors: list[OperationError] | None


class Limits(Struct, rename={"value": "KVMaxValueSize", "transaction": "TxnMaxReqLen"}):
    """Bytes that a value, and a transaction as JSON, may have; 0: not known."""

    value: int = 0
    transaction: int = 0


class _Self(Struct, rename="pascal"):
    debug_config: Limits


class TransactionResult(NamedTuple):
    """The result of a transaction: the entries that it read, or why nothing happened."""

    entries: Sequence[Entry]
    errors: Sequence[OperationError]


class Listing(Struct, frozen=True):
    """All entries with a prefix, without their values."""

    index: int
    """Grows when one of them changes; it may get smaller when Consul forgets what was deleted."""
    versions: list[Version]


class Client:
    """The key/value store of a Consul agent. Every method raises a StoreError."""

    def __init__(self, settings: ConsulSettings):
        """Call it in the event loop. Raises StoreRefusedError for a certificate that cannot be used."""
        self._settings = settings
        self._kv = f"{settings.url}/v1/kv/"
        self._datacenter = f"dc={quote(settings.datacenter, safe='')}" if settings.datacenter else ""
        encryption = settings.encryption
        self._http = HttpClient(
            errors.wording(settings),
            settings.timeout,
            tls=encryption.context() if encryption else True,
            fields={"X-Consul-Token": settings.token.reveal()} if settings.token else None,
        )

    async def close(self) -> None:
        await self._http.close()

    @property
    def permission_advice(self) -> str:
        return errors.permission_advice(self._settings)

    async def leader(self) -> str:
        """Return the address of the servers' leader; empty if there is none."""
        body = await self._request("GET", f"{self._settings.url}/v1/status/leader?{self._datacenter}")
        return _decoded(body, str)

    async def limits(self) -> Limits:
        """Return the limits on sizes; zeros if the token may not read them."""
        try:
            body = await self._request("GET", f"{self._settings.url}/v1/agent/self")
            return _decoded(body, _Self).debug_config
        except StoreRefusedError:
            return Limits()

    async def read(self, name: str, strong: bool = False) -> Entry | None:
        """Return the entry of a plain name; None: there is none."""
        body = await self._request("GET", self._url_of(name, "consistent" if strong else ""))
        if not body:
            return None
        return _not_empty(_decoded(body, list[Entry]))[0]

    async def names(self, prefix: str) -> list[str]:
        """Return all names with a plain prefix, in the order of their bytes."""
        body = await self._request("GET", self._url_of(prefix, "keys"))
        return _not_empty(_decoded(body, list[str])) if body else []

    async def versions(self, prefix: str, after: int | None = None, wait_s: int = 0) -> Listing:
        """Return the versions of all entries with a plain prefix. With `after`, Consul answers when the index is
        another one, or after `wait_s` seconds and a little more.
        """
        waiting = "" if after is None else f"&index={max(after, 1)}&wait={wait_s}s"
        index, body = await self._indexed(prefix, f"recurse&consistent{waiting}", wait_s * _JITTER)
        return Listing(index, _not_empty(_decoded(body, list[Version])) if body else [])

    async def prefix_index(self, prefix: str) -> int:
        """Return the index of the entries with a plain prefix."""
        return (await self._indexed(prefix, "keys&consistent"))[0]

    async def changes_index(self, absent: str) -> int:
        """Return a number that grows when any entry changes: Consul sends it for a plain name without an entry."""
        return (await self._indexed(absent, "consistent"))[0]

    async def put(self, name: str, value: bytes, flags: int, index: int | None) -> bool:
        """Write an entry of a plain name, if it has this ModifyIndex (0: if it is absent). Return whether it was
        written.
        """
        condition = "" if index is None else f"&cas={index}"
        body = await self._request("PUT", self._url_of(name, f"flags={flags}{condition}"), value, is_write=True)
        return _is_true(body)

    async def delete(self, name: str) -> None:
        """Remove an entry of a plain name."""
        _is_true(await self._request("DELETE", self._url_of(name, ""), is_write=True))

    async def transact(
        self, operations: Sequence[Operation], *, only_reads: bool = False, strong: bool = False
    ) -> TransactionResult:
        """Carry out all operations, or none."""
        query = "&".join(part for part in (self._datacenter, "consistent" if strong and only_reads else "") if part)
        body = json.encode(operations)
        answer = await self._request("PUT", f"{self._settings.url}/v1/txn?{query}", body, is_write=not only_reads)
        outcome = _decoded(answer, _Outcome, is_write=not only_reads)
        return TransactionResult([result.entry for result in outcome.results or ()], outcome.errors or ())

    def _url_of(self, name: str, query: str) -> str:
        more = "&".join(part for part in (query, self._datacenter) if part)
        return f"{self._kv}{quote(name)}?{more}"

    async def _request(self, method: str, url: str, body: bytes | None = None, *, is_write: bool = False) -> bytes:
        """Return the body of the answer, empty for 404. A read is repeated if the connection is lost."""
        return self._body(await self._http.send(method, url, body, is_write=is_write), is_write=is_write)

    async def _indexed(self, name: str, query: str, waits: float = 0) -> tuple[int, bytes]:
        """Return the index that Consul sends with an answer, and its body."""
        answer = await self._http.send("GET", self._url_of(name, query), waits=waits)
        body = self._body(answer, is_write=False)
        index = answer.fields.get("X-Consul-Index", "")
        if not (index.isascii() and index.isdigit() and len(index) < _MAX_DIGITS):
            raise StoreUnavailableError(_NOT_CONSUL)
        return int(index), body

    def _body(self, received: Answer, *, is_write: bool) -> bytes:
        status, _, answer = received
        if status in (200, 409):
            return answer
        if status == 404 and not answer:
            return b""
        text = answer.decode(errors="replace").strip()
        if status >= 500 or status == 429:
            raise errors.try_later(self._settings, status, text, is_write=is_write)
        raise errors.refusal(self._settings, status, text)


def _decoded(body: bytes, kind: type[Found], *, is_write: bool = False) -> Found:
    try:
        return json.decode(body, type=kind)
    except (DecodeError, RecursionError, UnicodeDecodeError) as error:
        raise unanswered(_NOT_CONSUL, may_have_changed=is_write) from error


def _not_empty(found: list[Found]) -> list[Found]:
    """Return what a read has found. Raises StoreUnavailableError for an empty list: Consul would have answered 404."""
    if not found:
        raise StoreUnavailableError(_NOT_CONSUL)
    return found


def _is_true(body: bytes) -> bool:
    """Return whether a write was made. Raises OutcomeUnknownError for an answer that does not say."""
    if body.strip() not in (b"true", b"false"):
        raise OutcomeUnknownError(_NOT_CONSUL)
    return body.startswith(b"true")
