"""An app keeps its store while the component's file is written slowly, moved or emptied, or its writer is killed."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from threading import Event, Thread

import pytest
from hostile.effort import Effort
from scenarios.http_client import HttpClient, path
from servers.pannier_process import Pannier

from pannier_sidecar.loading.half_written import PATIENCE

COMPONENT = """\
apiVersion: dapr.io/v1alpha1
kind: Component
metadata:
  name: orders
spec:
  type: state.in-memory
  version: v1
  metadata:
  - name: keyPrefix
    value: none
scopes:
- shop
"""
CHANGED = COMPONENT.replace("keyPrefix", "ttlInSeconds").replace("none", '"600"')


class Reader:
    """An app that reads its one key without a pause."""

    def __init__(self, port: int):
        self.answers: dict[int, int] = {}
        self._http = HttpClient(port)
        self._is_over = Event()
        self._thread = Thread(target=self._read)
        self._thread.start()

    def _read(self) -> None:
        while not self._is_over.is_set():
            status = self._http.call("GET", path("orders", "k")).status
            self.answers[status] = self.answers.get(status, 0) + 1
            time.sleep(0.002)

    def end(self) -> dict[int, int]:
        self._is_over.set()
        self._thread.join()
        self._http.close()
        return self.answers


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "components"
    made.mkdir()
    (made / "orders.yaml").write_text(COMPONENT)
    return made


def slowly(file: Path, pause: float) -> None:
    """Written in place, some bytes at a time."""
    with file.open("w") as stream:
        for start in range(0, len(COMPONENT), 40):
            time.sleep(pause)
            stream.write(COMPONENT[start : start + 40])
            stream.flush()


def emptied(file: Path, pause: float) -> None:
    file.write_text("")
    time.sleep(4 * pause + 3)
    file.write_text(COMPONENT)


def killed(file: Path, pause: float) -> None:
    """The writer ends before the scopes are complete, and somebody completes the file later."""
    file.write_text(COMPONENT[: COMPONENT.index("shop") + 2])
    time.sleep(4 * pause + 3)
    file.write_text(COMPONENT)


def moved(file: Path, pause: float) -> None:
    """As an editor that keeps a backup."""
    file.rename(file.with_name("orders.yaml~"))
    time.sleep(pause)
    file.write_text(COMPONENT)


def replaced(file: Path, pause: float) -> None:
    fresh = file.with_name(".orders.yaml.swp")
    fresh.write_text(COMPONENT)
    time.sleep(pause)
    fresh.rename(file)


HOW: dict[Callable[[Path, float], None], str] = {
    slowly: "written slowly",
    emptied: "emptied and written later",
    killed: "left incomplete by a killed writer",
    moved: "moved away and created again",
    replaced: "replaced by a complete one",
}


@pytest.mark.parametrize("write", HOW, ids=lambda write: write.__name__)
def test_no_call_misses_the_store_while_its_file_is_written(
    pannier: Pannier, folder: Path, write: Callable[[Path, float], None], effort: Effort, promise: Callable[..., None]
) -> None:
    times = effort.times(1, 10)
    reader = Reader(pannier.port())
    for _ in range(times):
        write(folder / "orders.yaml", 0.3)
    time.sleep(1.5)
    answers = reader.end()
    assert set(answers) == {200}, f"{answers}\n{pannier.err}"
    promise(
        "A store stays available while its component's file is being written",
        on="a folder of components",
        fault=f"the file is {HOW[write]}",
        times=times,
        counted=f"{answers[200]:,} reads; 0 failed",
    )


def test_another_version_that_is_written_slowly_is_served_when_it_is_whole(
    pannier: Pannier, folder: Path, promise: Callable[..., None]
) -> None:
    changed = CHANGED.replace("\n  name: orders", "\n  name: orders\n  labels: {team: shop}")
    others = changed.replace("- shop", "- shop\n- billing")
    with closing(HttpClient(pannier.port())) as http:
        with (folder / "orders.yaml").open("w") as stream:
            for line in others.splitlines(keepends=True):
                stream.write(line)
                stream.flush()
                written = time.monotonic()
                time.sleep(0.4)
                status = http.call("GET", path("orders", "k")).status
                # On a busy machine, we may be stopped for so long that the file counts as complete.
                assert status == 200 or time.monotonic() - written > PATIENCE / 2, "half of the file was served"
        pannier.until(lambda: http.call("GET", path("orders", "k")).status == 204, "the other keyPrefix")
    assert "error" not in pannier.err.lower()
    promise(
        "A new version of a component's file takes effect only when it is complete",
        on="a folder of components",
        fault="it is written line by line, over several seconds",
        times=1,
        counted=f"{others.count(chr(10))} beginnings of it; 0 served",
    )


def test_what_is_changed_or_gone_in_the_end_is_taken(pannier: Pannier, folder: Path) -> None:
    with closing(HttpClient(pannier.port())) as http:
        (folder / "orders.yaml").write_text("")
        pannier.until(
            lambda: "the file is empty; its previous content is used" in pannier.err, "a word on the empty file"
        )
        (folder / "orders.yaml").write_text(CHANGED)
        pannier.until(lambda: http.call("GET", path("orders", "k")).status == 204, "the other keyPrefix")
        (folder / "orders.yaml").unlink()
        pannier.until(lambda: http.call("GET", path("orders", "k")).status == 400, "the end of the store")
