"""A lock that is a leased key: how it is acquired, renewed and released. Does no I/O.

The key holds the owner's random name and expires by itself. It is created by a first-write, and changed only on the
condition of its ETag, so two owners never have it at the same time in the store.
"""

from __future__ import annotations

import secrets
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Final

from .calls import Calls, Delete, Flow, Upsert
from .errors import ConflictError, LockLostError, OutcomeUnknownError, PannierError

if TYPE_CHECKING:
    from collections.abc import Iterable

_MARGIN_S: Final = 1.0
"""The lease ends so much earlier here than in the store, which counts whole seconds."""
_MIN_TTL: Final = 3
_ATTEMPTS: Final = 3


class Lease:
    """One owner's lease of one key."""

    def __init__(self, calls: Calls, key: str, ttl: int):
        """`ttl`: seconds for which the lease holds without being renewed. Raises ValueError if they are too few."""
        if ttl < _MIN_TTL:
            raise ValueError(f"the ttl of a lock is {ttl}; write {_MIN_TTL} seconds or more")
        self._calls = calls
        self._key = key
        self._ttl = ttl
        self._value = {"owner": secrets.token_hex(16)}
        self._etag = ""
        self._ends_at = 0.0
        self.is_lost = False

    @property
    def renews_after(self) -> float:
        """Seconds from one renewal to the next."""
        return self._ttl / 3

    @property
    def left(self) -> float:
        """Seconds until it ends here, by this machine's clock; 0 if it has ended or is lost."""
        return 0.0 if self.is_lost else max(0.0, self._ends_at - time.monotonic())

    def check(self) -> None:
        """Raise LockLostError if it has ended or is lost."""
        if not self.left:
            self.is_lost = True
            raise LockLostError(f"the lock {self._key!r} is lost: somebody else may hold it now")

    def acquire(self) -> Flow[bool]:
        """Return whether the lock is held now; False: somebody else holds it. Raises PannierError."""
        begun = time.monotonic()
        try:
            yield from self._calls.save(Upsert(self._key, self._value, first_write=True, ttl=self._ttl), strong=True)
        except ConflictError:
            return False
        except OutcomeUnknownError:
            pass  # the key says whether it was written
        if not (yield from self._reread()):
            return False
        self._ends_at = begun + self._ttl - _MARGIN_S
        return True

    def renew(self) -> Flow[None]:
        """Have the lease begin again. Raises LockLostError, or another PannierError if that is not known."""
        yield from self.transact(())

    def transact(self, operations: Iterable[Upsert | Delete]) -> Flow[None]:
        """Renew the lease and carry out the operations, all or none: what they write is written only while the lock is
        held. Raises ConflictError for an ETag of theirs, LockLostError, or another PannierError.
        """
        operations = tuple(operations)
        for _ in range(_ATTEMPTS):
            self.check()
            begun, before = time.monotonic(), self._etag
            try:
                yield from self._written(operations)
            except (ConflictError, OutcomeUnknownError) as error:
                yield from self._look()
                if operations and (
                    isinstance(error, OutcomeUnknownError) or (self._etag == before and not self.is_lost)
                ):
                    raise
                continue  # it is lost, or an earlier renewal, whose answer was lost, has changed the ETag
            self._ends_at = begun + self._ttl - _MARGIN_S
            yield from self._look()
            return
        raise PannierError(f"the lock {self._key!r} could not be renewed: it changed all the time")

    def release(self) -> Flow[None]:
        """Delete the key if it is still this owner's; what cannot be deleted expires by itself. Raises PannierError."""
        is_held, self.is_lost = self.left > 0, True
        while is_held:
            try:
                yield from self._calls.delete(Delete(self._key, self._etag))
                return
            except ConflictError:  # or a renewal, whose answer was lost, has changed the ETag
                before = self._etag
                is_held = (yield from self._reread()) and before != self._etag

    def _written(self, operations: tuple[Upsert | Delete, ...]) -> Flow[None]:
        own = Upsert(self._key, self._value, self._etag, ttl=self._ttl)
        if operations:
            yield from self._calls.transact((own, *operations))
        else:
            yield from self._calls.save(own, strong=True)

    def _look(self) -> Flow[None]:
        """Read the ETag again, and whether the lock is lost, if that can be read: what was written or not stays so."""
        with suppress(PannierError):
            if not (yield from self._reread()):
                self.is_lost = True

    def _reread(self) -> Flow[bool]:
        item = yield from self._calls.get(self._key, strong=True)
        if item is None or item.value != self._value:
            return False
        self._etag = item.etag
        return True
