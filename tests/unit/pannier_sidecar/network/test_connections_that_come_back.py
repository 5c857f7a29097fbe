"""A connection that is replaced when it ends: which calls wait for it, in which order, and the error when it is
full.
"""

import asyncio

import pytest

from pannier_sidecar.network.pipeline import Pipeline
from pannier_sidecar.network.reconnecting import WOKEN_AT_ONCE, ReconnectingConnection
from pannier_sidecar.state.errors import StoreError, StoreRefusedError, StoreUnavailableError

PATIENCE_S = 30.0


class Wire(Pipeline):
    """A connection without a transport, which is full when a test says so."""

    def __init__(self) -> None:
        super().__init__(asyncio.get_running_loop(), "Rock at h:1", 1.0, "timeout")

    def read(self, data: bytes) -> None:
        raise AssertionError

    def be_full(self) -> None:
        self.pause_writing()

    def have_room(self) -> None:
        self.resume_writing()

    def end(self) -> None:
        self.connection_lost(None)


class Rock(ReconnectingConnection[Wire]):
    """Connects when the test says so."""

    def __init__(self) -> None:
        async def dial() -> Wire:
            return Wire()

        super().__init__(dial, "Rock")

    async def connect(self) -> Wire:
        wire = await self._dial()
        self._adopt(wire)
        return wire

    async def usable(self, patience: float = PATIENCE_S) -> Wire:
        deadline = asyncio.get_running_loop().time() + patience
        while self.connection is None and asyncio.get_running_loop().time() < deadline and not self._is_closed:
            await self._wait(deadline)
        if self.connection is None:
            raise self._why()
        return self.connection


async def test_calls_wait_in_the_order_they_came() -> None:
    rock = Rock()
    came: list[int] = []

    async def call(number: int) -> None:
        await rock.usable()
        came.append(number)

    calls = [asyncio.create_task(call(number)) for number in range(3 * WOKEN_AT_ONCE)]
    await asyncio.sleep(0)
    wire = await rock.connect()
    assert rock.connection is wire
    async with asyncio.timeout(PATIENCE_S):
        await asyncio.gather(*calls)
    assert came == list(range(3 * WOKEN_AT_ONCE))


async def test_no_more_are_woken_than_find_room() -> None:
    rock = Rock()
    went: list[Wire] = []

    async def call() -> None:
        wire = await rock.usable()
        went.append(wire)
        wire.be_full()

    calls = [asyncio.create_task(call()) for _ in range(3)]
    await asyncio.sleep(0)
    wire = await rock.connect()
    while len(went) < 3:
        before = len(went)
        wire.have_room()
        for _ in range(10):
            await asyncio.sleep(0)
        assert len(went) > before
    await asyncio.gather(*calls)
    assert rock.is_connected


async def test_a_full_connection_says_so() -> None:
    rock = Rock()
    (await rock.connect()).be_full()
    with pytest.raises(StoreUnavailableError, match="^Rock at h:1 has more calls waiting than it can take; try again"):
        await rock.usable(0)


async def test_one_that_has_ended_says_why() -> None:
    rock = Rock()
    (await rock.connect()).end()
    assert not rock.is_connected
    with pytest.raises(StoreUnavailableError, match="^the connection to Rock at h:1 was lost"):
        await rock.usable(0)


async def test_the_end_of_a_replaced_connection_changes_nothing() -> None:
    rock = Rock()
    first = await rock.connect()
    first.be_full()
    second = await rock.connect()
    first.end()
    assert rock.connection is second


async def test_each_call_gets_its_own_error() -> None:
    rock = Rock()
    rock.last_error = StoreRefusedError("the password is wrong")
    faults: list[StoreError] = []
    for _ in range(2):
        with pytest.raises(StoreRefusedError, match="the password is wrong") as caught:
            await rock.usable(0)
        faults.append(caught.value)
    assert faults[0] is not faults[1]
    assert faults[0] is not rock.last_error


async def test_closing_ends_calls_that_wait() -> None:
    rock = Rock()
    calls = [asyncio.create_task(rock.usable()) for _ in range(2 * WOKEN_AT_ONCE)]
    await asyncio.sleep(0)
    await rock.close()
    async with asyncio.timeout(PATIENCE_S):
        ends = await asyncio.gather(*calls, return_exceptions=True)
    assert {str(end) for end in ends} == {"the Rock store is closed"}
