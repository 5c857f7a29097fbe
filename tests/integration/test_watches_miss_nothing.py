"""A small form of `make watch-check`: a watch misses no change, whatever fails meanwhile."""

from __future__ import annotations

from pathlib import Path

import pytest
from watch_check.places import PLACES
from watch_check.run import run


@pytest.mark.timeout(300)
@pytest.mark.parametrize("place", PLACES)
async def test_nothing_is_missed_and_nothing_comes_in_the_wrong_order(tmp_path: Path, place: str) -> None:
    outcome = await run(tmp_path, place, changes=6_000, rounds=6, keys=50)
    assert outcome.wrong == []
    assert outcome.written >= 5_000
    assert outcome.events > 0
