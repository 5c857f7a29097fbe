"""Only the owner can read a store's SQLite files, unless the files existed before."""

import os
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from pannier_sidecar.state.requests import Set
from pannier_sidecar.stores.sqlite.store import SQLiteStore


@pytest.fixture(autouse=True)
def generous_umask() -> Iterator[None]:
    before = os.umask(0o000)
    yield
    os.umask(before)


async def permissions(folder: Path, connection_string: str) -> dict[str, int]:
    """Open a store and write a key; return the modes of its files meanwhile."""
    store = SQLiteStore({"connectionString": connection_string})
    await store.open()
    try:
        await store.set(Set("k", b"1"))
        return {path.name: stat.S_IMODE(path.stat().st_mode) for path in folder.iterdir()}
    finally:
        await store.close()


@pytest.mark.parametrize("form", ["{}/state.db", "file:{}/state.db?_pragma=synchronous(1)"])
async def test_new_files_are_for_their_owner(tmp_path: Path, form: str) -> None:
    found = await permissions(tmp_path, form.format(tmp_path))
    assert found == {"state.db": 0o600, "state.db-wal": 0o600, "state.db-shm": 0o600}


async def test_a_link_to_a_file_that_is_not_there_yet(tmp_path: Path) -> None:
    (tmp_path / "state.db").symlink_to(tmp_path / "elsewhere.db")
    found = await permissions(tmp_path, f"{tmp_path}/state.db")
    assert found["elsewhere.db"] == 0o600


async def test_files_that_were_there_stay_as_they_were(tmp_path: Path) -> None:
    (tmp_path / "state.db").touch(0o640)
    found = await permissions(tmp_path, f"{tmp_path}/state.db")
    assert set(found.values()) == {0o640}
