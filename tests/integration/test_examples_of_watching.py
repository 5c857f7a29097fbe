"""The programs on the page about watching work as printed, also while the sidecar is replaced under them: with the
`EventSource` of Node.js, which follows the same rules as browsers', and with httpx.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from servers.component_files import component
from servers.free_ports import free_port
from servers.npm_packages import node, packages
from servers.pannier_process import PATIENCE, Pannier

PAGE = Path(__file__).parents[2] / "docs" / "watching-state.md"
EVENT_SOURCE = Path(__file__).parents[1] / "servers" / "eventsource" / "package.json"
SHOWN = "setInterval(() => console.log(JSON.stringify([...orders].sort())), 50);"


def example(language: str, port: int) -> str:
    """The program of a language on the page, for another port."""
    [program] = re.findall(rf"```{language}\n(.*?)```", PAGE.read_text(), re.DOTALL)
    return str(program).replace("localhost:3500", f"127.0.0.1:{port}")


class Program:
    """A running program, and the lines that it has printed."""

    def __init__(self, *command: str | Path, environment: dict[str, str] | None = None):
        self.process = subprocess.Popen(
            [*map(str, command)], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True, env=environment
        )
        self.lines: list[str] = []
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        self.lines.extend(iter(self.process.stdout.readline, ""))

    def until_last(self, expected: object) -> None:
        """Wait until the last line is this JSON."""
        self._until(lambda: bool(self.lines) and self.lines[-1].strip() == json.dumps(expected, separators=(",", ":")))

    def until_prints(self, line: str) -> None:
        self._until(lambda: line in map(str.strip, self.lines))

    def _until(self, holds: object) -> None:
        deadline = time.monotonic() + PATIENCE
        while not holds():  # type: ignore[operator]
            assert time.monotonic() < deadline, self.lines[-10:]
            time.sleep(0.02)

    def close(self) -> None:
        self.process.kill()
        self.process.wait()
        self._thread.join(PATIENCE)
        assert self.process.stdout is not None
        self.process.stdout.close()


@contextmanager
def running(*command: str | Path) -> Iterator[Program]:
    program = Program(*command)
    try:
        yield program
    finally:
        program.close()


@contextmanager
def sidecar(folder: Path, port: int) -> Iterator[Pannier]:
    ports = ("--http-port", port, "--grpc-port", 0, "--enable-metrics=false")
    pannier = Pannier("serve", "--app-id", "shop", "--components", folder, *ports)
    try:
        pannier.port()
        yield pannier
    finally:
        pannier.close()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "components"
    made.mkdir()
    (made / "statestore.yaml").write_text(component("statestore", "state.in-memory", {}))
    return made


def save(pannier: Pannier, **values: object) -> None:
    items = [{"key": key, "value": value} for key, value in values.items()]
    assert pannier.call("/v1.0/state/statestore", "POST", json.dumps(items))[0] == 201


def test_event_source_keeps_a_copy(folder: Path, tmp_path: Path) -> None:
    port = free_port()
    program = tmp_path / "program.js"
    modules = packages(EVENT_SOURCE) / "node_modules" / "eventsource"
    head = f"globalThis.EventSource = require({json.dumps(str(modules))});"
    program.write_text(f"{head}\n{example('js', port)}\n{SHOWN}\n")
    with sidecar(folder, port) as pannier:
        save(pannier, **{"order/1": {"status": "open"}, "other": 1})
        with running(node(), program) as copy:
            copy.until_prints("up to date")
            copy.until_last([["order/1", {"status": "open"}]])
            save(pannier, **{"order/1": {"status": "paid"}, "order/2": [1, "\n\n"]})
            copy.until_last([["order/1", {"status": "paid"}], ["order/2", [1, "\n\n"]]])
            assert pannier.call("/v1.0/state/statestore/order%2F1", "DELETE")[0] == 200
            copy.until_last([["order/2", [1, "\n\n"]]])
            pannier.process.kill()
            pannier.process.wait()
            with sidecar(folder, port) as second:
                save(second, **{"order/3": 3})
                copy.until_last([["order/3", 3]])


def test_the_program_in_python_prints_each_event(folder: Path, tmp_path: Path) -> None:
    port = free_port()
    program = tmp_path / "program.py"
    program.write_text(example("python", port))
    with sidecar(folder, port) as pannier, running(sys.executable, "-u", program) as printed:
        printed.until_prints("ready {}")
        save(pannier, **{"order/1": 1, "other": 1})
        printed._until(lambda: any(line.startswith("change {'key': 'order/1'") for line in printed.lines))
        pannier.process.kill()
        pannier.process.wait()
        with sidecar(folder, port) as second:
            save(second, **{"order/2": 2})
            printed._until(lambda: any(line.startswith("reset {'reason'") for line in printed.lines))
            printed._until(lambda: any("'order/2'" in line for line in printed.lines))
            assert not any("other" in line for line in printed.lines)
