"""What becomes of the items of a batch when others write in between, and when the store fails."""

from typing import Any

import pytest
from unit.pannier_sidecar.state.scripted_store import ScriptedStore, serving

from pannier_sidecar.state import batches
from pannier_sidecar.state.batches import Batch, OutcomeKind
from pannier_sidecar.state.errors import (
    ETagMismatchError,
    KeyRefusedError,
    MalformedRequestError,
    OutcomeUnknownError,
    StoreError,
    StoreRefusedError,
    StoreUnavailableError,
)
from pannier_sidecar.state.requests import LAST_WRITE, Delete, Get, Set, WriteItem
from pannier_sidecar.state.store import StoredValue


async def kinds(store: ScriptedStore, *items: WriteItem, **more: Any) -> list[OutcomeKind]:
    service, served, _ = serving(store)
    outcomes = await service.batches.run(Batch(None, items, **more))
    assert served.calls_in_flight == 0
    return [outcome.kind for outcome in outcomes]


async def test_a_key_that_must_be_present_is_written_by_the_etag_it_has_now() -> None:
    store = ScriptedStore(None, ETagMismatchError("8"))
    store.values["app||k"] = StoredValue(b"1", "7")
    items = [WriteItem("k", b"2", "*"), WriteItem("absent", b"2", "*"), WriteItem("l", b"2", "*", LAST_WRITE)]
    assert await kinds(ScriptedStore(), *items) == [OutcomeKind.CONDITION_FAILED] * 2 + [OutcomeKind.WRITTEN]
    assert await kinds(store, WriteItem("k", None, "*")) == [OutcomeKind.WRITTEN]
    assert store.asked == [Get("app||k", True), Delete("app||k", "7")] * 2


async def test_a_key_that_others_write_all_the_time_is_unavailable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(batches, "MAX_PAUSE_S", 0)
    store = ScriptedStore(*[None, ETagMismatchError()] * 100)
    store.values["app||k"] = StoredValue(b"1", "7")
    assert await kinds(store, WriteItem("k", b"2", "*")) == [OutcomeKind.UNAVAILABLE]
    assert len(store.asked) == 2 * batches.ATTEMPTS


async def test_a_failure_of_one_item_is_its_own() -> None:
    for error, kind in (
        (ETagMismatchError(), OutcomeKind.CONDITION_FAILED),
        (KeyRefusedError("too long"), OutcomeKind.REFUSED),
        (StoreUnavailableError("away"), OutcomeKind.UNAVAILABLE),
        (OutcomeUnknownError("lost"), OutcomeKind.UNKNOWN),
        (StoreRefusedError("full"), OutcomeKind.FAILED),
    ):
        store = ScriptedStore(None, error)
        assert await kinds(store, *(WriteItem(key, b"1") for key in "abc")) == [
            OutcomeKind.WRITTEN,
            kind,
            OutcomeKind.WRITTEN,
        ]


async def test_a_key_that_cannot_be_read_is_not_written() -> None:
    store = ScriptedStore(StoreError("no permission"))
    assert await kinds(store, WriteItem("k", b"2", "*")) == [OutcomeKind.FAILED]
    store = ScriptedStore()
    store.values["app||k"] = StoredValue(b"1", "")
    assert await kinds(store, WriteItem("k", b"2", "*")) == [OutcomeKind.REFUSED]
    assert not any(isinstance(each, Set) for each in store.asked)


async def test_an_etag_is_told_only_of_what_was_written() -> None:
    store = ScriptedStore()
    store.values = {"app||a": StoredValue(b"1", "7"), "app||b": StoredValue(b"another", "8")}
    service, _, _ = serving(store)
    items = [WriteItem("a", b"1"), WriteItem("b", b"1"), WriteItem("c", None)]
    outcomes = await service.batches.run(Batch(None, items, returns_etags=True))
    assert [outcome.etag for outcome in outcomes] == ["7", None, None]
    unread = ScriptedStore(None, StoreError("away"))
    service, _, _ = serving(unread)
    [outcome] = await service.batches.run(Batch(None, items[:1], returns_etags=True))
    assert (outcome.kind, outcome.etag) == (OutcomeKind.WRITTEN, None)


async def test_a_wrong_item_writes_nothing() -> None:
    for wrong in ([WriteItem("k", b"1"), WriteItem("k", None)], [WriteItem("k", b"1"), WriteItem("a||b", b"1")]):
        store = ScriptedStore()
        with pytest.raises(MalformedRequestError):
            await kinds(store, *wrong)
        assert store.asked == []
