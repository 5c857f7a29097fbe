"""Decides which server is the primary, from the reports of several Sentinels.

A failover needs the votes of a majority and gives the new primary a higher configuration epoch (Redis documentation,
"High availability with Sentinel"). So the highest epoch that any Sentinel knows is right. A Sentinel that was cut off
from the others keeps reporting an older one.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

from msgspec import Struct

from .settings import Address

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


class Report(Struct, frozen=True):
    """What one Sentinel reports."""

    sentinel: str
    """Its run id: it may be known under several addresses."""
    primary: Address
    epoch: int = 0
    sentinels: int = 1
    """How many it knows, itself included."""
    replicas: int = 0
    """How many the primary should have."""
    reachable: int = 0
    """How many of them this Sentinel reaches."""
    listed: frozenset[bytes] = frozenset()
    """Their addresses, as INFO writes them."""
    others: tuple[Address, ...] = ()
    """The addresses of the other Sentinels that it knows."""


class Verdict(Struct, frozen=True):
    """Which server is the primary."""

    primary: Address
    epoch: int
    answering: int
    """How many Sentinels can be reached now."""
    sentinels: int
    """How many Sentinels there are."""
    replicas: int
    """How many the primary should have."""
    reachable: int
    """How many of them some Sentinel reaches."""
    listed: frozenset[bytes] = frozenset()
    """Their addresses, by any Sentinel's report."""

    @property
    def has_majority(self) -> bool:
        """Whether so many Sentinels can be reached that a failover would be noticed."""
        return 2 * self.answering > self.sentinels


def judge(reports: Sequence[Report], before: Verdict | None) -> Verdict | None:
    """Return the verdict on the Sentinels' reports; None if there have never been any."""
    by_sentinel = {report.sentinel: report for report in reports}.values()
    answering = len(by_sentinel)
    sentinels = max([report.sentinels for report in reports], default=before.sentinels if before else 0)
    newest = max([report.epoch for report in by_sentinel], default=-1)
    agree = len({report.primary for report in by_sentinel}) == 1
    # A lower epoch than before is out of date, unless a majority agrees: then the Sentinels were set up again.
    if before is not None and newest < before.epoch and not (agree and 2 * answering > sentinels):
        return Verdict(before.primary, before.epoch, answering, sentinels, before.replicas, 0, before.listed)
    if not by_sentinel:
        return None
    named = Counter(report.primary for report in by_sentinel if report.epoch == newest).most_common(1)[0][0]
    agreeing = [report for report in by_sentinel if report.primary == named]
    replicas, reachable = (max(getattr(each, name) for each in agreeing) for name in ("replicas", "reachable"))
    listed = frozenset().union(*(report.listed for report in agreeing))
    return Verdict(named, newest, answering, sentinels, replicas, reachable, listed)


def report_from(run_id: str, address: Sequence[bytes], primary: object, replicas: object, sentinels: object) -> Report:
    """Return what the answers of a Sentinel mean. Those after the address may be errors, if the user may not ask for
    them.
    """
    fields = _fields(primary)
    others = [_fields(each) for each in sentinels] if isinstance(sentinels, list) else []
    listed = [_fields(each) for each in replicas] if isinstance(replicas, list) else None
    known = _number(fields, b"num-slaves")
    return Report(
        run_id,
        Address(address[0].decode(), int(address[1])),
        _number(fields, b"config-epoch"),
        1 + max(_number(fields, b"num-other-sentinels"), len(others)),
        known if listed is None else _expected(listed),
        known if listed is None else sum(not _is_gone(replica) for replica in listed),
        frozenset(b"ip=%b,port=%b" % (each.get(b"ip", b""), each.get(b"port", b"")) for each in listed or ()),
        tuple(Address(each[b"ip"].decode(), int(each[b"port"])) for each in others if each.get(b"ip")),
    )


def _expected(replicas: Sequence[Mapping[bytes, bytes]]) -> int:
    """Return how many replicas there should be.

    A replica that is down counts, because otherwise a strong write would have too few copies. The former primary is
    listed as a replica after a failover, but does not count until it is one: while it is down it has no run id, and
    when it is back it reports itself as a primary for some seconds.
    """
    count = sum(not _was_primary(replica) for replica in replicas)
    return max(count, 1) if replicas else 0


def _was_primary(replica: Mapping[bytes, bytes]) -> bool:
    return replica.get(b"role-reported") == b"master" or (_is_gone(replica) and not replica.get(b"runid"))


def _is_gone(replica: Mapping[bytes, bytes]) -> bool:
    flags = replica.get(b"flags", b"")
    return b"s_down" in flags or b"disconnected" in flags


def _fields(reply: Any) -> Mapping[bytes, bytes]:
    """Return a map, which older servers and RESP2 give as a flat list."""
    if isinstance(reply, dict):
        return reply
    if isinstance(reply, list):
        return dict(zip(reply[::2], reply[1::2], strict=False))
    return {}


def _number(fields: Mapping[bytes, bytes], name: bytes) -> int:
    text = fields.get(name, b"")
    return int(text) if text.isdigit() else 0
