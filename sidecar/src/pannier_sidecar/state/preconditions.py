"""Whether the precondition of a write holds, and what its error says where it does not."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .errors import ETagMismatchError

if TYPE_CHECKING:
    from .requests import Write


def mismatch(write: Write, etag: str | None) -> ETagMismatchError | None:
    """Return the error if the precondition does not hold; `etag` is the key's, None where it has no value."""
    holds = etag is None if write.if_absent else write.if_match is None or write.if_match == etag
    return None if holds else unmet(write, etag)


def unmet(write: Write, etag: str | None) -> ETagMismatchError:
    """Return the error of a precondition that does not hold."""
    if write.if_absent:
        return exists_already(write)
    if etag is None:
        return is_absent(write)
    return ETagMismatchError(f"key {write.key} has ETag {etag}, not {write.if_match}; read it again")


def absent_or_changed(write: Write) -> ETagMismatchError:
    """Return the error of a precondition that does not hold, from a store that does not learn the key's ETag."""
    if write.if_absent or write.if_match is None:
        return exists_already(write)
    return ETagMismatchError(f"key {write.key} is absent or has another ETag than {write.if_match[:80]}; read it again")


def exists_already(write: Write) -> ETagMismatchError:
    """Return the error of a write with `if_absent` whose key is present."""
    return ETagMismatchError(f"key {write.key} exists already, and first-write without an ETag only creates")


def is_absent(write: Write) -> ETagMismatchError:
    """Return the error of a write with `if_match` whose key is absent."""
    return ETagMismatchError(f"key {write.key} does not exist, so it has no ETag {write.if_match}")
