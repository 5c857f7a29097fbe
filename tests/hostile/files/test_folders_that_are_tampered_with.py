"""In a folder with an index, changes of other files than the index do not change what is served."""

from __future__ import annotations

import os
import random
import subprocess
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
from hostile.effort import Effort
from scenarios.http_client import HttpClient, path
from servers.component_files import component
from servers.pannier_process import COMMAND, Pannier

from pannier_crds.folder import INDEX_FILE, INDEX_REQUIRED, INDEX_VARIABLE, index_of

RIGHT = component("orders", "state.in-memory", {})
OTHERS = [
    component("orders", "state.sqlite", {"connectionString": ":memory:"}),
    component("orders", "state.in-memory", {"keyPrefix": "none"}),
    "",
    "{",
    "apiVersion: v1\nkind: Secret\nmetadata: {name: orders}\n",
]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "components"
    made.mkdir()
    (made / "orders.yaml").write_text(RIGHT)
    (made / INDEX_FILE).write_bytes(index_of({"orders.yaml": RIGHT.encode()}))
    return made


def test_a_sidecar_that_needs_an_index_reads_no_folder_without_one(folder: Path, promise: Callable[..., None]) -> None:
    """If somebody removes the index from an app's Secret, they may have added a component too."""
    (folder / INDEX_FILE).unlink()
    (folder / "smuggled.yaml").write_text(component("smuggled", "state.in-memory", {}))
    command = [*COMMAND, "serve", "--app-id", "shop", "--components", str(folder), "--http-port", "0"]

    done = subprocess.run(
        [*command, "--dapr-grpc-port", "0", "--enable-metrics=false"],
        env={**os.environ, INDEX_VARIABLE: INDEX_REQUIRED},
        capture_output=True,
        text=True,
        timeout=60,
    )

    assert done.returncode == 1
    assert f"{folder}: it has no index (_index), so nothing in it is read" in done.stderr
    promise(
        "A pod's sidecar does not read a folder without an index",
        on="an app's Secret",
        fault="the index is removed and a component is added before the sidecar starts",
        times=1,
        counted="0 components served",
    )


def test_what_is_served_is_what_the_index_names(
    folder: Path, pannier: Pannier, effort: Effort, promise: Callable[..., None]
) -> None:
    chance = random.Random(9)
    changes = calls = 0
    end = time.monotonic() + effort.seconds(4, 60)
    with closing(HttpClient(pannier.port())) as http:
        while time.monotonic() < end:
            name = chance.choice(["orders.yaml", "smuggled.yaml", "smuggled.json", "a.yml"])
            text = chance.choice([*OTHERS, component("smuggled", "state.in-memory", {})])
            file = folder / name
            if chance.random() < 0.3:
                file.unlink(missing_ok=True)
            else:
                file.write_text(text)
            changes += 1
            for _ in range(5):
                assert http.call("GET", path("orders", "k")).body == b"1"
                assert http.call("GET", path("smuggled", "k")).status == 400
                calls += 2
                time.sleep(0.02)
        more = component("more", "state.in-memory", {})
        for each in folder.glob("*.y*ml"):
            each.unlink()
        files = {"orders.yaml": RIGHT, "more.yaml": more}
        for name, text in files.items():
            (folder / name).write_text(text)
        (folder / INDEX_FILE).write_bytes(index_of({name: text.encode() for name, text in files.items()}))
        pannier.until(lambda: http.call("GET", path("more", "k")).status == 204, "what the index names is served again")
        assert http.call("GET", path("orders", "k")).body == b"1"

    promise(
        "A file in a folder with an index is served only if the index names it with the same SHA-256",
        on="a folder of components, such as an app's Secret",
        fault="files are added, changed, emptied and removed, but the index stays as it was",
        times=changes,
        counted=f"{calls:,} calls; 0 served by another store, 0 without the store",
    )
