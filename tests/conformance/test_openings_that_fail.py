"""A store that could not be opened, or whose opening was cancelled, leaves nothing behind."""

import asyncio
import gc
import os
import threading
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
from servers.database import Database, Server
from servers.eventually import close_server, until
from servers.processes import free_port
from servers.proxy_setups import PROXY_SETUPS

from pannier_sidecar.state.errors import StoreError
from pannier_sidecar.state.store import Store
from pannier_sidecar.stores import registry

pytestmark = pytest.mark.topic("opening and closing")

PARTS = (0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9)
"""Fractions of the time that opening takes, after which it is cancelled."""
TURNS = (0, 1, 2, 3, 5, 8)
"""Turns of the event loop after which opening is cancelled."""
KEPT_THREADS = ("asyncio_",)
"""Threads of the loop's executor, which all stores share and nobody ends."""


def held(folder: Path) -> Counter[str]:
    """Return what this process holds: connections, files in the tests' folder, tasks, and threads, by kind and name.

    Other files may be those of databases that are being installed in the background.
    """
    found: Counter[str] = Counter()
    for number in os.listdir("/proc/self/fd"):
        with suppress(OSError):  # the one that lists the folder
            target = os.readlink(f"/proc/self/fd/{number}")
            if target.startswith(("socket:", f"{folder}/")):
                found["socket" if target.startswith("socket:") else target] += 1
    found.update(f"task {task.get_name()} {task.get_coro()}" for task in asyncio.all_tasks() if not task.done())
    found.update(each.name for each in threading.enumerate() if not each.name.startswith(KEPT_THREADS))
    return found


@asynccontextmanager
async def held_by_others(make_store: Callable[[], Store], folder: Path) -> AsyncIterator[Counter[str]]:
    """Return what the process holds besides the stores of a test, also what a client library keeps for all stores: it
    may end its threads with the last object of its own, so one closed store is kept until the end.
    """
    warm = make_store()
    await warm.open()
    await warm.close()
    yield await settled(folder)
    del warm


async def nothing_more_is_held(before: Counter[str], folder: Path) -> None:
    """Wait until the process holds no more than before. What it keeps is added, so that it is reported only once."""

    def is_let_go() -> bool:
        gc.collect()  # an error may be part of a reference cycle
        return not held(folder) - before

    with suppress(TimeoutError):
        await until(is_let_go)
    kept = held(folder) - before
    before.update(kept)
    assert not kept


async def settled(folder: Path) -> Counter[str]:
    """Return what the process holds after closed connections have gone: client libraries end some a little later."""
    calm, found = 0, held(folder)
    while calm < 10:
        await asyncio.sleep(0.01)
        now = held(folder)
        calm = 0 if found - now else calm + 1
        found = now
    return found


async def test_an_opening_that_is_given_up_leaves_nothing_behind(
    make_store: Callable[[], Store], tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.getbasetemp()
    async with held_by_others(make_store, folder) as before:
        loop = asyncio.get_running_loop()
        began = loop.time()
        store = make_store()
        await store.open()
        duration = loop.time() - began
        await store.close()
        for part in PARTS:
            await given_up(make_store(), lambda part=part: asyncio.sleep(duration * part))
        for turns in TURNS:
            await given_up(make_store(), lambda turns=turns: several_turns(turns))
        await nothing_more_is_held(before, folder)


async def given_up(store: Store, pause: Callable[[], Any]) -> None:
    opening = asyncio.create_task(store.open())
    await pause()
    opening.cancel()
    await asyncio.wait([opening])
    if not opening.cancelled() and opening.exception() is None:  # it was faster, or its client library went on
        await store.close()


async def several_turns(count: int) -> None:
    for _ in range(count):
        await asyncio.sleep(0)


@pytest.mark.on(lambda database: database.name in PROXY_SETUPS)
async def test_an_opening_whose_server_is_or_goes_away_leaves_nothing_behind(
    make_store: Callable[[], Store],
    subject: Database,
    server: Server,
    tmp_path_factory: pytest.TempPathFactory,
    subtests: pytest.Subtests,
) -> None:
    folder = tmp_path_factory.getbasetemp()
    async with held_by_others(make_store, folder) as before:
        with subtests.test("no server"):
            await refused(led_to(free_port(), subject, server))
            await nothing_more_is_held(before, folder)
        port = PROXY_SETUPS[subject.name].port(server.settings)
        for answers in (0, 1, 2, 4):
            with subtests.test(f"gone after {answers} answers"):
                async with closing_proxy(port, answers) as shortened:
                    await refused(led_to(shortened, subject, server))
                await nothing_more_is_held(before, folder)


def led_to(port: int, subject: Database, server: Server) -> Store:
    """Return a store that looks for its server at this port, and waits for it briefly."""
    kind: Any = registry.load(subject.store_type, subject.store_version)
    setup = PROXY_SETUPS[subject.name]
    return kind(subject.typed({**server.settings, **setup.names(port), **setup.impatient}))


async def refused(store: Store) -> None:
    """Open a store; it may also time out. A store that needs fewer answers is closed."""
    with suppress(StoreError, TimeoutError):
        async with asyncio.timeout(2):
            await store.open()
        await store.close()


@asynccontextmanager
async def closing_proxy(target: int, answers: int) -> AsyncIterator[int]:
    """Forward connections to a port of this machine until this many pieces have come back on each; then cut it."""
    serving: set[asyncio.Task[None] | None] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        serving.add(asyncio.current_task())
        try:
            answering, asking = await asyncio.open_connection("127.0.0.1", target)
            there = asyncio.create_task(pump(reader, asking))
            try:
                await answer(answering, writer)
            finally:
                there.cancel()
                asking.transport.abort()
        finally:
            writer.transport.abort()

    async def answer(answering: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError):
            for _ in range(answers):
                if not (chunk := await answering.read(65536)):
                    break
                writer.write(chunk)
                await writer.drain()
            await answering.read(1)

    async def pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError):
            while chunk := await reader.read(65536):
                writer.write(chunk)
                await writer.drain()

    listener = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        yield listener.sockets[0].getsockname()[1]
    finally:
        await close_server(listener)
        for task in filter(None, serving):
            task.cancel()
        await asyncio.gather(*filter(None, serving), return_exceptions=True)
