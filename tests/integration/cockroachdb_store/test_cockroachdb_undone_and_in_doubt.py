"""CockroachDB undoes calls that meet, and sometimes does not know whether a write happened. A proxy answers so."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator

import pytest
from servers.lost_answers import Call, first_of_a_bulk, outcome
from servers.postgresql_server import PostgreSQLServer
from servers.sqlstate_proxy import SqlStateProxy

from pannier_sidecar.state.errors import OutcomeUnknownError, StoreRefusedError, StoreUnavailableError
from pannier_sidecar.state.requests import Delete, Get, Set
from pannier_sidecar.state.store import Store

UNDONE, AMBIGUOUS, INTERNAL = "40001", "40003", "XX000"


@pytest.fixture
def proxy(server: PostgreSQLServer) -> Iterator[SqlStateProxy]:
    with SqlStateProxy(server.port) as proxy:
        yield proxy


@pytest.fixture(params=["v1", "v2"])
async def store(request: pytest.FixtureRequest, proxy: SqlStateProxy, open_store) -> AsyncIterator[Store]:
    """A store behind the proxy with one connection, with key k."""
    url = f"postgresql://admin@{proxy.address}/postgres"
    store = await open_store(request.param, connectionString=url, maxConns=1)
    await store.set(Set("k", b"before"))
    yield store
    proxy.fault = None


async def etag_of_k(store: Store) -> str:
    found = await store.get(Get("k"))
    assert found is not None
    return found.etag


async def value_of_k(store: Store) -> bytes | None:
    found = await store.get(Get("k"))
    return None if found is None else found.value


async def changed(store: Store) -> None:
    await store.set(Set("k", b"mine", await etag_of_k(store)))


async def both(store: Store) -> None:
    await store.transact([Set("k", b"mine"), Set("other", b"mine")])


async def both_if_unchanged(store: Store) -> None:
    await store.transact([Set("k", b"mine", await etag_of_k(store)), Set("other", b"mine")])


WRITES: dict[str, tuple[bytes, Call]] = {
    "a write": (b"INSERT", lambda store: store.set(Set("k", b"mine"))),
    "a write by its ETag": (b"UPDATE", changed),
    "a deletion": (b"DELETE", lambda store: store.delete(Delete("k"))),
    "writes together": (b"INSERT", first_of_a_bulk),
    "the end of a transaction": (b"COMMIT", both),
}
"""What is answered by an error, and the call."""
WITHIN: dict[str, tuple[bytes, Call]] = {
    "a transaction's begin": (b"BEGIN", both),
    "a transaction's lock": (b"SELECT key", both_if_unchanged),
    "a transaction's write": (b"INSERT", both),
}
READS: dict[str, tuple[bytes, Call]] = {
    "a read": (b"SELECT value", lambda store: store.get(Get("k"))),
    "a list": (b"SELECT key", lambda store: store.keys("", 10, None)),
}


async def test_what_was_undone_is_done_again(store: Store, proxy: SqlStateProxy, subtests: pytest.Subtests) -> None:
    for name, (word, call) in {**WRITES, **WITHIN, **READS}.items():
        with subtests.test(name):
            await store.set(Set("k", b"before"))
            fault = proxy.answer(word, UNDONE, times=3)
            done = await outcome(call(store))
            assert not isinstance(done, Exception), repr(done)
            assert (fault.times, fault.seen) == (0, 4)
            if name not in READS:
                assert await value_of_k(store) == (None if name == "a deletion" else b"mine")


async def test_a_write_that_is_undone_for_long_did_not_happen(proxy: SqlStateProxy, open_store) -> None:
    store = await open_store(connectionString=f"postgresql://admin@{proxy.address}/postgres", timeout=2.0)
    proxy.answer(b"INSERT", UNDONE, times=1000)
    assert type(await outcome(store.set(Set("k", b"mine")))) is StoreUnavailableError
    proxy.fault = None
    assert await value_of_k(store) is None


async def test_a_write_of_unknown_outcome_is_told_and_not_repeated(
    store: Store, proxy: SqlStateProxy, subtests: pytest.Subtests
) -> None:
    for name, (word, call) in WRITES.items():
        for code in (AMBIGUOUS, INTERNAL, "58C01"):
            for happens in (True, False):
                with subtests.test(f"{name}, {code}, {happens=}"):
                    await store.set(Set("k", b"before"))
                    fault = proxy.answer(word, code, happens=happens)
                    error = await outcome(call(store))
                    assert type(error) is OutcomeUnknownError, repr(error)
                    assert f"CockroachDB at {proxy.address} can't say whether the write happened ({code})" in str(error)
                    assert fault.seen == 1
                    after = None if name == "a deletion" else b"mine"
                    assert await value_of_k(store) == (after if happens else b"before")


async def test_before_its_end_a_transaction_is_never_in_doubt(
    store: Store, proxy: SqlStateProxy, subtests: pytest.Subtests
) -> None:
    for name, (word, call) in WITHIN.items():
        for code, kind in ((AMBIGUOUS, StoreUnavailableError), (INTERNAL, StoreRefusedError)):
            with subtests.test(f"{name}, {code}"):
                proxy.answer(word, code)
                assert type(await outcome(call(store))) is kind
                assert await value_of_k(store) == b"before"
