"""A write whose connection is cut before or after the server's work: its error, and that it is not repeated.

Each case runs on every store: another client writes while the answer is held back, then the connection is cut. If the
write were repeated, the other client's value would be lost.
"""

import asyncio
from collections.abc import Callable
from typing import Any, NamedTuple

import pytest
from hostile.partitions.conftest import Both
from servers.database import Database, ProxySetup, Server
from servers.eventually import eventually
from servers.proxy_setups import PROXY_SETUPS

from pannier_sidecar.state.errors import OutcomeUnknownError, StoreError, StoreUnavailableError
from pannier_sidecar.state.requests import Delete, Get, Set, Write
from pannier_sidecar.state.store import Feature, StoredValue

OURS, THEIRS = b'"ours"', b'"theirs"'
LIMIT_S = 30.0


class Case(NamedTuple):
    """A write, and what another client does to its key meanwhile."""

    begins_with: bytes | None
    write: Callable[[str, str], Write]
    """Makes the write from a key and an ETag."""
    theirs: Callable[[str], Write]


CASES = {
    "set": Case(None, lambda key, _: Set(key, OURS), lambda key: Set(key, THEIRS)),
    "delete": Case(b"1", lambda key, _: Delete(key), lambda key: Set(key, THEIRS, if_absent=True)),
    "set by ETag": Case(b"1", lambda key, etag: Set(key, OURS, if_match=etag), lambda key: Set(key, THEIRS)),
    "delete by ETag": Case(
        b"1", lambda key, etag: Delete(key, if_match=etag), lambda key: Set(key, THEIRS, if_absent=True)
    ),
    "create": Case(None, lambda key, _: Set(key, OURS, if_absent=True), lambda key: Set(key, THEIRS)),
    "bulk": Case(None, lambda key, _: Set(key, OURS), lambda key: Set(key, THEIRS)),
    "transaction": Case(None, lambda key, _: Set(key, OURS), lambda key: Set(key, THEIRS)),
}


def in_one_place(both: Both, write: Write) -> Write:
    return write.__class__(
        **{**{name: getattr(write, name) for name in write.__struct_fields__}, "metadata": both.metadata}
    )


async def carried_out(both: Both, case: str, write: Write) -> StoreError | None:
    """Carry out a write as the case says; return its error."""
    other = in_one_place(both, Set(write.key + "-too", OURS))
    try:
        if case == "bulk":
            return next((fault for fault in await both.ours.bulk_write([write, other]) if fault), None)
        if case == "transaction":
            await both.ours.transact([write, other])
        elif isinstance(write, Set):
            await both.ours.set(write)
        else:
            await both.ours.delete(write)
    except StoreError as fault:
        return fault
    return None


async def written(both: Both, write: Write) -> None:
    await (both.theirs.set(write) if isinstance(write, Set) else both.theirs.delete(write))


async def begun(both: Both, case: str, number: int = 0) -> tuple[Write, StoredValue | None]:
    """Prepare a key for the case; return the write that will be cut off, and the value before it."""
    made, key = CASES[case], f"cut-me-{number}-{case.replace(' ', '-')}"
    if made.begins_with is None:
        await written(both, in_one_place(both, Delete(key)))
    else:
        await written(both, in_one_place(both, Set(key, made.begins_with)))
    before = await both.found(key)
    assert (before is None) == (made.begins_with is None)
    await both.ours.get(Get(key, metadata=both.metadata))  # so that it is connected
    return in_one_place(both, made.write(key, "" if before is None else before.etag)), before


def cases(subject: Database) -> list[str]:
    return [case for case in CASES if case != "transaction" or Feature.TRANSACTIONAL in subject.claims]


@pytest.mark.timeout(600)
async def test_a_write_that_was_carried_out_and_not_answered_is_unknown_and_not_repeated(
    both: Both, subject: Database, server: Server, effort: Any, promise: Any, subtests: pytest.Subtests
) -> None:
    setup = PROXY_SETUPS[subject.name]
    for case in cases(subject):
        with subtests.test(case):
            times = effort.times(1, 10)
            faults = [await fault_of_a_lost_answer(both, setup, case, number) for number in range(times)]
            promise(
                "A write whose answer is lost is reported with an unknown outcome, and is not repeated after others "
                "have written",
                on=f"{server.version}: {case}",
                fault="the connection is cut after the server's work; another client writes the key before that",
                times=times,
                counted=f"{times - faults.count(None)} unknown, {faults.count(None)} recognised by an id; 0 repeated",
            )


async def fault_of_a_lost_answer(both: Both, setup: ProxySetup, case: str, number: int) -> StoreError | None:
    """Lose the answer to a write, after another client's write; assert that the other client's value stays."""
    write, before = await begun(both, case, number)
    both.proxy.arm("after", *setup.commit.get(case, (b"cut-me", 0)))
    call = asyncio.create_task(carried_out(both, case, write))
    await both.proxy.met()
    async with asyncio.timeout(LIMIT_S):
        while await both.found(write.key) == before:
            await asyncio.sleep(0.01)
    await written(both, in_one_place(both, CASES[case].theirs(write.key)))
    both.proxy.cut()
    fault = await asyncio.wait_for(call, LIMIT_S)
    if fault is None:
        assert case in setup.repeats, "success was reported although the answer was lost"
    else:
        assert type(fault) is OutcomeUnknownError, repr(fault)
        assert str(fault).endswith("read the key before writing again")
    await eventually(lambda: both.ours.ping())
    last = await both.found(write.key)
    assert last is not None and last.value == THEIRS, "the write came a second time"
    return fault


@pytest.mark.timeout(600)
async def test_a_write_that_never_arrived_is_no_success(
    both: Both, subject: Database, server: Server, effort: Any, promise: Any, subtests: pytest.Subtests
) -> None:
    setup = PROXY_SETUPS[subject.name]
    for case in cases(subject):
        with subtests.test(case):
            times = effort.times(1, 10)
            faults = [await fault_of_a_lost_request(both, setup, case, number) for number in range(times)]
            promise(
                "A write that does not arrive is reported as not done, or with an unknown outcome",
                on=f"{server.version}: {case}",
                fault="the connection is cut before the server has the request",
                times=times,
                counted=f"{sum(fault is not None for fault in faults)} reported; 0 acknowledged without the write",
            )


async def fault_of_a_lost_request(both: Both, setup: ProxySetup, case: str, number: int) -> StoreError | None:
    """Lose the request of a write; assert that success is reported only if the write has happened."""
    write, before = await begun(both, case, number)
    both.proxy.arm("before", *setup.commit.get(case, (b"cut-me", 0)))
    fault = await asyncio.wait_for(carried_out(both, case, write), LIMIT_S)
    await eventually(lambda: both.ours.ping())
    if fault is None:
        assert case in setup.repeats
        assert await both.found(write.key) != before, "success was reported for a write that did not happen"
    else:
        assert type(fault) in (OutcomeUnknownError, StoreUnavailableError), repr(fault)
        if case != "bulk":
            assert await both.found(write.key) == before
    return fault


async def test_a_write_that_cannot_be_sent_did_not_happen(both: Both, subtests: pytest.Subtests) -> None:
    for case in ("set by ETag", "bulk"):
        with subtests.test(case):
            write, _ = await begun(both, case)
            await both.proxy.close()
            await until_known(both)
            fault = await asyncio.wait_for(carried_out(both, case, write), LIMIT_S)
            assert type(fault) is StoreUnavailableError, repr(fault)
            await both.proxy.open()
            await eventually(lambda: both.ours.ping())


async def until_known(both: Both) -> None:
    """Let the store notice that its connection is gone."""
    with pytest.raises(StoreUnavailableError):
        await both.ours.get(Get("k", metadata=both.metadata))
