"""One run: changes are made in rounds, something goes wrong in most of them, and after each the copy must be right."""

from __future__ import annotations

import asyncio
import json
import urllib.error
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from watch_check.places import Place, place
from watch_check.watcher import Watcher
from watch_check.writers import PREFIX, STORE, Writers

CALM = "nothing goes wrong"
RATE = 200
"""Changes a second while their lag is noted: then it is not the time that they wait for one another."""
PATIENCE_S = 120.0
"""How long after the last write the copy may be wrong before something counts as missed."""


@dataclass
class Outcome:
    """What a run has found."""

    written: int
    failed: int
    events: int
    resets: dict[str, int]
    connections: int
    without_value: int
    lags_ms: list[float]
    """Of changes at a steady rate while nothing went wrong, in order."""
    wrong: list[str]

    def lag_ms(self, share: float) -> float:
        """Return the lag that this share of the changes did not exceed."""
        return self.lags_ms[min(len(self.lags_ms) - 1, int(share * len(self.lags_ms)))] if self.lags_ms else 0.0


async def run(
    folder: Path,
    name: str,
    changes: int,
    rounds: int,
    writers: int = 4,
    keys: int = 200,
    say: Callable[[str], None] = print,
) -> Outcome:
    """Make changes in a place, in rounds; each of its faults happens in turn."""
    async with place(folder, name) as where:
        writing = Writers(lambda: where.writers.port, writers, keys)
        async with Watcher(lambda: where.watcher.port, writing) as watcher:
            await _until_right(where, watcher)

            async def cut() -> None:
                watcher.cut()

            faults = {CALM: None, "the watcher's connection is cut": cut, **where.faults}
            names = list(faults)
            for number in range(rounds):
                fault = faults[names[number % len(names)]]
                task = asyncio.create_task(writing.write(changes // rounds))
                if fault is not None:
                    await asyncio.sleep(0.2)
                    await fault()
                await task
                await _until_right(where, watcher)
                say(f"  {writing.written:>9,} changes, {watcher.resets} resets; {names[number % len(names)]}")
            watcher.is_timed = True
            await writing.write(min(changes // 10, 2000), at_once=1, pause_s=writers / RATE)
            await _until_right(where, watcher)
            lags = sorted(lag * 1000 for lag in watcher.lags_s)
            return Outcome(
                writing.written,
                writing.failed,
                watcher.events,
                watcher.reasons,
                watcher.connections,
                watcher.without_value,
                lags,
                watcher.wrong,
            )


async def _until_right(where: Place, watcher: Watcher) -> None:
    """Wait until the copy is the state; if it never is, note what was missed."""
    deadline = asyncio.get_running_loop().time() + PATIENCE_S
    while not watcher.wrong:
        state = await asyncio.to_thread(_state, where.writers.port)
        if watcher.is_complete and state is not None and not _differences(state, watcher.copy):
            return
        if asyncio.get_running_loop().time() > deadline:
            found = ["no complete state was told"] if state is None else _differences(state, watcher.copy)
            watcher.wrong += [f"missed without being told: {one}" for one in found[:10]]
            return
        await asyncio.sleep(0.05)


def _differences(state: dict[str, int], copy: dict[str, int | None]) -> list[str]:
    """Return where the copy is wrong; a key that was told without its value is to be read."""
    return [
        f"{key} is {state.get(key)}, told was {copy.get(key)}"
        for key in sorted({*state, *copy})
        if (key in state) != (key in copy) or copy.get(key) not in (None, state.get(key))
    ]


def _state(port: int) -> dict[str, int] | None:
    """Return what is stored now; None if the sidecar cannot tell it."""
    found: dict[str, int] = {}
    cursor = ""
    while True:
        path = f"/v1.0-alpha1/state/{STORE}/keys?prefix={PREFIX}&limit=1000&values=true&cursor={cursor}"
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=30) as answer:
                page = json.load(answer)
        except (urllib.error.URLError, OSError):
            return None
        if any("error" in entry for entry in page["keys"]):
            return None
        found |= {entry["key"]: entry["data"] for entry in page["keys"] if "data" in entry}
        if page["cursor"] is None:
            return found
        cursor = page["cursor"]
