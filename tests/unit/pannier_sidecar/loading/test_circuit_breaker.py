"""A store that was open and can't be reached any more fails at once, and is used again when it is back."""

import asyncio
from typing import Any

import pytest
from servers.limits import state_limits

from pannier_sidecar.loading import circuit_breaker
from pannier_sidecar.loading.circuit_breaker import CircuitBreaker
from pannier_sidecar.state.directory import Directory, ServedStore
from pannier_sidecar.state.errors import OperationFailedError, StoreRefusedError, StoreUnavailableError
from pannier_sidecar.state.keys import KeyScheme
from pannier_sidecar.state.requests import BulkGetRequest, Get, GetRequest, RetryPolicy, SaveRequest, WriteItem
from pannier_sidecar.state.service import StateService
from pannier_sidecar.state.store import StoredValue
from pannier_sidecar.stores.in_memory import InMemoryStore


class AwayStore(InMemoryStore):
    """A store in memory, unless it is marked as unreachable."""

    def __init__(self) -> None:
        super().__init__({})
        self.is_away = False
        self.of_probe: Exception | None = None
        self.calls = self.probes = self.probing = self.most_probing = 0

    def _meet(self) -> None:
        self.calls += 1
        if self.is_away:
            raise StoreUnavailableError("the server is away")

    async def get(self, get: Get) -> StoredValue | None:
        self._meet()
        return await super().get(get)

    async def set(self, write: Any) -> None:
        self._meet()
        await super().set(write)

    async def bulk_get(self, gets: Any) -> Any:
        return [await self._entry(get) for get in gets]

    async def _entry(self, get: Get) -> Any:
        try:
            return await self.get(get)
        except StoreUnavailableError as fault:
            return fault

    async def probe(self) -> None:
        self.probes += 1
        self.probing += 1
        self.most_probing = max(self.most_probing, self.probing)
        await asyncio.sleep(0.001)
        self.probing -= 1
        if self.of_probe is not None:
            raise self.of_probe
        if self.is_away:
            raise StoreUnavailableError("the server is away")


class Nobody:
    def call_ended(self, *_: object) -> None:
        pass


class Watched:
    """A service over one store and its breaker."""

    def __init__(self) -> None:
        self.store = AwayStore()
        self.served = ServedStore("s", "state.test", "v1", self.store, KeyScheme(store="s", app_id="a"))
        self.breaker = CircuitBreaker(self.store, "s", self._put)
        self.service = StateService(Directory("a", [self.served]), Nobody(), state_limits())
        self.service.record_failure = lambda _: self.breaker.record_failure()

    def _put(self, store: Any) -> None:
        self.served.store = store

    async def gets(self) -> str:
        try:
            await self.service.get(GetRequest(None, "k"))
        except OperationFailedError as error:
            assert (error.http_status, error.retry_after) == (503, 1)
            return str(error)
        return ""

    async def until(self, is_open: bool) -> None:
        async with asyncio.timeout(20):
            while bool(self.breaker.why) is not is_open:
                await asyncio.sleep(0.005)


@pytest.fixture
async def watched(monkeypatch: pytest.MonkeyPatch) -> Any:
    for name, value in (("OPENS_AFTER", 0.05), ("FIRST_PAUSE", 0.01), ("MAX_PAUSE", 0.02), ("QUIET", 0.0)):
        monkeypatch.setattr(circuit_breaker, name, value)
    here = Watched()
    await here.store.open()
    yield here
    await here.breaker.stop()


async def test_calls_of_an_unreachable_store_are_not_sent_while_one_probe_at_a_time_checks_it(watched: Watched) -> None:
    watched.store.is_away = True
    await asyncio.gather(*(watched.gets() for _ in range(20)))
    await watched.until(is_open=True)
    calls = watched.store.calls
    for _ in range(50):
        assert await watched.gets() == (
            "fail to get k from state store s: the server is away; it is tried again in the background"
        )
    items = await watched.service.bulk_get(BulkGetRequest(None, ["k", "l"]))
    assert all(item.error for item in items)
    assert watched.store.calls == calls
    assert watched.store.most_probing == 1
    with pytest.raises(StoreUnavailableError, match="the server is away"):
        await anext(watched.served.store.feed(""))
    watched.store.is_away = False
    await watched.until(is_open=False)
    assert await watched.gets() == ""
    probes = watched.store.probes
    await asyncio.sleep(0.1)
    assert watched.store.probes == probes, "nothing is probed while all is well"


async def test_one_server_of_several_that_is_away_cuts_off_nobody(watched: Watched) -> None:
    watched.store.is_away = True
    watched.store.probe = InMemoryStore({}).probe  # type: ignore[method-assign]
    for _ in range(50):
        assert await watched.gets() == "fail to get k from state store s: the server is away"
        await asyncio.sleep(0)
    assert watched.store.calls == 50
    assert not watched.breaker.why


@pytest.mark.parametrize("answer", [StoreRefusedError("wrong password"), ZeroDivisionError()], ids=repr)
async def test_a_refusing_store_and_a_defect_of_a_probe_do_not_open_the_breaker(
    watched: Watched, answer: Exception
) -> None:
    watched.store.is_away, watched.store.of_probe = True, answer
    for _ in range(20):
        assert await watched.gets()
        await asyncio.sleep(0.01)
    assert watched.store.calls == 20


async def test_a_probe_that_is_not_answered_in_time_has_failed(
    watched: Watched, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(circuit_breaker, "PROBE_PATIENCE", 0.06)

    async def hang() -> None:
        await asyncio.sleep(60)

    watched.store.is_away = True
    watched.store.probe = hang  # type: ignore[method-assign]
    await watched.gets()
    await watched.until(is_open=True)
    assert "it gave no answer within 0.06 s" in await watched.gets()


async def test_a_retry_policy_finds_the_store_again_that_comes_back_meanwhile(watched: Watched) -> None:
    watched.store.is_away = True
    await watched.gets()
    await watched.until(is_open=True)
    item = WriteItem("k", b"1", retry=RetryPolicy(interval_ms=10, threshold=500))
    saving = asyncio.create_task(watched.service.save(SaveRequest(None, [item])))
    await asyncio.sleep(0.05)
    assert not saving.done()
    watched.store.is_away = False
    await asyncio.wait_for(saving, 20)
