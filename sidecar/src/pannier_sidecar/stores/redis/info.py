"""What INFO says of a server, and of the replicas that follow it."""

from __future__ import annotations

import re
from typing import Final

MAX_LAG_S: Final = 3
"""A replica tells every second how far it is; one that is silent for longer is not there."""

_REPLICA: Final = re.compile(rb"^slave\d+:.*\bstate=(\w+),.*\blag=(-?\d+)", re.MULTILINE)
_ADDRESS: Final = re.compile(rb"^slave\d+:(ip=[^,]*,port=\d+)", re.MULTILINE)
_CONNECTED: Final = re.compile(rb"^connected_slaves:(\d+)", re.MULTILINE)
_RUN_ID: Final = re.compile(rb"^run_id:(\w+)", re.MULTILINE)


def run_id(info: object) -> str:
    """Return what identifies the server's process; empty where it is not told."""
    found = _RUN_ID.search(info) if isinstance(info, bytes) else None
    return "" if found is None else found[1].decode()


def connected(info: object) -> int | None:
    """Return how many replicas there are; None where it is not told."""
    found = _CONNECTED.search(info) if isinstance(info, bytes) else None
    return None if found is None else int(found[1])


def addresses(info: object) -> frozenset[bytes]:
    """Return where the replicas are; some services do not tell."""
    return frozenset(_ADDRESS.findall(info)) if isinstance(info, bytes) else frozenset()


def following(info: object) -> int | None:
    """Return how many replicas keep up; None where it is not told."""
    count = connected(info)
    if not count or not isinstance(info, bytes):
        return count
    replicas: list[tuple[bytes, bytes]] = _REPLICA.findall(info)
    if not replicas:  # some services tell nothing but the number
        return count
    return sum(state == b"online" and int(lag) <= MAX_LAG_S for state, lag in replicas)
