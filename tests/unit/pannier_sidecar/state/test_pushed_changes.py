"""What waits for a slow consumer of a feed is the last change of each key, bounded."""

import asyncio
from collections.abc import Sequence

import pytest

from pannier_sidecar.state.errors import StoreUnavailableError
from pannier_sidecar.state.feeds import UNREAD, Alive, Entry, Gap, KeyChange
from pannier_sidecar.state.pushed_changes import MAX_KEYS, MAX_LENGTH, PushedChanges


async def taken(changes: PushedChanges) -> Sequence[Entry]:
    async with asyncio.timeout(10):
        return await changes.taken()


async def test_the_last_change_of_each_key_waits_and_the_proof_comes_last() -> None:
    changes = PushedChanges()
    changes.add("a", "1")
    changes.add("b")
    changes.prove(5.0)
    changes.add("a", None)
    assert await taken(changes) == [KeyChange("b", UNREAD), KeyChange("a", None), Alive(5.0)]
    changes.prove(6.0)
    assert await taken(changes) == [Alive(6.0)]


async def test_too_many_keys_are_a_gap_and_later_changes_follow() -> None:
    changes = PushedChanges()
    for number in range(MAX_KEYS + 1):
        changes.add(str(number))
    changes.add("later")
    changes.prove(1.0)
    gap, *rest = await taken(changes)
    assert isinstance(gap, Gap)
    assert rest == [KeyChange("later"), Alive(1.0)]
    changes.add("k" * (MAX_LENGTH + 1))
    assert await taken(changes) == [gap]


async def test_many_changes_of_few_keys_are_none() -> None:
    changes = PushedChanges()
    for number in range(3 * MAX_KEYS):
        changes.add(f"{number % 10}{'k' * 1000}", str(number))
    assert len(await taken(changes)) == 10


async def test_the_first_reason_of_an_end_is_raised_again_and_again() -> None:
    changes = PushedChanges()
    changes.add("a")
    changes.end(StoreUnavailableError("first"))
    changes.end(StoreUnavailableError("second"))
    for _ in range(2):
        with pytest.raises(StoreUnavailableError, match="first"):
            await taken(changes)
