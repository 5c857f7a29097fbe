"""Values are encrypted again although others write, and although answers are lost."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from io import StringIO

import pytest

from pannier_sidecar.encryption.encrypted_store import EncryptedStore
from pannier_sidecar.encryption.keys import Key
from pannier_sidecar.encryption.sealing import Sealing
from pannier_sidecar.moving import reading, reencrypting
from pannier_sidecar.moving.progress import Progress
from pannier_sidecar.moving.reencrypting import Reencryption
from pannier_sidecar.state.errors import OutcomeUnknownError, StoreError, StoreUnavailableError
from pannier_sidecar.state.keys import KeyScheme
from pannier_sidecar.state.requests import Get, RetryPolicy, Set, Write
from pannier_sidecar.stores.in_memory import InMemoryStore

OLD, NEW = Key(bytes(16), "old", "old"), Key(bytes(range(16)), "new", "new")
SOON = RetryPolicy(interval_ms=1, threshold=4)


class Watched(InMemoryStore):
    """Awaits `before` when values are to be written, and replaces the outcomes by the errors of `after`, in turn."""

    def __init__(self) -> None:
        super().__init__({})
        self.before: Callable[[], Awaitable[None]] = nothing
        self.after: list[StoreError] = []

    async def bulk_write(self, writes: Sequence[Write]) -> Sequence[StoreError | None]:
        await self.before()
        if self.after and isinstance(self.after[0], StoreUnavailableError):
            return [self.after[0]] * len(writes)
        outcomes = await super().bulk_write(writes)
        return [self.after.pop()] * len(writes) if self.after else outcomes


async def nothing() -> None:
    pass


@pytest.fixture
async def store(monkeypatch: pytest.MonkeyPatch):
    for module in (reading, reencrypting):
        monkeypatch.setattr(module, "PATIENCE", SOON)
    store = Watched()
    await store.open()
    old = EncryptedStore(store, Sealing("s", [OLD]))
    for number in range(5):
        await old.set(Set(f"shop||{number}", b"%d" % number))
    yield store
    await store.close()


def work_on(store: Watched) -> Reencryption:
    scheme = KeyScheme(store="s", app_id="shop", namespace=None, strategy="appid")
    return Reencryption(EncryptedStore(store, Sealing("s", [NEW, OLD])), scheme, "shop", Progress(StringIO(), {}))


async def values(store: Watched) -> list[bytes]:
    new = EncryptedStore(store, Sealing("s", [NEW]))
    found = [await new.get(Get(f"shop||{number}")) for number in range(5)]
    return [each.value for each in found if each is not None]


@pytest.mark.parametrize("key", [OLD, NEW])
async def test_a_newer_value_is_never_overwritten(store: Watched, key: Key) -> None:
    async def overtake() -> None:
        store.before = nothing
        await EncryptedStore(store, Sealing("s", [key])).set(Set("shop||2", b"newer"))

    store.before = overtake
    work = work_on(store)
    await work.run()
    assert work.is_whole
    assert await values(store) == [b"0", b"1", b"newer", b"3", b"4"]


async def test_a_key_that_others_keep_changing_is_judged_at_the_end(store: Watched) -> None:
    async def overtake() -> None:
        await EncryptedStore(store, Sealing("s", [OLD])).set(Set("shop||2", b"newer"))

    store.before = overtake
    work = work_on(store)
    await work.run()
    assert not work.is_whole
    assert next(work.lines()) == "5 keys: 4 encrypted again, 1 left to others that keep changing them"


async def test_lost_answers_are_looked_up(store: Watched) -> None:
    store.after = [OutcomeUnknownError("the connection was lost")]
    work = work_on(store)
    await work.run()
    assert next(work.lines()) == "5 keys: 5 encrypted again"
    assert await values(store) == [b"0", b"1", b"2", b"3", b"4"]


async def test_a_store_that_stays_away_ends_the_run(store: Watched) -> None:
    store.after = [StoreUnavailableError("nobody answers")]
    work = work_on(store)
    with pytest.raises(StoreUnavailableError, match="nobody answers"):
        await work.run()
    assert not work.is_whole
    assert next(work.lines()) == "0 keys: nothing to do"


async def test_a_sidecar_that_still_writes_with_the_old_key_is_noticed(store: Watched) -> None:
    work = work_on(store)
    batches = work._batches
    old = EncryptedStore(store, Sealing("s", [OLD]))

    async def with_a_late_writer(phase: str):
        if phase == "verifying":
            await old.set(Set("shop||3", b"late"))
        async for batch in batches(phase):
            yield batch

    work._batches = with_a_late_writer  # type: ignore[method-assign]
    await work.run()
    assert not work.is_whole
    assert list(work.lines())[1].startswith("1 value of app 'shop' needed another key at the end, because a sidecar")
