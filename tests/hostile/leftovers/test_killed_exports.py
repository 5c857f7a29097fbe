"""An export that is killed at any moment leaves no state behind where others could find it."""

from __future__ import annotations

import random
import subprocess
import time
from pathlib import Path

from hostile.conftest import Promise
from hostile.effort import Effort
from servers.component_files import component
from servers.pannier_process import COMMAND

from pannier_sidecar.state.requests import Set
from pannier_sidecar.stores.sqlite.store import SQLiteStore

KEYS = 3_000


async def filled(path: Path) -> None:
    store = SQLiteStore({"connectionString": str(path)})
    await store.open()
    await store.bulk_write([Set(f"app||{number}", b'"canary-%d"' % number) for number in range(KEYS)])
    await store.close()


async def test_a_killed_export_leaves_nothing(tmp_path: Path, effort: Effort, promise: Promise) -> None:
    await filled(tmp_path / "state.db")
    (tmp_path / "store.yaml").write_text(component("store", "state.sqlite", {"connectionString": "state.db"}))
    out = tmp_path / "out"
    out.mkdir()
    chance = random.Random(15)
    times, killed = effort.times(short=4, long=100), 0
    longest = 1.0
    for _ in range(times):
        command = [*COMMAND, "export", "--from", "store.yaml", "--output", "out/state.jsonl"]
        export = subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        began = time.monotonic()
        try:
            export.wait(timeout=chance.uniform(0.0, longest))
        except subprocess.TimeoutExpired:
            export.kill()
            export.wait()
            killed += 1
        else:
            longest = time.monotonic() - began
        whole = [path for path in out.iterdir() if path.name == "state.jsonl"]
        assert list(out.iterdir()) == whole
        for path in whole:
            assert path.read_bytes().count(b"\n") == KEYS
            assert path.stat().st_mode & 0o777 == 0o600
            path.unlink()
    promise(
        "An exported file is complete and readable by its owner only, or it does not exist",
        on="files on Linux",
        fault="SIGKILL at a random moment of an export",
        times=times,
        counted=f"{killed} killed, {times - killed} whole; 0 files left behind",
    )
