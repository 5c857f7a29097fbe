"""The bodies of requests as clients send them: their fields."""

from __future__ import annotations

from typing import Generic, TypeVar

import msgspec
from msgspec import Raw, Struct

# Unknown fields are allowed (as in Dapr). The structs forbid them nevertheless, because most of them are known fields
# in another case, which Go accepts. After the error, `renaming.py` renames these and drops the others.

Number = int | float


def _null() -> Raw:
    return Raw(b"null")  # a factory, because a Raw can't stand in a JSON schema as a default


class SentRetryPolicy(Struct, forbid_unknown_fields=True, gc=False):
    """`options.retryPolicy` of the published specs."""

    interval: int | None = None
    threshold: int | None = None
    pattern: str | None = None


class SentOptions(Struct, forbid_unknown_fields=True, gc=False):
    """`options` of an item."""

    concurrency: str | None = None
    consistency: str | None = None
    retryPolicy: SentRetryPolicy | None = None  # noqa: N815  # the name in JSON, by which errors are reported too


class StrictItem(Struct, forbid_unknown_fields=True, gc=False):
    """One item to write, as Dapr reads it."""

    key: str
    value: Raw = msgspec.field(default_factory=_null)
    etag: str | None = None
    metadata: dict[str, str | None] | None = None
    options: SentOptions | None = None


class LenientItem(Struct, forbid_unknown_fields=True, gc=False):
    """One item to write, with numbers allowed in place of strings: examples in the specs have ETags without quotes."""

    key: str
    value: Raw = msgspec.field(default_factory=_null)
    etag: str | int | None = None
    metadata: dict[str, str | bool | Number | None] | None = None
    options: SentOptions | None = None


Item = TypeVar("Item", StrictItem, LenientItem)


class SentOperation(Struct, Generic[Item], forbid_unknown_fields=True, gc=False):
    """One operation of a transaction."""

    operation: str
    request: Item


Operation = TypeVar("Operation")


class SentTransaction(Struct, Generic[Operation], forbid_unknown_fields=True, gc=False):
    """The body of a transaction."""

    operations: list[Operation] | None = None
    metadata: dict[str, str | None] | None = None


class SentBulkGet(Struct, forbid_unknown_fields=True, gc=False):
    """The body of a bulk get. `parallelism` is accepted and ignored, because stores get many keys in one request."""

    keys: list[str] | None = None
    parallelism: int | None = None
    metadata: dict[str, str | None] | None = None
