"""The bodies of requests as clients send them: their fields, and the same fields in another case.

Go, and so Dapr, takes a field in any case; msgspec, which decodes bodies, knows exact names only.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Generic, TypeVar

import msgspec
from msgspec import Raw, Struct

from ..state.errors import TooManyItemsError

# Unknown fields are allowed (as in Dapr). The structs forbid them nevertheless, because most of them are known fields
# in another case, which Go accepts. After the error, `normalize_fields` renames these and drops the others.

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


class FieldMap(Struct, frozen=True):
    """The fields of an object: from the name in lower case to the proper name and the fields inside it."""

    fields: Mapping[str, tuple[str, FieldMap | None]]

    @classmethod
    def of(cls, struct: type[Struct], **inner: FieldMap) -> FieldMap:
        return cls({name.lower(): (name, inner.get(name)) for name in struct.__struct_fields__})


OPTIONS = FieldMap.of(SentOptions, retryPolicy=FieldMap.of(SentRetryPolicy))
ITEM = FieldMap.of(StrictItem, options=OPTIONS)
OPERATION = FieldMap.of(SentOperation, request=ITEM)
TRANSACTION = FieldMap.of(SentTransaction, operations=OPERATION)
BULK_GET = FieldMap.of(SentBulkGet)


def normalize_fields(body: bytes, field_map: FieldMap, max_items: int, *, may_be_list: bool = True) -> bytes:
    """Return an object, or a list of objects, with its fields named as in the map; return any other value unchanged."""
    try:
        node = msgspec.json.decode(body, type=dict[str, Raw] | list[Raw])
    except msgspec.ValidationError:
        return body
    if isinstance(node, list):
        if not may_be_list:
            return body
        if len(node) > max_items:
            raise TooManyItemsError(max_items)
        renamed = [normalize_fields(bytes(inner), field_map, max_items, may_be_list=False) for inner in node]
        return b"[" + b",".join(renamed) + b"]"
    fields: dict[str, Raw] = {}
    for sent, value in node.items():
        name, inner = field_map.fields.get(sent.lower(), ("", None))
        if name:
            fields[name] = value if inner is None else Raw(normalize_fields(bytes(value), inner, max_items))
    return msgspec.json.encode(fields)
