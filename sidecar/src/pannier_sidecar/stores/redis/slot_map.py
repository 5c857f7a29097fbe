"""Decides which node of a Cluster has which slots, from the reports of several nodes.

A node that takes over slots gets a higher configuration epoch, so of two nodes that claim a slot the one with the
higher epoch is right (Redis Cluster specification, "Configuration propagation"). A node that was cut off keeps claiming
its slots under its old epoch. Only the reports of nodes that know one another are merged, because an address may belong
to a node of another Cluster by now, or to one that was removed.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, NamedTuple

from msgspec import Struct

from . import info
from .settings import Address

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence


class Claim(NamedTuple):
    """A range of slots that a node has, as some node reports."""

    epoch: int
    first: int
    last: int
    node: str
    address: Address | None
    """None if it is not reported yet."""


class View(Struct):
    """One node's report on the Cluster."""

    queried: Address
    node: str
    """Its id."""
    serves: bool
    """It takes calls: it reaches the majority of the primaries, and all slots have a node."""
    members: frozenset[str]
    claims: tuple[Claim, ...]
    replicas: dict[str, int]
    """How many replicas each primary should have."""
    places: dict[str, frozenset[bytes]] = {}
    """The addresses of each primary's replicas, as INFO writes them."""
    has_lost_primary: bool = False
    """A primary has failed, and another node has its slots."""
    spare: frozenset[Address] = frozenset()
    """Primaries without slots. Slots that are being moved to them bring writes before they have any."""


class SlotMap(Struct):
    """Which node has which slots."""

    claims: tuple[Claim, ...]
    """Later ones win."""
    replicas: dict[str, int]
    places: dict[str, frozenset[bytes]]
    has_lost_primary: bool
    failing: frozenset[str]
    """Nodes that report that they take no calls."""
    serves: bool
    """Some node takes calls."""
    spare: frozenset[Address] = frozenset()
    """Primaries without slots."""


def view_from(queried: Address, about: object, nodes: object, slots: Sequence[Any]) -> View:
    """Return what the answers to CLUSTER INFO, NODES and SLOTS mean; the first two may be errors."""
    members = _members(nodes)
    epochs = {member.node: member.epoch for member in members}
    replicas: dict[str, int] = {}
    for member in members:
        if member.primary:
            replicas[member.primary] = replicas.get(member.primary, 0) + 1
    claims = []
    places: dict[str, frozenset[bytes]] = {}
    for first, last, primary, *followers in slots:
        address = _address(primary, queried)
        node = primary[2].decode() if len(primary) > 2 else str(address)
        claims.append(Claim(epochs.get(node, 0), first, last, node, address))
        replicas[node] = max(replicas.get(node, 0), len(followers))
        places[node] = places.get(node, frozenset()) | _places(followers, queried)
    return View(
        queried,
        next((member.node for member in members if member.is_myself), str(queried)),
        re.search(r"cluster_state:fail", _text(about)) is None,
        frozenset(member.node for member in members),
        tuple(claims),
        replicas,
        places,
        any(member.has_failed and not member.primary and not member.has_slots for member in members),
        frozenset(member.at(queried) for member in members if member.may_take_writes and not member.has_slots),
    )


def merged(views: Sequence[View], known: frozenset[str] = frozenset()) -> SlotMap:
    """Return the merged slot map, of the largest Cluster; of equal ones, that with most nodes that were
    `known` before.
    """
    together = max(_clusters(views), key=lambda group: (len(group), len(known & {view.node for view in group})))
    claims = sorted({claim for view in together for claim in view.claims})
    replicas: dict[str, int] = {}
    for view in together:
        for node, count in view.replicas.items():
            replicas[node] = max(count, replicas.get(node, 0))
    places: dict[str, frozenset[bytes]] = {}
    for view in together:
        for node, where in view.places.items():
            places[node] = places.get(node, frozenset()) | where
    return SlotMap(
        tuple(claims),
        replicas,
        places,
        any(view.has_lost_primary for view in together),
        frozenset(view.node for view in together if not view.serves),
        any(view.serves for view in together),
        frozenset().union(*(view.spare for view in together)),
    )


def uncalled(reports: Sequence[object]) -> str | None:
    """Return why the nodes that have answered CLUSTER NODES are not all that may take writes; None: they are."""
    found = [_members(report) for report in reports]
    called = {member.node: member for members in found for member in members if member.is_myself}
    if len(called) < len(found):
        return "a node does not say which it is"
    if any(member.primary for member in called.values()):
        return "a node has become a replica"
    if any(member.node not in called for members in found for member in members if member.may_take_writes):
        return "another node has joined, or has taken slots over"
    return None


def _clusters(views: Sequence[View]) -> list[list[View]]:
    """Return the views grouped by Cluster, in the order given."""
    left = {view.node: view for view in views}
    groups = []
    while left:
        group = [left.pop(next(iter(left)))]
        for view in group:  # it grows meanwhile
            peers = [name for name, other in left.items() if view.node in other.members and name in view.members]
            group.extend([left.pop(name) for name in peers])
        groups.append(group)
    return groups


def own_slots(reports: Sequence[object]) -> frozenset[tuple[str, str]]:
    """Return which node says, in its answer to CLUSTER NODES, that it has which slots."""
    members = [member for report in reports for member in _members(report)]
    return frozenset((member.node, member.slots) for member in members if member.is_myself)


def has_slots(report: object, first: int, last: int) -> bool:
    """Return whether a node has all slots from `first` to `last`, by its answer to CLUSTER NODES. True if it does not
    say so, as the answer may be an error.
    """
    own = [member for member in _members(report) if member.is_myself]
    return not own or any(start <= first and last <= end for start, end in own[0].ranges)


class _Member(NamedTuple):
    node: str
    is_myself: bool
    primary: str
    """The node whose replica it is; empty: it is no replica."""
    epoch: int
    has_failed: bool
    slots: str
    """Ranges of slots, separated by spaces, and slots that are being moved, in brackets."""
    is_known: bool
    """It has joined, and the others know where it is."""
    place: str
    """host:port@bus-port and perhaps a comma and a host name."""

    @classmethod
    def read(cls, line: str) -> _Member:
        node, place, listed, primary, _, _, epoch, _, *slots = line.split(" ")
        flags = listed.split(",")
        if "slave" not in flags:
            primary = ""
        number = int(epoch) if epoch.isdigit() else 0
        is_known = "handshake" not in flags and "noaddr" not in flags
        return cls(node, "myself" in flags, primary, number, "fail" in flags, " ".join(slots), is_known, place)

    @property
    def has_slots(self) -> bool:
        return bool(self.slots)

    @property
    def ranges(self) -> Iterator[tuple[int, int]]:
        """The first and the last slot of each range that it has."""
        for text in self.slots.split():
            first, _, last = text.partition("-")
            if first.isdigit():  # slots that are being moved are in brackets
                yield int(first), int(last or first)

    @property
    def may_take_writes(self) -> bool:
        """It has slots, or may be given some; one that has failed may only be cut off from those who say so."""
        return not self.primary and (self.has_slots or (self.is_known and not self.has_failed))

    def at(self, queried: Address) -> Address:
        """Return where it is; a node that does not know its own host is the one that was queried."""
        place, _, name = self.place.partition(",")
        host, _, port = place.partition("@")[0].rpartition(":")
        return Address(name.partition(",")[0] or host.strip("[]") or queried.host, int(port) if port.isdigit() else 0)


def _members(nodes: object) -> list[_Member]:
    """Return what the answer to CLUSTER NODES means; it may be an error."""
    return [_Member.read(line) for line in _text(nodes).splitlines() if line.count(" ") >= 7]


def _text(reply: object) -> str:
    return reply.decode(errors="replace") if isinstance(reply, bytes) else ""


def _address(node: Sequence[Any], queried: Address) -> Address | None:
    """Return a node's address; a node that does not know its own host is the one that was queried."""
    host = node[0].decode() if node[0] else queried.host
    return None if host == "?" else Address(host, int(node[1]))


def _places(nodes: Sequence[Any], queried: Address) -> frozenset[bytes]:
    found = (_address(node, queried) for node in nodes)
    return frozenset(info.place(address) for address in found if address is not None)


def not_queried(views: Iterable[View], queried: Iterable[Address]) -> list[Address]:
    """Return the addresses of primaries that have not been queried."""
    addresses = {claim.address for view in views for claim in view.claims if claim.address is not None}
    return sorted(addresses - set(queried))
