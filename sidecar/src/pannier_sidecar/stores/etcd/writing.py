"""Preconditions and operations as etcd's transactions have them."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

from aetcd import rpc

from pannier_sidecar.state.errors import InvalidETagError
from pannier_sidecar.state.preconditions import mismatch

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from pannier_sidecar.state.requests import Write
    from pannier_sidecar.state.store import StoredValue

_REVISION: Final = re.compile(r"(?a:[1-9]\d{0,18})")


def revision_of(etag: str) -> int:
    """Return the revision that an ETag stands for. Raises InvalidETagError."""
    if _REVISION.fullmatch(etag) is None or int(etag) >= 2**63:
        raise InvalidETagError(f"{etag[:40]!r} is no revision of etcd; write the ETag that the last read gave")
    return int(etag)


def was_last_written(name: bytes, revision: int) -> Any:
    """Return the condition that a key has this revision; 0: it is absent."""
    return rpc.Compare(key=name, target=rpc.Compare.MOD, result=rpc.Compare.EQUAL, mod_revision=revision)


def never_expires(name: bytes) -> Any:
    """Return the condition that no lease will remove a key."""
    return rpc.Compare(key=name, target=rpc.Compare.LEASE, result=rpc.Compare.EQUAL, lease=0)


def conditions_of(guarded: Iterable[tuple[Write, bytes]]) -> Iterator[Any]:
    """Yield conditions that prove the preconditions. For a key with an expiry, a precondition may hold although its
    condition fails.

    Raises InvalidETagError.
    """
    for write, name in guarded:
        if write.if_match is None:
            yield was_last_written(name, 0)
        else:
            yield was_last_written(name, revision_of(write.if_match))
            yield never_expires(name)


def check(guarded: Iterable[tuple[Write, bytes]], present: Mapping[bytes, StoredValue | None]) -> None:
    """Raise ETagMismatchError if a precondition does not hold; in `present`, what has expired is None."""
    for write, name in guarded:
        found = present[name]
        if error := mismatch(write, None if found is None else found.etag):
            raise error
