"""What INFO reports about a server and the replicas that follow it."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from msgspec import Struct

if TYPE_CHECKING:
    from .settings import Address

MAX_LAG_S: Final = 3
"""A replica reports its offset every second; one that is silent for longer is not online."""

_REPLICA: Final = re.compile(rb"^slave\d+:.*\bstate=(\w+),.*\blag=(-?\d+)", re.MULTILINE)
_ADDRESS: Final = re.compile(rb"^slave\d+:(ip=[^,]*,port=\d+)", re.MULTILINE)
_CONNECTED: Final = re.compile(rb"^connected_slaves:(\d+)", re.MULTILINE)
_OFFSET: Final = re.compile(rb"^slave\d+:.*\boffset=(\d+)", re.MULTILINE)
_HISTORY: Final = re.compile(
    rb"^master_replid:(\w+)\s+master_replid2:(\w+)\s+master_repl_offset:(\d+)\s+second_repl_offset:(-?\d+)",
    re.MULTILINE,
)
_RUN_ID: Final = re.compile(rb"^run_id:(\w+)", re.MULTILINE)


NO_HISTORY: Final = b"0" * 40
"""What Redis writes for the earlier history of a server that has followed no other since it was started."""


class History(Struct, frozen=True):
    """How many bytes of which replication history a server has; the history may continue an earlier one."""

    name: bytes
    offset: int
    earlier: bytes = NO_HISTORY
    earlier_offset: int = 0
    """How many bytes of the earlier history it had when its own began."""

    def lacks(self, other: History) -> bool:
        """Return whether a part of another history is certainly not in this one.

        After two promotions that is not known: a server knows only the last history before its own.
        """
        if self.name == other.name:
            return self.offset < other.offset
        if self.earlier == other.name:
            return self.earlier_offset < other.offset
        return self.earlier in (NO_HISTORY, other.earlier)  # it continues none, or the same one as the other


def history(info: object) -> History | None:
    """Return the server's history; None where INFO does not say."""
    found = _HISTORY.search(info) if isinstance(info, bytes) else None
    # The second offset is that of the first byte that the server does not have.
    return None if found is None else History(found[1], int(found[3]), found[2], int(found[4]) - 1)


def acknowledged(info: object) -> History | None:
    """Return what all replicas of the server have; None where INFO does not say or there are none."""
    own = history(info)
    offsets = [int(offset) for offset in _OFFSET.findall(info)] if isinstance(info, bytes) else []
    return History(own.name, min(offsets), own.earlier, own.earlier_offset) if own is not None and offsets else None


def run_id(info: object) -> str:
    """Return what identifies the server's process; empty where INFO does not say."""
    found = _RUN_ID.search(info) if isinstance(info, bytes) else None
    return "" if found is None else found[1].decode()


def connected(info: object) -> int | None:
    """Return how many replicas there are; None where INFO does not say."""
    found = _CONNECTED.search(info) if isinstance(info, bytes) else None
    return None if found is None else int(found[1])


def addresses(info: object) -> frozenset[bytes]:
    """Return the addresses of the replicas, which some services do not report."""
    return frozenset(_ADDRESS.findall(info)) if isinstance(info, bytes) else frozenset()


def place(address: Address) -> bytes:
    """Return an address as INFO writes a replica's address."""
    return f"ip={address.host},port={address.port}".encode()


def online_replicas(info: object) -> int | None:
    """Return how many replicas are online; None where INFO does not say."""
    count = connected(info)
    if not count or not isinstance(info, bytes):
        return count
    replicas: list[tuple[bytes, bytes]] = _REPLICA.findall(info)
    if not replicas:  # some services report nothing but the number
        return count
    return sum(state == b"online" and int(lag) <= MAX_LAG_S for state, lag in replicas)
