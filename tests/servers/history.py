"""What clients did to a store and how it answered, and whether the store kept it.

Each value is written once, so a value that is found shows which write put it there. `check` looks for:
- a write that was acknowledged and is lost,
- a write that was carried out twice: its value is seen under two ETags,
- a write that was refused as not carried out, but is seen,
- a key that two clients both created,
- a counter or a sum that is wrong.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from itertools import count
from typing import Any

from servers.eventually import LIMIT_S, eventually, until
from servers.opened_store import opening

from pannier_sidecar.state.errors import OutcomeUnknownError, StoreError
from pannier_sidecar.state.requests import Get, Set, Write
from pannier_sidecar.state.store import Feature, Store, StoredValue

DONE, UNKNOWN, REFUSED = "done", "unknown", "refused"
PROMISED = (
    "No acknowledged write is lost, no write happens twice, and a write that was answered as not done was not done"
)
PAUSE_S = 0.005
STAKE = 1_000_000


@dataclass
class Register:
    """A key that one client writes and others read."""

    acknowledged: bytes | None = None
    """The last value that was acknowledged."""
    unknown: set[bytes] = field(default_factory=set)
    refused: set[bytes] = field(default_factory=set)
    etags: dict[bytes, str] = field(default_factory=dict)
    """The ETag under which each value was seen."""


class History:
    """Clients that work on one database through each of `stores`, and the outcome of each call."""

    def __init__(self, stores: Sequence[Store], *, strong: bool = False, tag: str = ""):
        """`strong`: writes ask for strong consistency. `tag` is the prefix of every key."""
        self._stores = stores
        self._strong = strong
        self._tag = tag
        self._numbers = count(1)
        self._tasks: list[asyncio.Task[None]] = []
        self._is_ending = False
        self._registers: dict[str, Register] = {}
        self._creators: dict[str, list[bytes]] = {}
        self._maybe_created: dict[str, set[bytes]] = {}
        self._refused_creations: set[bytes] = set()
        self._counted = 0
        self._perhaps_counted = 0
        self.violations: list[str] = []
        self.outcomes = {DONE: 0, UNKNOWN: 0, REFUSED: 0}
        self.faults: dict[str, int] = {}
        """How often each kind of error was answered."""

    @property
    def done(self) -> int:
        """Writes that were acknowledged."""
        return self.outcomes[DONE]

    @property
    def counts(self) -> str:
        done, unknown, refused = (f"{self.outcomes[kind]:,}" for kind in (DONE, UNKNOWN, REFUSED))
        return f"{done} writes acknowledged, {unknown} unknown, {refused} refused; none lost, none twice"

    async def __aenter__(self) -> History:
        first = self._stores[0]
        await eventually(lambda: first.set(Set(f"{self._tag}counter", b"0", strong=self._strong)))
        if self._moves_money:
            for side in ("left", "right"):
                await first.set(Set(f"{self._tag}{side}", b"%d" % STAKE, strong=self._strong))
        for place, store in enumerate(self._stores):
            for number in range(2):
                self._start(self._write(store, f"{self._tag}r{place}-{number}"))
            self._start(self._create(store))
            self._start(self._count(store))
            self._start(self._read(store))
            if self._moves_money:
                self._start(self._transfer(store))
        return self

    async def __aexit__(self, *_: object) -> None:
        self._is_ending = True
        await asyncio.wait_for(asyncio.gather(*self._tasks), LIMIT_S * 2)

    async def goes_on(self, number: int = 50) -> None:
        """Wait until this many more writes have been acknowledged."""
        begun, before = self.done, dict(self.faults)
        try:
            await until(lambda: self.done > begun + number or self._has_failed)
        except TimeoutError:
            since = {kind: times - before.get(kind, 0) for kind, times in self.faults.items()}
            message = f"only {self.done - begun} of {number} more writes were acknowledged; errors meanwhile: {since}"
            raise AssertionError(message) from None
        self._raise_defects()

    async def check(self, store: Store) -> None:
        """Compare the values in `store` with its answers to clients. Raises AssertionError with all that is wrong."""
        for key, register in self._registers.items():
            found = await eventually(lambda key=key: store.get(Get(key)))
            self._note_read(key, found)
            value = None if found is None else found.value
            if register.acknowledged is not None and value != register.acknowledged and value not in register.unknown:
                self.violations.append(f"{key}: {register.acknowledged!r} was acknowledged, {value!r} is there")
        for key, creators in self._creators.items():
            found = await eventually(lambda key=key: store.get(Get(key)))
            self._check_created(key, creators, None if found is None else found.value)
        found = await eventually(lambda: store.get(Get(f"{self._tag}counter")))
        if found is None or not self._counted <= int(found.value) <= self._counted + self._perhaps_counted:
            text = f"counter: {self._counted} acknowledged, {self._perhaps_counted} unknown, {found} is there"
            self.violations.append(text)
        if self._moves_money:
            await self._check_sum(store)
        assert not self.violations, "\n".join(self.violations)

    # --- clients --------------------------------------------------------------------------------------------------

    @property
    def _moves_money(self) -> bool:
        return Feature.TRANSACTIONAL in self._stores[0].features

    def _start(self, client: Awaitable[None]) -> None:
        async def run() -> None:
            await client

        self._tasks.append(asyncio.create_task(run()))

    @property
    def _has_failed(self) -> bool:
        return any(task.done() for task in self._tasks) and not self._is_ending

    def _raise_defects(self) -> None:
        for task in self._tasks:
            if task.done():
                task.result()

    def _value(self) -> bytes:
        return b'"%d"' % next(self._numbers)

    async def _outcome(self, call: Awaitable[None]) -> str:
        try:
            await call
            outcome = DONE
        except OutcomeUnknownError as fault:
            outcome = self._noted(fault, UNKNOWN)
        except StoreError as fault:
            outcome = self._noted(fault, REFUSED)
        self.outcomes[outcome] += 1
        if outcome is not DONE:
            await asyncio.sleep(PAUSE_S)
        return outcome

    def _noted(self, fault: StoreError, outcome: str) -> str:
        kind = type(fault).__name__
        self.faults[kind] = self.faults.get(kind, 0) + 1
        return outcome

    async def _write(self, store: Store, key: str) -> None:
        """Write one key over and over."""
        register = self._registers[key] = Register()
        while not self._is_ending:
            value = self._value()
            outcome = await self._outcome(store.set(Set(key, value, strong=self._strong)))
            if outcome is DONE:
                register.acknowledged = value
            elif outcome is UNKNOWN:
                register.unknown.add(value)
            else:
                register.refused.add(value)

    async def _create(self, store: Store) -> None:
        """Create keys that the clients of the other stores create too."""
        for number in count():
            if self._is_ending:
                return
            key, value = f"{self._tag}c{number}", self._value()
            outcome = await self._outcome(store.set(Set(key, value, if_absent=True, strong=self._strong)))
            creators = self._creators.setdefault(key, [])
            if outcome is DONE:
                creators.append(value)
            elif outcome is UNKNOWN:
                self._maybe_created.setdefault(key, set()).add(value)
            else:
                self._refused_creations.add(value)

    async def _count(self, store: Store) -> None:
        key = f"{self._tag}counter"
        while not self._is_ending:
            try:
                found = await store.get(Get(key))
            except StoreError:
                await asyncio.sleep(PAUSE_S)
                continue
            if found is None:
                self.violations.append("counter: it is gone")
                return
            value = b"%d" % (int(found.value) + 1)
            outcome = await self._outcome(store.set(Set(key, value, if_match=found.etag, strong=self._strong)))
            self._counted += outcome is DONE
            self._perhaps_counted += outcome is UNKNOWN

    async def _transfer(self, store: Store) -> None:
        """Move one from the left to the right, in one transaction on the ETags of both."""
        left, right = f"{self._tag}left", f"{self._tag}right"
        while not self._is_ending:
            try:
                a, b = await store.get(Get(left)), await store.get(Get(right))
            except StoreError:
                await asyncio.sleep(PAUSE_S)
                continue
            if a is None or b is None:
                self.violations.append("sum: a side is gone")
                return
            writes: list[Write] = [
                Set(left, b"%d" % (int(a.value) - 1), if_match=a.etag, strong=self._strong),
                Set(right, b"%d" % (int(b.value) + 1), if_match=b.etag, strong=self._strong),
            ]
            await self._outcome(store.transact(writes))

    async def _read(self, store: Store) -> None:
        """Look at every key that is written over and over."""
        while not self._is_ending:
            for key in list(self._registers):
                try:
                    self._note_read(key, await store.get(Get(key)))
                except StoreError:
                    await asyncio.sleep(PAUSE_S)
            await asyncio.sleep(0)

    # --- judging --------------------------------------------------------------------------------------------------

    def _note_read(self, key: str, found: StoredValue | None) -> None:
        if found is None:
            return
        register = self._registers[key]
        if register.etags.setdefault(found.value, found.etag) != found.etag:
            self.violations.append(f"{key}: {found.value!r} was written twice")
        if found.value in register.refused:
            self.violations.append(f"{key}: {found.value!r} was refused, and is there")

    def _check_created(self, key: str, creators: list[bytes], value: bytes | None) -> None:
        if len(creators) > 1:
            self.violations.append(f"{key}: created by {creators}")
        if creators and value != creators[0]:
            self.violations.append(f"{key}: created as {creators[0]!r}, {value!r} is there")
        if value is not None and value in self._refused_creations:
            self.violations.append(f"{key}: creating {value!r} was refused, and it is there")

    async def _check_sum(self, store: Store) -> None:
        sides = [await eventually(lambda side=side: store.get(Get(self._tag + side))) for side in ("left", "right")]
        total = sum(int(side.value) for side in sides)
        if total != 2 * STAKE:
            self.violations.append(f"sum: {total} instead of {2 * STAKE}")


@asynccontextmanager
async def at_work(
    store_type: str,
    settings: Mapping[str, Any],
    *ways: Mapping[str, Any],
    version: str = "v1",
    strong: bool = False,
    tag: str = "",
) -> AsyncIterator[History]:
    """Let a store work through each of `ways`, or two through the same one, until the block ends. Then check it."""
    async with opening(store_type, settings) as open_one:
        stores = [await open_one(version, **way) for way in ways or ({}, {})]
        async with History(stores, strong=strong, tag=tag) as history:
            yield history
        await history.check(stores[0])
