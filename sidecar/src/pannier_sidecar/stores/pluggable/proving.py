"""Tries on a key of its own whether a component keeps the rule that a call relies on, once, before the first such call.

A component that claims ETAG may check ETags and still overwrite a key that should only be created, since Dapr asks no
more of it. What it turns out not to keep is refused, because it would be broken silently.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import TYPE_CHECKING, Final
from uuid import uuid4

from pannier_sidecar.state.errors import (
    NotSupportedError,
    StoreError,
    StoreRefusedError,
    StoreUnavailableError,
)
from pannier_sidecar.state.requests import Delete, Get, Set
from pannier_sidecar.state.store import Feature

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from pannier_sidecar.state.requests import Write
    from pannier_sidecar.state.store import StoredValue

    Sending = Callable[[Sequence[Write]], Awaitable[None]]

PREFIX: Final = "||pannier-rule-check||"
"""No stored key of an app or an actor begins with a separator."""
_SECONDS: Final = 60
"""After which the key expires if it could not be deleted."""
_ALL_OR_NONE: Final = "all or none"
_NEVER: Final = "pannier-never-made-this"
_WORDS: Final = {
    "match": "does not check ETags (it wrote, or deleted, with an ETag that the key does not have)",
    "create": "overwrites a key that first-write without an ETag only creates",
    "keep": "deletes a key although first-write without an ETag keeps it",
    _ALL_OR_NONE: "carries out a part of a transaction of which another part fails",
}


class Proofs:
    """What has been tried with the component that is connected now."""

    def __init__(self, where: str, get: Callable[[Get], Awaitable[StoredValue | None]]):
        self._where = where
        self._get = get
        self._can_expire = False
        self._kept: dict[str, bool] = {}
        self._connection = 0
        self._trying = asyncio.Lock()

    def begin(self, features: frozenset[Feature]) -> None:
        """Forget everything: another process may answer now."""
        self._can_expire = Feature.TTL in features
        self._kept = {}
        self._connection += 1

    async def require(self, writes: Sequence[Write], send: Sending, *, together: bool = False) -> None:
        """Raise NotSupportedError if the component does not keep what these writes rely on, and another StoreError if
        that cannot be tried. `send` carries out writes; with `together` it does so in a transaction.
        """
        rules = {_rule_of(write) for write in writes if write.is_conditional}
        if rules and together and len(writes) > 1:
            rules.add(_ALL_OR_NONE)
        for rule in sorted(rules):
            name = f"{rule} in transactions" if together else rule
            if not (self._kept.get(name) or await self._prove(name, rule, send)):
                raise NotSupportedError(f"{self._where} {_WORDS[rule]}, so the write was not sent")

    async def _prove(self, name: str, rule: str, send: Sending) -> bool:
        async with self._trying:
            if name not in self._kept:
                connection = self._connection
                is_kept = await self._try(rule, send)
                if connection != self._connection:
                    raise self._interrupted()
                self._kept[name] = is_kept
            return self._kept[name]

    def _interrupted(self) -> StoreUnavailableError:
        return StoreUnavailableError(f"{self._where} gave no answer while its rules were tried; the write was not sent")

    async def _try(self, rule: str, send: Sending) -> bool:
        key = f"{PREFIX}{uuid4().hex}"
        ttl = _SECONDS if self._can_expire else None
        if await _is_refused(send, [Set(key, b"1", ttl=ttl)]):
            raise StoreRefusedError(f"{self._where} refused a plain write while its rules were tried; see its log")
        try:
            for writes in _forbidden(rule, key, ttl):
                if not await _is_refused(send, writes):
                    return False
            found = await self._get(Get(key))
            return found is not None and found.value == b"1"
        finally:
            for each in (key, _absent(key)):
                with suppress(StoreError):
                    await send([Delete(each)])


def _rule_of(write: Write) -> str:
    if write.if_match is not None:
        return "match"
    return "create" if isinstance(write, Set) else "keep"


def _forbidden(rule: str, key: str, ttl: int | None) -> list[list[Write]]:
    """Return writes that the rule forbids while the key has its value."""
    absent = _absent(key)
    if rule == "match":
        return [
            [Set(key, b"2", _NEVER, ttl=ttl)],
            [Delete(key, _NEVER)],
            [Set(absent, b"2", _NEVER, ttl=ttl)],
            [Delete(absent, _NEVER)],
        ]
    if rule == "create":
        return [[Set(key, b"2", if_absent=True, ttl=ttl)]]
    if rule == "keep":
        return [[Delete(key, if_absent=True)]]
    return [[Set(key, b"2", ttl=ttl), Set(absent, b"2", _NEVER, ttl=ttl)]]


def _absent(key: str) -> str:
    return f"{key}||absent"


async def _is_refused(send: Sending, writes: list[Write]) -> bool:
    """Return whether the component answers with an error. One that leaves open what was done counts too: what is stored
    shows that afterwards.
    """
    try:
        await send(writes)
    except StoreUnavailableError:
        raise
    except StoreError:
        return True
    return False
