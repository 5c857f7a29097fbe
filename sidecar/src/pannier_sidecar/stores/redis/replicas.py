"""How many replicas have to acknowledge a strong write, and what they have acknowledged so far."""

from __future__ import annotations

from math import inf
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from .info import History

COUNT_VALID_S: Final = 1.0
"""Seconds after which the server is asked again how many replicas it has."""
MISSED_S: Final = 60.0
"""Seconds for which a replica that has gone is still expected to acknowledge: it may come back."""
MOVED_S: Final = 5.0
"""MISSED_S for a server that has as many replicas as always: then one has probably only changed its address."""


class ReplicaCount:
    """How many replicas there should be: what Sentinels or a Cluster say, or else how many the server has had.

    A single server is expected to have as many as when the store first asked, or as it later had for a minute. That
    holds until the store is closed, and after a restart of the server too, when it has none at first.
    """

    def __init__(self, *, is_known: bool = False):
        """`is_known`: Sentinels or a Cluster know how many there should be, and `require` is called."""
        self.online_replicas: int | None = None
        """How many were online when the server was asked last; None: it does not report that."""
        self.acknowledged: History | None = None
        """What all replicas of the server had when a strong write was acknowledged last."""
        self._is_known = is_known
        self._required = 0
        self._listed: frozenset[bytes] = frozenset()
        self._count = 0
        self._missed_until = 0.0
        self._steady: int | None = None
        """How many a single server had at first, or later for MISSED_S seconds; None before its first report."""
        self._more = 0
        self._more_since = inf
        self._reported: dict[bytes, float] = {}
        """Replicas that followed this server, and until when (loop time) each is expected to come back."""
        self._valid_until = 0.0

    def is_valid(self, now: float) -> bool:
        return now < self._valid_until

    def note(self, count: int, now: float, addresses: frozenset[bytes] = frozenset()) -> None:
        """Record what the server reports; a smaller count than before holds only after a while.

        A new replica does not make up for one that has gone: that one may have been promoted.
        """
        self._valid_until = now + COUNT_VALID_S
        left = {address: until for address, until in self._reported.items() if now < until}
        if self._steady is not None and count >= self._steady:
            left = {address: min(until, now + MOVED_S) for address, until in left.items()}
        self._reported = left | dict.fromkeys(addresses, now + MISSED_S)
        if count >= self._count or now >= self._missed_until:
            self._count = count
            self._missed_until = now + MISSED_S
        if not self._is_known:
            self._record_steady(count, now)

    def _record_steady(self, count: int, now: float) -> None:
        """Record a count; a larger one has to last, as a replica may be counted beside the one that it replaces."""
        if self._steady is None:
            self._steady = count
        elif count <= self._steady:
            self._more_since = inf
        elif self._more_since == inf:
            self._more, self._more_since = count, now
        else:
            self._more = min(self._more, count)
            if now >= self._more_since + MISSED_S:
                self._steady, self._more_since = self._more, inf

    def forget(self) -> None:
        """Ask the server again before the next write."""
        self._valid_until = 0.0

    def require(self, count: int, listed: frozenset[bytes] = frozenset()) -> None:
        """Record what Sentinels or a Cluster say of the server's replicas: how many there should be, and where.

        A replica that they no longer list at its address has moved, or was taken away for good.
        """
        self._required = count
        gone = self._listed - listed
        self._listed = listed
        for address in gone:
            self._reported.pop(address, None)
        if gone:
            self._count = min(self._count, max(count, len(self._reported)))

    def after_restart(self, now: float) -> None:
        """Note that the server's process is another: it was restarted, or Sentinels put a replica in its place."""
        if self._is_known:
            self.after_failover(now)
        else:
            self.forget()

    def after_failover(self, now: float, before: ReplicaCount | None = None) -> None:
        """Note that a replica has become the primary; `before` is the former primary's count, if it had a separate one.

        The other replicas are expected even before they follow the new primary. At least one is expected, even if the
        new primary was the only replica. Otherwise writes that only the new primary has would be lost if it failed, or
        if it were replaced because it is too busy to answer.
        """
        before = before or self
        self._count = max(before.expected - 1, min(before.expected, 1))
        self.acknowledged = before.acknowledged
        self._reported = {}
        self._missed_until = now + MISSED_S
        self._valid_until = 0.0

    def after_move(self) -> None:
        """Note that the server has taken over slots without a failover: their former owner still has other slots."""
        self._count = 0
        self.acknowledged = None
        self._valid_until = 0.0

    def lacks(self, history: History | None) -> bool:
        """Return whether a server with this history certainly lacks writes that all replicas acknowledged."""
        known = self.acknowledged
        return known is not None and history is not None and history.lacks(known)

    @property
    def remedy(self) -> str:
        """What to do if replicas were taken away for good."""
        if self._is_known:
            return "let those that were taken away for good be forgotten (SENTINEL RESET, CLUSTER FORGET)"
        return "restart the sidecar if they were taken away for good"

    @property
    def expected(self) -> int:
        return max(self._required, self.reported)

    @property
    def reported(self) -> int:
        """How many the server itself has reported."""
        return max(self._count, self._steady or 0, len(self._reported))
