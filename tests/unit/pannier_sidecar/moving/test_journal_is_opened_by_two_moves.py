"""Two moves that start together open one journal. Changing a new file to WAL does not wait for locks by itself."""

from __future__ import annotations

import sqlite3
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import pytest

from pannier_sidecar.moving import journal
from pannier_sidecar.moving.items import MoveError
from pannier_sidecar.moving.journal import Journal


def test_another_move_that_holds_the_new_file_is_waited_for(tmp_path: Path) -> None:
    file = tmp_path / "moved.db"
    with closing(sqlite3.connect(file, isolation_level=None, check_same_thread=False)) as other:
        other.execute("CREATE TABLE held (number)")
        other.execute("BEGIN IMMEDIATE")
        with ThreadPoolExecutor(1) as pool:
            opening = pool.submit(lambda: Journal(file, b"place").__exit__())
            with pytest.raises(TimeoutError):
                opening.result(0.2)
            other.execute("COMMIT")
            opening.result(30)


def test_a_file_that_stays_locked_is_named_with_the_way_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(journal, "PATIENCE", 0.1)
    file = tmp_path / "moved.db"
    with closing(sqlite3.connect(file, isolation_level=None)) as other:
        other.execute("BEGIN EXCLUSIVE")
        with pytest.raises(MoveError, match=r"moved\.db can't be used: .*name another file with --journal"):
            Journal(file, b"place")
