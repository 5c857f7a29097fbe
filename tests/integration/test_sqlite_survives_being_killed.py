"""A write that an SQLite store has answered is in the file, even if the process is killed while it writes."""

import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from pannier_sidecar.state.requests import Get, Set
from pannier_sidecar.stores.sqlite.store import SQLiteStore

WRITER = """
import asyncio, sys
from pannier_sidecar.state.requests import Delete, Set
from pannier_sidecar.stores.sqlite.store import SQLiteStore

async def write(store, task):
    for number in range(100_000):
        name = f"{sys.argv[2]} {task} {number}"
        if number % 3 == 0:
            await store.transact([Set(name + " left", name.encode()), Set(name + " right", name.encode())])
        elif number % 3 == 1:
            await store.bulk_write([Set(name, name.encode()), Set("gone " + name, b"1")])
            await store.delete(Delete("gone " + name))
        else:
            await store.set(Set(name, name.encode()))
        sys.stdout.write(name + "\\n")
        sys.stdout.flush()

async def main():
    store = SQLiteStore({"connectionString": sys.argv[1], "disableWAL": sys.argv[3] == "DELETE"})
    await store.open()
    await asyncio.gather(*(write(store, task) for task in range(8)))

asyncio.run(main())
"""


@pytest.mark.parametrize("journal", ["WAL", "DELETE"])
async def test_every_answered_write_is_there_and_the_file_is_whole(tmp_path: Path, journal: str) -> None:
    file = tmp_path / "state.db"
    answered: list[str] = []
    for run, patience in enumerate((1, 100, 400, 900)):
        answered += killed_after(patience, file, run, journal)
        assert judged_by_sqlite(file) == ("ok", journal.lower())
    store = SQLiteStore({"connectionString": str(file)})
    await store.open()
    for name in answered:
        if int(name.split()[2]) % 3 == 0:
            left, right = await store.bulk_get([Get(f"{name} left"), Get(f"{name} right")])
            assert left, f"half of an answered transaction is lost: {name}"
            assert right, f"half of an answered transaction is lost: {name}"
        else:
            found = await store.get(Get(name))
            assert found is not None, f"an answered write is lost: {name}"
            assert found.value == name.encode()
        assert await store.get(Get(f"gone {name}")) is None
    lefts = {key.removesuffix(" left") for key in await listed(store) if key.endswith(" left")}
    rights = {key.removesuffix(" right") for key in await listed(store) if key.endswith(" right")}
    assert lefts == rights
    await store.set(Set("after", b"1"))
    await store.close()


def killed_after(answers: int, file: Path, run: int, journal: str) -> list[str]:
    """Let a process write until it has reported this many answers, kill it, and return all that it reported."""
    command = [sys.executable, "-c", WRITER, str(file), str(run), journal]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        lines = [process.stdout.readline() for _ in range(answers)]
        process.kill()
        lines += process.stdout.readlines()
    return [line.removesuffix("\n") for line in lines if line.endswith("\n")]


def judged_by_sqlite(file: Path) -> tuple[str, str]:
    """Return whether the file is intact, and its journal mode."""
    connection = sqlite3.connect(file)
    try:
        [verdict] = connection.execute("PRAGMA integrity_check").fetchone()
        [journal] = connection.execute("PRAGMA journal_mode").fetchone()
        return verdict, journal
    finally:
        connection.close()


async def listed(store: SQLiteStore) -> list[str]:
    keys: list[str] = []
    cursor = None
    while True:
        page = await store.keys("", 1000, cursor)
        keys += page.keys
        cursor = page.cursor
        if cursor is None:
            return keys
