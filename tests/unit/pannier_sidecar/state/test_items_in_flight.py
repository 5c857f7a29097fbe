"""Calls with many items wait for each other: a limited number of items at a time, the smallest call first, and no call
for ever.
"""

import asyncio

import pytest

from pannier_sidecar.state.errors import OverloadedError
from pannier_sidecar.state.items_in_flight import BYTES_OF_ITEM, ItemsInFlight


async def begun(*calls: "asyncio.Task[object]") -> list[bool]:
    await asyncio.sleep(0.01)
    return [call.done() for call in calls]


async def test_four_of_the_largest_requests_have_room_and_a_fifth_waits() -> None:
    flight = ItemsInFlight(100, 400)
    shares = [await flight.share(100, 0) for _ in range(4)]
    fifth = asyncio.create_task(flight.share(100, 0))
    assert await begun(fifth) == [False]
    assert flight.is_crowded
    shares[2].end()
    assert await begun(fifth) == [True]
    assert not flight.is_crowded


async def test_a_request_is_counted_as_no_more_than_a_request_may_have() -> None:
    flight = ItemsInFlight(100, 400)
    for _ in range(4):
        await flight.share(1_000_000, 0)


async def test_unused_room_of_a_call_is_for_others() -> None:
    flight = ItemsInFlight(100, 400)
    shares = [await flight.share(100, 0) for _ in range(4)]
    fifth = asyncio.create_task(flight.share(90, 0))
    shares[0].correct(10)
    assert await begun(fifth) == [True]


async def test_the_smallest_call_goes_first() -> None:
    flight = ItemsInFlight(100, 400)
    shares = [await flight.share(100, 0) for _ in range(4)]
    large, small = (asyncio.create_task(flight.share(size, 0)) for size in (100, 10))
    await asyncio.sleep(0)
    shares[0].correct(50)
    assert await begun(large, small) == [False, True]
    shares[1].end()
    assert await begun(large) == [True]


async def test_a_call_that_waited_long_enough_is_refused_and_leaves_room_for_others() -> None:
    flight = ItemsInFlight(100, 400, patience=0.05)
    shares = [await flight.share(100, 0) for _ in range(4)]
    with pytest.raises(OverloadedError):
        await flight.share(100, 0)
    assert not flight.is_crowded
    shares[0].end()
    await flight.share(100, 0)


async def test_calls_that_are_given_up_take_no_room() -> None:
    flight = ItemsInFlight(100, 400)
    shares = [await flight.share(100, 0) for _ in range(4)]
    calls = [asyncio.create_task(flight.share(100, 0)) for _ in range(10)]
    await asyncio.sleep(0)
    for call in calls[:5]:
        call.cancel()
    for share in shares:
        share.end()
    for call in calls[5:]:  # some have got their turn just now
        call.cancel()
    await asyncio.gather(*calls, return_exceptions=True)
    assert not flight.is_crowded
    async with asyncio.timeout(1):
        for _ in range(4):
            await flight.share(100, 0)


async def test_bytes_count_as_items_and_still_do_when_the_items_are_known() -> None:
    flight = ItemsInFlight(100, 400)
    size = 100 * BYTES_OF_ITEM
    shares = [await flight.share(items, size) for items in (0, 1, 100, 1000)]
    for share in shares:
        share.correct(1)
    other = asyncio.create_task(flight.share(1, 0))
    assert await begun(other) == [False]
    shares[0].end()
    assert await begun(other) == [True]


async def test_bytes_count_for_no_more_than_a_request_may_have() -> None:
    flight = ItemsInFlight(100, 400)
    for _ in range(4):
        await flight.share(1, 10**9)
