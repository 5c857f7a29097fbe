"""An export that ends in the middle, even by SIGKILL, leaves no state where others could find it."""

import os
import signal
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from pannier_sidecar.moving import exporting

KILLED = """
import os, signal, sys
from pathlib import Path
from pannier_sidecar.moving import exporting
if sys.argv[2] == "named":
    exporting.os.O_TMPFILE = 0  # as where the file system has no files without names
with exporting.becoming(Path(sys.argv[1])) as file:
    file.write(b"secret" * 100_000)
    file.flush()
    os.kill(os.getpid(), signal.SIGKILL)
"""


def killed(path: Path, how: str) -> None:
    ended = subprocess.run([sys.executable, "-c", KILLED, str(path), how], timeout=60, check=False)
    assert ended.returncode == -signal.SIGKILL


def test_a_killed_export_leaves_nothing(tmp_path: Path) -> None:
    killed(tmp_path / "state.jsonl", "nameless")
    assert list(tmp_path.iterdir()) == []


def test_if_files_need_names_the_next_export_removes_leftovers(tmp_path: Path) -> None:
    path = tmp_path / "state.jsonl"
    killed(path, "named")
    (left,) = tmp_path.iterdir()
    assert stat.S_IMODE(left.stat().st_mode) == 0o600
    with exporting.becoming(path) as file:
        file.write(b"whole")
    assert list(tmp_path.iterdir()) == [path]


def test_a_file_that_another_export_is_writing_is_left(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "O_TMPFILE", 0)
    path = tmp_path / "state.jsonl"
    with exporting.becoming(path) as slow:
        slow.write(b"slow")
        with exporting.becoming(path) as fast:
            fast.write(b"fast")
        assert path.read_bytes() == b"fast"
    assert path.read_bytes() == b"slow"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("has_nameless_files", [True, False])
def test_an_export_replaces_another_and_only_its_owner_can_read_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, has_nameless_files: bool
) -> None:
    if not has_nameless_files:
        monkeypatch.setattr(os, "O_TMPFILE", 0)
    path = tmp_path / "[state].jsonl"
    path.write_text("before")
    path.chmod(0o644)
    with exporting.becoming(path) as file:
        file.write(b"after")
        assert path.read_text() == "before"
    assert (path.read_text(), stat.S_IMODE(path.stat().st_mode)) == ("after", 0o600)
    assert list(tmp_path.iterdir()) == [path]
    with pytest.raises(RuntimeError), exporting.becoming(path) as file:
        file.write(b"never")
        raise RuntimeError
    assert path.read_text() == "after"
    assert list(tmp_path.iterdir()) == [path]
