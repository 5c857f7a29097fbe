"""An SQLite file that cannot be used: the store says why and what to change, and does not spoil the file."""

import os
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from servers.opened_store import refusal_of

from pannier_sidecar.state.errors import StoreError, StoreRefusedError
from pannier_sidecar.state.requests import Get, Set
from pannier_sidecar.stores.sqlite.store import SQLiteStore

USER = """
import asyncio, os, sys
from pannier_sidecar.state.errors import StoreError
from pannier_sidecar.state.requests import Set
from pannier_sidecar.stores.sqlite.store import SQLiteStore

async def main():
    store = SQLiteStore({"connectionString": sys.argv[1]})
    try:
        await store.open()
        await store.set(Set("k", b"1"))
    except StoreError as fault:
        print(type(fault).__name__, fault)
    await store.close()

if os.getuid() == 0:  # whom no permission stops; given up here because the interpreter may be root's alone
    os.setgroups([])
    os.setgid(65534)
    os.setuid(65534)
asyncio.run(main())
"""


async def refusal(connection_string: object, **settings: str | float | bool) -> str:
    error = await refusal_of(SQLiteStore, {"connectionString": str(connection_string), **settings})
    assert isinstance(error, StoreRefusedError)
    return str(error)


async def test_a_file_that_is_no_database(tmp_path: Path) -> None:
    file = tmp_path / "notes.txt"
    file.write_text("these are my notes\n" * 1000)
    said = await refusal(file)
    assert f"database {file} is no SQLite database" in said
    assert "connectionString" in said
    assert file.read_text() == "these are my notes\n" * 1000


async def test_a_damaged_file_is_reported(tmp_path: Path) -> None:
    file = tmp_path / "state.db"
    store = SQLiteStore({"connectionString": str(file)})
    await store.open()
    for number in range(200):
        await store.set(Set(f"key {number}", b"x" * 1000))
    await store.close()
    content = bytearray(file.read_bytes())
    content[4096:] = os.urandom(len(content) - 4096)
    file.write_bytes(content)
    store = SQLiteStore({"connectionString": str(file)})
    with pytest.raises(StoreRefusedError, match="is damaged: restore it"):
        await store.open()
        await store.get(Get("key 100"))
    await store.close()


async def test_a_folder_instead_of_a_file_is_named(tmp_path: Path) -> None:
    assert f"names the folder {tmp_path}" in await refusal(tmp_path)


@pytest.mark.parametrize(
    ("key", "value", "why"),
    [
        ("TEXT COLLATE NOCASE PRIMARY KEY", "TEXT", "takes different keys for the same"),
        ("TEXT COLLATE RTRIM PRIMARY KEY", "TEXT", "takes different keys for the same"),
        ("NUMERIC PRIMARY KEY", "TEXT", "would change texts in its column key"),
        ("TEXT PRIMARY KEY", "JSON", "would change texts in its column value"),
    ],
)
async def test_a_table_in_which_different_keys_are_equal_or_values_change(
    tmp_path: Path, key: str, value: str, why: str
) -> None:
    """In the first one, a value saved as `a` came back under `A`; in the last one, 1.0 came back as 1."""
    file = tmp_path / "state.db"
    table = (
        f"CREATE TABLE state (key {key}, value {value}, is_binary BOOLEAN, etag TEXT, expiration_time TIMESTAMP, "
        "update_time TIMESTAMP)"
    )
    with closing(sqlite3.connect(file)) as connection:
        connection.execute(table)
    assert why in await refusal(file)
    with closing(sqlite3.connect(file)) as connection:
        assert connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall() == [("state",)]


@pytest.mark.parametrize("kind", ["VARCHAR(200)", "BLOB", ""])
async def test_another_programs_table_that_keeps_what_is_written(tmp_path: Path, kind: str) -> None:
    file = tmp_path / "state.db"
    table = (
        f"CREATE TABLE state (key {kind} PRIMARY KEY, value {kind}, is_binary BOOLEAN, etag {kind}, "
        "expiration_time TIMESTAMP, update_time TIMESTAMP)"
    )
    with closing(sqlite3.connect(file)) as connection:
        connection.execute(table)
    store = SQLiteStore({"connectionString": str(file)})
    await store.open()
    for key, value in (("a", b"1.0"), ("A", b"007"), ("1", b"1e2"), ("01", b"-0")):
        await store.set(Set(key, value))
        found = await store.get(Get(key))
        assert found is not None
        assert found.value == value
    await store.close()


async def test_a_missing_folder_is_made_for_its_owner_alone(tmp_path: Path) -> None:
    file = tmp_path / "not" / "there" / "yet" / "state.db"
    store = SQLiteStore({"connectionString": str(file)})
    await store.open()
    await store.close()
    assert file.exists()
    assert file.parent.stat().st_mode & 0o777 == 0o700


async def test_a_folder_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    said = await refusal(tmp_path / "file" / "folder" / "state.db")
    assert f"folder {tmp_path}/file/folder" in said
    assert "connectionString" in said


async def test_a_missing_file_that_must_not_be_made(tmp_path: Path) -> None:
    said = await refusal(f"file:{tmp_path}/state.db?mode=rw")
    assert f"{tmp_path}/state.db can't be opened" in said
    assert not (tmp_path / "state.db").exists()


async def test_a_newer_layout_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "state.db"
    connection = sqlite3.connect(file)
    connection.executescript("CREATE TABLE metadata (key, value); INSERT INTO metadata VALUES ('migrations', '7')")
    connection.close()
    said = await refusal(file)
    assert "layout level 7, and this version knows 1" in said


async def test_a_table_of_another_program_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "state.db"
    connection = sqlite3.connect(file)
    connection.execute("CREATE TABLE state (key, value, expiration_time)")
    connection.close()
    assert "table state" in (said := await refusal(file))
    assert "lacks the column etag" in said
    assert "tableName" in said


async def test_a_file_that_is_full(tmp_path: Path) -> None:
    file = tmp_path / "state.db"
    store = SQLiteStore({"connectionString": f"{file}?_pragma=max_page_count(20)"})
    await store.open()
    await store.set(Set("small", b"1"))
    with pytest.raises(StoreRefusedError, match="is full: free some space"):
        await store.set(Set("large", b"x" * 200_000))
    await store.set(Set("small", b"2"))
    found = await store.get(Get("small"))
    assert found is not None
    assert found.value == b"2"
    await store.close()


async def test_a_read_only_file_can_be_read(tmp_path: Path) -> None:
    file = tmp_path / "state.db"
    store = SQLiteStore({"connectionString": str(file)})
    await store.open()
    await store.set(Set("k", b"1", ttl=1000))
    await store.close()
    for mode in ("mode=ro", "immutable=1"):
        reader = SQLiteStore({"connectionString": f"file:{file}?{mode}"})
        await reader.open()
        assert await reader.get(Get("k")) is not None
        with pytest.raises(StoreRefusedError, match="can't be written"):
            await reader.set(Set("k", b"2"))
        await reader.close()


async def test_a_file_that_is_removed_while_in_use_is_created_again(tmp_path: Path) -> None:
    file = tmp_path / "state.db"
    store = SQLiteStore({"connectionString": str(file)})
    await store.open()
    await store.set(Set("before", b"1"))
    for name in tmp_path.iterdir():
        name.unlink()
    assert await store.get(Get("before")) is None
    await store.set(Set("after", b"1"))
    assert await store.get(Get("after")) is not None
    await store.close()
    again = SQLiteStore({"connectionString": str(file)})
    await again.open()
    assert await again.get(Get("after")) is not None
    await again.close()


async def test_a_folder_that_goes_away_while_in_use_is_reported_until_it_is_back(tmp_path: Path) -> None:
    folder = tmp_path / "folder"
    store = SQLiteStore({"connectionString": f"file:{folder}/state.db?mode=rw"})
    folder.mkdir()
    sqlite3.connect(folder / "state.db").close()
    await store.open()
    await store.set(Set("k", b"1"))
    folder.rename(tmp_path / "elsewhere")
    for _ in range(2):
        with pytest.raises(StoreRefusedError, match="can't be opened"):
            await store.set(Set("k", b"2"))
        with pytest.raises(StoreRefusedError, match="can't be opened"):
            await store.get(Get("k"))
    (tmp_path / "elsewhere").rename(folder)
    found = await store.get(Get("k"))
    assert found is not None
    assert found.value == b"1"
    await store.set(Set("k", b"3"))
    await store.close()


@pytest.fixture
def shared_folder() -> Iterator[Path]:
    """A folder that another user can reach, unlike pytest's own."""
    with TemporaryDirectory() as name:
        os.chmod(name, 0o755)
        yield Path(name)


def said_to_another_user(connection_string: object) -> str:
    """Return what the store says to somebody who owns nothing there."""
    command = [sys.executable, "-c", USER, str(connection_string)]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


async def test_a_file_that_the_user_may_not_write(shared_folder: Path) -> None:
    file = shared_folder / "state.db"
    store = SQLiteStore({"connectionString": str(file)})
    await store.open()
    await store.close()
    os.chmod(file, 0o444)
    if os.getuid():
        os.chmod(shared_folder, 0o555)
    said = said_to_another_user(file)
    os.chmod(shared_folder, 0o755)
    assert said.startswith("StoreRefusedError ")
    assert f"database {file} can't be" in said
    assert "permission" in said


async def test_a_folder_that_the_user_may_not_write(shared_folder: Path) -> None:
    os.chmod(shared_folder, 0o555)
    said = said_to_another_user(shared_folder / "state.db")
    said_of_folder = said_to_another_user(shared_folder / "folder" / "state.db")
    os.chmod(shared_folder, 0o755)
    assert said.startswith(f"StoreRefusedError database {shared_folder}/state.db can't be opened")
    assert said_of_folder.startswith(f"StoreRefusedError folder {shared_folder}/folder")
    assert "Permission denied" in said_of_folder


async def test_a_setting_that_is_wrong(subtests: pytest.Subtests) -> None:
    cases: list[tuple[str, dict[str, str], str]] = [
        ("", {}, "is missing; write the path"),
        ("file:?mode=rwc", {}, "is missing; write the path"),
        ("x.db?mode=write", {}, "write mode=ro, rw, rwc or memory"),
        ("x.db?_pragma=busy_timeout(5)", {}, "use the setting busyTimeout"),
        ("x.db?_pragma=journal_mode(WAL)", {}, "use the setting disableWAL"),
        ("x.db?_pragma=writable_schema(1)", {}, "with one of cache_size"),
        ("x.db?_pragma=synchronous;DROP TABLE state", {}, "with one of cache_size"),
        (":memory:", {"tableName": "state; DROP TABLE state"}, "tableName is no table name"),
        (":memory:", {"metadataTableName": "1st"}, "metadataTableName is no table name"),
        (":memory:", {"tableName": "sqlite_state"}, "tableName begins with sqlite_"),
    ]
    for connection_string, settings, words in cases:
        with subtests.test(words):
            assert words in await refusal(connection_string, **settings)


async def test_nothing_is_left_open_after_a_refusal(tmp_path: Path) -> None:
    file = tmp_path / "notes.txt"
    file.write_text("these are my notes\n" * 1000)
    for _ in range(3):
        await refusal(file)
    open_files = [os.readlink(f"/proc/self/fd/{fd}") for fd in os.listdir("/proc/self/fd") if fd.isdigit()
                  and os.path.lexists(f"/proc/self/fd/{fd}")]  # fmt: skip
    assert str(file) not in open_files


async def test_a_call_on_a_refused_store_fails(tmp_path: Path) -> None:
    store = SQLiteStore({"connectionString": str(tmp_path)})
    with pytest.raises(StoreRefusedError):
        await store.open()
    with pytest.raises(StoreError, match="not open"):
        await store.get(Get("k"))
    await store.close()
