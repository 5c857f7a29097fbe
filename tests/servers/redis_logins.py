"""A user of Redis servers whose passwords come and go, as tokens do, and the calls that must not notice."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from math import inf
from typing import Any

from servers.redis_server import RedisServer

from pannier_sidecar.state.requests import Get, Set
from pannier_sidecar.stores.redis.store import RedisStore

RIGHTS = ("~*", "&*", "+@all")
KEYS = ("k", "l", "m", "n")


class Logins:
    """The passwords that servers take from a user. Those that have ended are refused from then on."""

    def __init__(self, user: str, *servers: RedisServer):
        self.user = user
        self.admins = [server.client() for server in servers]
        self._ends: dict[str, float] = {}

    def take(self, password: str, seconds: float = inf) -> None:
        """Take another password for so long, without taking the others less long."""
        now = time.monotonic()
        over = [f"<{old}" for old, ends_at in self._ends.items() if ends_at <= now]
        self._ends = {old: ends_at for old, ends_at in self._ends.items() if ends_at > now}
        self._ends[password] = now + seconds
        for admin in self.admins:
            admin.execute_command("ACL", "SETUSER", self.user, "on", f">{password}", *over, *RIGHTS)

    def take_only(self, password: str) -> None:
        """Take this password and no other one any more."""
        self._ends = {old: -inf for old in self._ends if old != password}
        self.take(password)

    def connections(self) -> set[tuple[int, Any]]:
        """Return the server and the id of each connection of the user."""
        return {
            (number, each["id"])
            for number, admin in enumerate(self.admins)
            for each in admin.client_list()
            if each["user"] == self.user
        }

    def end_connections(self) -> None:
        for admin in self.admins:
            admin.client_kill_filter(user=self.user)

    def logins(self) -> int:
        return sum(admin.info("commandstats").get("cmdstat_auth", {}).get("calls", 0) for admin in self.admins)

    def refusals(self) -> list[Any]:
        return [each for admin in self.admins for each in admin.acl_log()]

    def forget(self) -> None:
        """Delete the user, which ends its connections."""
        self._ends.clear()
        for admin in self.admins:
            admin.execute_command("ACL", "DELUSER", self.user)
            admin.acl_log_reset()

    def close(self) -> None:
        for admin in self.admins:
            admin.close()


async def called(store: RedisStore, until: Callable[[], object]) -> int:
    """Read and write until something is so; no call may fail. Return how many calls were made."""
    calls = 0
    while not until():
        await asyncio.gather(
            *(store.set(Set(key, b"1")) for key in KEYS),
            *(store.get(Get(key)) for key in KEYS),
            store.set(Set("s", b"1", strong=True)),
        )
        calls += 2 * len(KEYS) + 1
        await asyncio.sleep(0.005)
    return calls


async def called_once(store: RedisStore) -> None:
    """Make each call once, so that there is every connection that such calls need."""
    await called(store, iter((False, True)).__next__)
