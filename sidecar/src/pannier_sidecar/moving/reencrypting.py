"""Encrypts an app's values again with the primary key, each on the condition that nobody has changed it meanwhile."""

from __future__ import annotations

import asyncio
from time import time
from typing import TYPE_CHECKING

from pannier_sidecar.moving.deciding import next_size, ttl_of
from pannier_sidecar.moving.items import AppKey, Item, key_of
from pannier_sidecar.moving.key_list import KeyList
from pannier_sidecar.moving.reading import MAX_BYTES, MAX_KEYS, PATIENCE, StoreSource
from pannier_sidecar.moving.tally import counted
from pannier_sidecar.state.errors import (
    ETagMismatchError,
    OutcomeUnknownError,
    StoreError,
    StoreUnavailableError,
)
from pannier_sidecar.state.requests import Get, Set
from pannier_sidecar.state.retries import attempt, pauses
from pannier_sidecar.state.store import StoredValue

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator, Mapping

    from pannier_sidecar.encryption.encrypted_store import EncryptedStore, Standing
    from pannier_sidecar.moving.progress import Progress
    from pannier_sidecar.state.keys import KeyScheme

_Batch = dict[str, AppKey]
"""Stored keys, and the app's keys that they stand for."""


class Reencryption:
    """One run over the keys of one app and its actors. Run it again after it was interrupted: values that are current
    are not written.
    """

    def __init__(
        self, store: EncryptedStore, scheme: KeyScheme, app_id: str, progress: Progress, parts: str | None = None
    ):
        """`parts`: the beginning of the stored keys of parts of large values, if the store has any."""
        self._parts = parts
        self._store = store
        self._scheme = scheme
        self._app_id = app_id
        self._progress = progress
        self._written = self._current = self._gone = self._failed = self._changing = 0
        self._outdated = 0
        """Values that need another key than the primary one at the end."""
        self._is_verified = False
        self._reported: set[str] = set()

    @property
    def is_whole(self) -> bool:
        """Whether no value of the app needs another key than the primary one."""
        return self._is_verified and not self._failed and not self._outdated

    async def run(self) -> None:
        """Encrypt, and then list and read everything again to verify it. Raises StoreError."""
        async for batch in self._batches("encrypting"):
            await self._take(batch)
        async for batch in self._batches("verifying"):
            for stored, standing in (await self._look_up(batch)).items():
                if isinstance(standing.found, StoreError):
                    self._fail(stored, batch[stored], standing.found)
                elif standing.found is not None and not standing.is_current:
                    self._outdated += 1
        self._progress.end()
        self._is_verified = True

    def lines(self) -> Iterator[str]:
        """Yield the summary."""
        parts = {
            "encrypted again": self._written,
            "encrypted with the primary key already": self._current,
            "failed": self._failed,
            "left to others that keep changing them": self._changing,
            "gone meanwhile": self._gone,
        }
        listed = ", ".join(f"{number} {what}" for what, number in parts.items() if number)
        yield f"{counted(sum(parts.values()), 'key')}: {listed or 'nothing to do'}"
        if self.is_whole:
            name = self._store.primary_key
            key = f"'{name}'" if name else "the primary one"
            yield f"verified: no value of app '{self._app_id}' needs another key than {key}"
        elif self._outdated:
            yield (
                f"{counted(self._outdated, 'value')} of app '{self._app_id}' needed another key at the end, because a "
                "sidecar still writes with it; when all have read the component with the new key, run the command again"
            )

    async def _batches(self, phase: str) -> AsyncIterator[_Batch]:
        with KeyList() as keys:
            source = StoreSource(self._store, self._scheme, keys)
            await source.list_keys()
            if self._parts is not None:
                await source.list_parts(self._parts)
            self._progress.begin(phase, source.total)
            number, self._size = 0, MAX_KEYS // 8
            while rows := keys.after(number, self._size):
                number = rows[-1][0]
                yield {stored: key_of(self._scheme, stored) or AppKey(stored) for _, stored in rows}
                self._progress.show(number)
            if not source.total and phase == "encrypting":
                self._progress.say(f"there is no key of app '{self._app_id}'; name the app with --app-id")

    async def _take(self, batch: _Batch) -> None:
        """Settle each key of a batch. Raises StoreError if the store stays unavailable."""
        pending, doubtful = dict(batch), set[str]()
        lost: StoreError | None = None
        for pause in (*pauses(PATIENCE), None):
            outdated = self._settle(pending, doubtful, await self._look_up(pending))
            lost = await self._write(pending, doubtful, outdated) if outdated else None
            if not pending:
                return
            if pause is not None:
                await asyncio.sleep(pause if lost else 0)
        if lost is not None:
            raise lost
        self._changing += len(pending)  # they are judged when everything is verified

    def _settle(self, pending: _Batch, doubtful: set[str], standings: Mapping[str, Standing]) -> dict[str, StoredValue]:
        """Settle the keys that need no write; return the others with their values."""
        outdated = {}
        for stored, (found, is_current) in standings.items():
            if isinstance(found, StoredValue) and not is_current:
                outdated[stored] = found
                continue
            key = pending.pop(stored)
            if isinstance(found, StoreError):
                self._fail(stored, key, found)
            elif found is None:
                self._gone += 1
            elif stored in doubtful:
                self._written += 1
            else:
                self._current += 1
        return outdated

    async def _write(
        self, pending: _Batch, doubtful: set[str], outdated: Mapping[str, StoredValue]
    ) -> StoreError | None:
        """Write each value; return an error if the store did not answer. What was changed meanwhile stays pending."""
        now = time()
        writes = [
            Set(
                stored,
                found.value,
                if_match=found.etag,
                ttl=ttl_of(Item(pending[stored], b"", found.expires_at), now),
                metadata=pending[stored].metadata(self._scheme),
            )
            for stored, found in outdated.items()
        ]
        lost: StoreError | None = None
        for write, error in zip(writes, await self._store.bulk_write(writes), strict=True):
            if error is None:
                del pending[write.key]
                self._written += 1
            elif isinstance(error, OutcomeUnknownError | StoreUnavailableError):
                lost = error
                if isinstance(error, OutcomeUnknownError):
                    doubtful.add(write.key)
            elif not isinstance(error, ETagMismatchError):
                self._fail(write.key, pending.pop(write.key), error)
        return lost

    async def _look_up(self, batch: _Batch) -> dict[str, Standing]:
        gets = [Get(stored, strong=True, metadata=key.metadata(self._scheme)) for stored, key in batch.items()]

        async def call() -> dict[str, Standing]:
            standings = await self._store.look_up(gets)
            for standing in standings:
                if isinstance(standing.found, StoreUnavailableError):
                    raise standing.found
            return dict(zip(batch, standings, strict=True))

        standings = await attempt(call, PATIENCE, is_conditional=False)
        values = [each.found.value for each in standings.values() if isinstance(each.found, StoredValue)]
        self._size = next_size(len(gets), sum(map(len, values)), MAX_KEYS, MAX_BYTES)
        return standings

    def _fail(self, stored: str, key: AppKey, error: StoreError) -> None:
        """Report a value that cannot be read or written, once."""
        if stored not in self._reported:
            self._reported.add(stored)
            self._failed += 1
            self._progress.say(f"failed: {key}: {error}")
