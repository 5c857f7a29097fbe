"""Sidecars are killed in the middle of increments and appends that their clients repeat with an Idempotency-Key,
through whichever sidecar is there: each happens once.
"""

from __future__ import annotations

import asyncio
import json
import signal
from collections.abc import Callable
from contextlib import ExitStack
from functools import partial
from pathlib import Path

import pytest
import uvloop
from hostile.effort import Effort
from hostile.histories.test_histories_of_killed_sidecars import sidecar
from scenarios.http_client import HttpClient
from servers.component_files import component
from servers.database import Database
from servers.databases import named
from servers.processes import free_port
from servers.repeating_caller import RepeatingCaller

Promise = Callable[..., None]
CALLERS = 12
EACH = 40
"""Increments and appends of one caller in each round."""


@pytest.fixture(scope="module", params=["redis", "postgresql-v2"])
def subject(request: pytest.FixtureRequest) -> Database:
    return named(request.param)


@pytest.mark.timeout(600)
def test_changes_through_sidecars_that_are_killed_happen_once(
    subject: Database, tmp_path: Path, effort: Effort, promise: Promise
) -> None:
    rounds = effort.times(2, 20)
    ports = [free_port(), free_port()]
    callers = [RepeatingCaller(ports, number) for number in range(CALLERS)]
    numbers: list[int] = []

    async def call(place: int, turn: int) -> None:
        for number in range(EACH):
            once = f"{turn} {place} {number}"
            numbers.append(await callers[place].change("increment", f"{once} n", key="n"))
            await callers[place].change("append", f"{once} l", key="l", values=[once])
        await callers[place].close()

    async def round_of(turn: int, kill: Callable[[], None]) -> None:
        calls = asyncio.gather(*(call(place, turn) for place in range(CALLERS)))
        while len(numbers) < (turn + 0.3) * CALLERS * EACH:
            await asyncio.sleep(0.005)
        kill()
        await calls

    with subject.serve(tmp_path / "server") as server, ExitStack() as stack:
        components = tmp_path / "components"
        components.mkdir()
        file = component("statestore", subject.store_type, server.settings, version=subject.store_version)
        (components / "statestore.yaml").write_text(file)
        stack.enter_context(sidecar(components, ports[0], server.environment))
        for turn in range(rounds):
            with sidecar(components, ports[1], server.environment) as killed:
                uvloop.run(round_of(turn, partial(killed.send, signal.SIGKILL)))
        http = HttpClient(ports[0])
        stack.callback(http.close)
        total = rounds * CALLERS * EACH
        found = http.get("statestore", "l")
        assert found is not None
        assert len(set(json.loads(found.value))) == len(json.loads(found.value)) == total
        assert http.change("statestore", "increment", "n", by=0) == total
    assert sorted(numbers) == list(range(1, total + 1))
    repeated = sum(caller.repeated for caller in callers)
    assert repeated
    promise(
        "Increments and appends that are repeated with their Idempotency-Key happen once, and each caller gets the "
        "result of its own",
        on=server.version,
        fault="one of two sidecars killed in the middle of them",
        times=rounds,
        counted=f"{2 * total:,} changes by {CALLERS} callers, {repeated:,} requests repeated; 0 lost, 0 twice",
    )
