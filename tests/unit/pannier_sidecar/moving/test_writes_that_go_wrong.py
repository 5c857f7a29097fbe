"""A target loses answers, or somebody else writes to it at the worst moment: faults on demand."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from pathlib import Path

import pytest

from pannier_sidecar.moving.deciding import Target, Verdict
from pannier_sidecar.moving.items import AppKey, Item, MoveError
from pannier_sidecar.moving.journal import Journal
from pannier_sidecar.moving.writing import StoreTarget
from pannier_sidecar.state.errors import OutcomeUnknownError, StoreError, StoreRefusedError, StoreUnavailableError
from pannier_sidecar.state.keys import KeyScheme
from pannier_sidecar.state.requests import Get, Set, Write
from pannier_sidecar.stores.in_memory import InMemoryStore

SCHEME = KeyScheme(store="s", app_id="app")
OTHERS = b"somebody else's"

Faults = list[Callable[["FaultyStore", Write], StoreError | None]]


class FaultyStore(InMemoryStore):
    """Carries out each write as the next of `faults` says, and normally when there are none left."""

    def __init__(self, faults: Faults):
        super().__init__({})
        self.faults = faults

    async def bulk_write(self, writes: Sequence[Write]) -> Sequence[StoreError | None]:
        return [self.faults.pop(0)(self, write) if self.faults else self._try(write) for write in writes]


def lost_after(store: FaultyStore, write: Write) -> StoreError | None:
    return store._try(write) or OutcomeUnknownError("the answer was lost")


def lost_before(store: FaultyStore, write: Write) -> StoreError | None:
    return OutcomeUnknownError("the answer was lost")


def down(store: FaultyStore, write: Write) -> StoreError | None:
    return StoreUnavailableError("nobody answers")


def refused(store: FaultyStore, write: Write) -> StoreError | None:
    return StoreRefusedError("the value is too large")


def overtaken(store: FaultyStore, write: Write) -> StoreError | None:
    store._try(Set(write.key, OTHERS))
    return store._try(write)


@pytest.fixture(autouse=True)
def no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    async def at_once(_: float) -> None:
        return None

    monkeypatch.setattr(asyncio, "sleep", at_once)


@pytest.fixture
async def journal(tmp_path: Path) -> AsyncIterator[Journal]:
    with Journal(tmp_path / "moved.db", b"here") as journal:
        yield journal


async def moved(
    journal: Journal, *faults: Callable[[FaultyStore, Write], StoreError | None], value: bytes = b"1"
) -> tuple[Verdict, str, FaultyStore]:
    """Move one key into a store with these faults; return the outcome."""
    store = FaultyStore(list(faults))
    await store.open()
    target = StoreTarget(store, SCHEME, journal, Target(1000))
    [(_, decision)] = await target.take([Item(AppKey("k"), value)])
    return decision.verdict, decision.why, store


@pytest.mark.parametrize("fault", [lost_after, lost_before, down])
async def test_after_a_lost_answer_the_outcome_is_looked_up(
    journal: Journal, fault: Callable[..., StoreError | None]
) -> None:
    verdict, _, store = await moved(journal, fault)
    assert verdict is Verdict.CREATE
    found = await store.get(Get("app||k"))
    assert found is not None
    assert found.value == b"1"
    assert len(journal.written(["app||k"])["app||k"]) == 1


async def test_keys_that_others_create_meanwhile_are_left(journal: Journal) -> None:
    verdict, why, store = await moved(journal, overtaken)
    assert (verdict, why) == (Verdict.LEAVE, "the target has another value, of 15 bytes")
    found = await store.get(Get("app||k"))
    assert found is not None
    assert found.value == OTHERS
    assert journal.written(["app||k"]) == {"app||k": []}


async def test_an_item_that_the_target_refuses_fails_with_its_message(journal: Journal) -> None:
    verdict, why, _ = await moved(journal, refused)
    assert (verdict, why) == (Verdict.FAIL, "the value is too large")
    assert journal.written(["app||k"]) == {"app||k": []}


async def test_a_write_that_may_have_happened_stays_noted_even_if_a_later_run_writes_nothing(journal: Journal) -> None:
    with pytest.raises(OutcomeUnknownError, match="read the key before writing again"):
        await moved(journal, *[lost_before] * 100)
    assert len(journal.written(["app||k"])["app||k"]) == 1
    with pytest.raises(StoreUnavailableError):
        await moved(journal, *[down] * 100)
    assert len(journal.written(["app||k"])["app||k"]) == 1


async def test_a_target_that_never_answers_ends_the_move(journal: Journal) -> None:
    with pytest.raises(StoreUnavailableError, match="nobody answers"):
        await moved(journal, *[down] * 100)


async def test_two_keys_that_would_become_one_are_reported(journal: Journal) -> None:
    store = FaultyStore([])
    await store.open()
    dashes = KeyScheme(store="s", app_id="app", separator="-")
    items = [Item(AppKey("cat-tom-mood"), b"1"), Item(AppKey("mood", "cat", "tom"), b"2")]
    settled = await StoreTarget(store, dashes, journal, Target(1000)).take(items)
    assert [decision.verdict for _, decision in settled] == [Verdict.FAIL, Verdict.CREATE]


def test_a_journal_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(MoveError, match=r"the journal .*file/moved.db can't be used: .*; name another file"):
        Journal(tmp_path / "file" / "moved.db", b"here")
    (tmp_path / "moved.db").write_text("no database at all, but long enough to be looked at" * 10)
    with pytest.raises(MoveError, match="name another file with --journal"):
        Journal(tmp_path / "moved.db", b"here")


def test_a_journal_has_no_notes_on_another_place(tmp_path: Path) -> None:
    from pannier_sidecar.moving.deciding import Written

    with Journal(tmp_path / "moved.db", b"here") as here, Journal(tmp_path / "moved.db", b"there") as there:
        here.note({"k": Written(b"digest", None)})
        assert there.written(["k"]) == {"k": []}
        assert here.written(["k"]) == {"k": [Written(b"digest", None)]}
