"""What is in the table: Dapr's items, and the conditions under which they are written.

An item is `{<partition key>: S, value: S or B, etag: S, <ttl attribute>: N}`. A value that is UTF-8 text is stored as
S, so that JSON is shown as JSON; any other is B. Dapr reads both. Expired items stay until DynamoDB removes them, which
may take days: until then they count as absent here.
"""

from __future__ import annotations

import random
from dataclasses import dataclass
from itertools import count
from math import ceil
from typing import TYPE_CHECKING, Any, Final

from pannier_sidecar.state.errors import ETagMismatchError, StoreRefusedError
from pannier_sidecar.state.feeds import KeyETag
from pannier_sidecar.state.preconditions import absent_or_changed
from pannier_sidecar.state.requests import Set, Write
from pannier_sidecar.state.store import StoredValue

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    Attribute = Mapping[str, Any]
    Item = Mapping[str, Attribute]
    Arguments = dict[str, Any]

MAX_ITEM: Final = 400 * 1024
"""Bytes of all names and values of an item (DynamoDB, "Service, account, and table quotas")."""
_NUMBER_BYTES: Final = 21
"""Bytes of the longest number."""


@dataclass(frozen=True, slots=True)
class Layout:
    """The table and the names of its attributes. `now` is Unix time in seconds throughout."""

    table: str
    partition_key: str
    ttl_attribute: str
    etags: Iterator[int]
    """New ETags, from `fresh_etags`: decimal numbers, while Dapr's are random hexadecimal digits."""
    shown_table: str = "TABLE"
    shown_key: str = "KEY"
    """Table and partition key for messages."""

    def key(self, key: str) -> Arguments:
        return {self.partition_key: {"S": key}}

    def key_of(self, item: Item) -> str:
        return str(item[self.partition_key]["S"])

    def listed(self, item: Item) -> KeyETag:
        """Return what an item in the answer to `listing` says."""
        return KeyETag(self.key_of(item), _etag_of(item))

    def item(self, write: Set, now: float) -> Arguments:
        """Return the item of a write, with a new ETag. Raises StoreRefusedError if DynamoDB can't hold it."""
        etag = str(next(self.etags))
        item = {self.partition_key: {"S": write.key}, "value": _attribute(write.value), "etag": {"S": etag}}
        size = sum(map(len, (write.value, etag, "value", "etag", *map(str.encode, (write.key, self.partition_key)))))
        expires_at = write.kept_expiry if write.ttl is None else ceil(now + write.ttl)
        if expires_at is not None:
            item[self.ttl_attribute] = {"N": str(expires_at)}
            size += len(self.ttl_attribute.encode()) + _NUMBER_BYTES
        if size > MAX_ITEM:
            raise too_large(write.key, f"{size} bytes with its key and attributes")
        return item

    def stored_value(self, key: str, item: Item | None, now: float) -> StoredValue | None:
        """Return what an item holds, None if it has expired.

        Raises StoreRefusedError for one that neither Dapr nor Pannier wrote.
        """
        if not item:
            return None
        expires_at = _number(item.get(self.ttl_attribute))
        if expires_at is not None and expires_at <= now:
            return None
        return StoredValue(
            _value(key, item.get("value", {})), _etag_of(item), None if expires_at is None else int(expires_at)
        )

    def listing(self, prefix: str, now: float) -> Arguments:
        """Return the arguments of a scan for the keys with a prefix that have not expired, and their ETags."""
        names = {"#key": self.partition_key, "#etag": "etag", "#ttl": self.ttl_attribute}
        values = {":now": {"N": repr(now)}}
        only = "(attribute_not_exists(#ttl) OR #ttl > :now)"
        if prefix:
            values[":prefix"] = {"S": prefix}
            only += " AND begins_with(#key, :prefix)"
        return {
            "FilterExpression": only,
            "ProjectionExpression": "#key, #etag",
            "ExpressionAttributeNames": names,
            "ExpressionAttributeValues": values,
        }

    def writing(self, write: Write, now: float) -> tuple[str, Arguments]:
        """Return the kind of a write, `Put` or `Delete`, and its arguments without a condition."""
        if isinstance(write, Set):
            return "Put", {"Item": self.item(write, now)}
        return "Delete", {"Key": self.key(write.key)}

    def condition(self, writes: Sequence[Write], now: float) -> Arguments:
        """Return the arguments that make a call depend on the preconditions of all these writes to one key."""
        etags = {write.if_match for write in writes if write.if_match is not None}
        must_be_absent = any(write.if_absent for write in writes)
        if not etags and not must_be_absent:
            return {}
        names = {"#ttl": self.ttl_attribute}
        values = {":now": {"N": repr(now)}}
        clauses = []
        if must_be_absent:
            names["#key"] = self.partition_key
            clauses.append("(attribute_not_exists(#key) OR #ttl <= :now)")
        if etags:
            names["#etag"] = "etag"
            values |= {f":etag{place}": {"S": etag} for place, etag in enumerate(etags)}
            clauses += [f"#etag = :etag{place}" for place in range(len(etags))]
            clauses.append("(attribute_not_exists(#ttl) OR #ttl > :now)")
        return {
            "ConditionExpression": " AND ".join(clauses),
            "ExpressionAttributeNames": names,
            "ExpressionAttributeValues": values,
        }


def fresh_etags() -> Iterator[int]:
    """Return ETags that differ from those of earlier runs and of other processes.

    Numbers below 2^53 survive clients that put them into JSON without quotes.
    """
    return count(random.randrange(1, 2**52))


def mismatch(writes: Sequence[Write]) -> ETagMismatchError:
    """Return the error for writes to one key whose preconditions did not hold."""
    return absent_or_changed(next(write for write in writes if write.is_conditional))


def too_large(key: str, size: str) -> StoreRefusedError:
    return StoreRefusedError(
        f"the value of key {key} is too large: {size}, and DynamoDB holds {MAX_ITEM} bytes an item; "
        "split it over several keys, or use another store"
    )


def _etag_of(item: Item) -> str:
    return str(item.get("etag", {}).get("S", ""))


def _attribute(value: bytes) -> Attribute:
    try:
        return {"S": value.decode()}
    except UnicodeDecodeError:
        return {"B": value}


def _value(key: str, attribute: Attribute) -> bytes:
    if "S" in attribute:
        return str(attribute["S"]).encode()
    if "B" in attribute:
        return bytes(attribute["B"])
    raise StoreRefusedError(
        f"the item of key {key} has no attribute 'value' of type S or B, so no state store wrote it; "
        "write the key again, or use a table of its own"
    )


def _number(attribute: Attribute | None) -> float | None:
    return float(attribute["N"]) if attribute and "N" in attribute else None
