"""What is remembered of requests with an Idempotency-Key, so that a repeated one is answered and not carried out again.

The record of a request is a key of the store, written in the same transaction as the change, on the condition that it
is absent: of two sidecars with the same request only one writes. It names the request by its fingerprint and has the
result. Its stored key holds `||` where no key of an app or an actor can, so no call reaches it, and no list shows it.
It expires after `idempotencyKeyTTLInSeconds` of the component.

The header is that of draft-ietf-httpapi-idempotency-key-header.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

import msgspec
from msgspec import Raw, Struct

from pannier_crds.digests import blake2b

from .changes import GetAndSet
from .errors import MalformedRequestError, StoreRefusedError
from .errors.of_changes import IdempotencyKeyReusedError, IdempotencyNotSupportedError
from .requests import Get, Set
from .store import Feature

if TYPE_CHECKING:
    from .changes import Change
    from .directory import ServedStore
    from .store import StoredValue

MAX_KEY: Final = 255
"""Maximum of characters in an Idempotency-Key."""
DIGEST_BYTES: Final = 20
_KEY: Final = re.compile(r"[!-~]( *[!-~])*")


class Once(Struct, frozen=True):
    """A request that is to be carried out once."""

    record: str
    """The stored key of its record."""
    fingerprint: str
    """The same for the same request; nothing of what is in it can be read from it."""
    ttl: int
    """Seconds for which it is remembered."""
    metadata: Mapping[str, str]
    """Of calls about the record: stores with partitions keep it beside the key that is changed."""

    def read(self) -> Get:
        return Get(self.record, True, self.metadata)

    def write(self, record: Record) -> Set:
        return Set(self.record, msgspec.json.encode(record), None, True, self.ttl, metadata=self.metadata)


class Record(Struct, frozen=True):
    """What is remembered of a request that was carried out."""

    fingerprint: str
    result: Raw
    """As JSON; bytes are in base64."""

    @classmethod
    def of(cls, once: Once, result: object) -> Record:
        return cls(once.fingerprint, Raw(msgspec.json.encode(result)))

    def require(self, once: Once, key: str) -> None:
        """Raise IdempotencyKeyReusedError if it is of another request. `key` is the app's key, for the message."""
        if self.fingerprint != once.fingerprint:
            raise IdempotencyKeyReusedError(key)

    def result_of(self, once: Once, change: Change) -> Any:
        """Return the result for the same request. Raises IdempotencyKeyReusedError for another one."""
        self.require(once, change.key)
        return msgspec.json.decode(self.result, type=bytes | None if isinstance(change, GetAndSet) else int | bool)


def record_in(found: StoredValue) -> Record:
    """Return the record that is stored. Raises StoreRefusedError if it is none."""
    try:
        return _DECODER.decode(found.value)
    except msgspec.DecodeError as error:
        raise StoreRefusedError("what is remembered of the Idempotency-Key cannot be read; use another one") from error


_DECODER: Final = msgspec.json.Decoder(Record)


def once_of(
    served: ServedStore, app_id: str, stored: str, metadata: Mapping[str, str], text: str, request: object
) -> Once:
    """Return what carries out a request once. `stored` is the stored key that it changes, `metadata` that of the
    request, `text` its Idempotency-Key, and `request` everything that the result depends on.

    Raises MalformedRequestError and IdempotencyNotSupportedError.
    """
    name = _checked(text)
    if not (served.supports(Feature.TRANSACTIONAL) and served.supports(Feature.TTL)):
        raise IdempotencyNotSupportedError(served.name)
    record = served.keys.beside(served.store.together(stored), _digest([app_id, stored, name]))
    return Once(record, _digest(request), served.idempotency_ttl, {"partitionKey": stored, **metadata})


def _checked(text: str) -> str:
    """Return the key without the quotes that the draft puts around it. Raises MalformedRequestError."""
    name = text[1:-1] if len(text) > 1 and text[0] == text[-1] == '"' else text
    if len(name) > MAX_KEY or not _KEY.fullmatch(name):
        raise MalformedRequestError(
            f"Idempotency-Key has {len(name)} characters, or others than printable ones of ASCII",
            f"write up to {MAX_KEY}, such as a UUID",
        )
    return name


def _digest(what: object) -> str:
    # `dict` turns the mappings that are no dict into one.
    return blake2b(msgspec.json.encode(what, enc_hook=dict), digest_size=DIGEST_BYTES).hexdigest()
