"""A real `pannier` process: started, its output collected, ended."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

COMMAND = (sys.executable, "-m", "pannier_sidecar")
PATIENCE = 60.0
"""Timeout in seconds; on an idle machine everything takes milliseconds, on a busy one the start alone half a minute."""


class Pannier:
    """One process of `pannier VERB ...`."""

    def __init__(
        self,
        *arguments: object,
        environment: Mapping[str, str] | None = None,
        folder: Path | None = None,
        through: Sequence[str] = (),
    ):
        """Start it with nothing but this environment and PATH, `through` another program that changes into it."""
        self.process = subprocess.Popen(
            [*through, *COMMAND, *_with_free_metrics_port(*map(str, arguments))],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env={"PATH": os.environ["PATH"], **(environment or {})},
            cwd=folder,
        )
        self._output: dict[str, list[bytes]] = {"out": [], "err": []}
        self._threads = [self._collect("out", self.process.stdout), self._collect("err", self.process.stderr)]

    def _collect(self, name: str, stream: object) -> threading.Thread:
        def copy() -> None:
            while chunk := os.read(stream.fileno(), 65536):  # type: ignore[attr-defined]
                self._output[name].append(chunk)

        thread = threading.Thread(target=copy, daemon=True)
        thread.start()
        return thread

    @property
    def out(self) -> str:
        """The standard output so far."""
        return b"".join(self._output["out"]).decode("utf-8", "replace")

    @property
    def err(self) -> str:
        """Standard error so far."""
        return b"".join(self._output["err"]).decode("utf-8", "replace")

    @property
    def raw_out(self) -> bytes:
        return b"".join(self._output["out"])

    def until(self, holds: Callable[[], object], what: str = "it") -> None:
        """Wait until something is true; fail with the output if it never is."""
        deadline = time.monotonic() + PATIENCE
        while not holds():
            if time.monotonic() > deadline:
                raise AssertionError(f"{what} never came to hold\n--- out\n{self.out}\n--- err\n{self.err}")
            time.sleep(0.01)

    def until_says(self, text: str) -> None:
        self.until(lambda: text in self.out + self.err, repr(text))

    def port(self) -> int:
        """The API's port, once it is in the output."""
        pattern = re.compile(r"(?:at http://|serving app \S+ on [^\n]*)127\.0\.0\.1:(\d+)")
        self.until(lambda: pattern.search(self.out + self.err), "an address")
        found = pattern.search(self.out + self.err)
        assert found is not None
        return int(found[1])

    def grpc_port(self) -> int:
        """The gRPC port, once it is in the output."""
        pattern = re.compile(r"gRPC (?: |on )[^\n]*?127\.0\.0\.1:(\d+)")
        self.until(lambda: pattern.search(self.out + self.err), "an address of gRPC")
        found = pattern.search(self.out + self.err)
        assert found is not None
        return int(found[1])

    def metrics_port(self) -> int:
        pattern = re.compile(r"metrics (?: http://127\.0\.0\.1:|on [^\n]*(?:127\.0\.0\.1|0\.0\.0\.0):)(\d+)")
        self.until(lambda: pattern.search(self.out + self.err), "the address of the metrics")
        found = pattern.search(self.out + self.err)
        assert found is not None
        return int(found[1])

    def call(self, path: str, method: str = "GET", body: str = "", **headers: str) -> tuple[int, str]:
        """Status and body of a call."""
        return call(f"http://127.0.0.1:{self.port()}{path}", method, body, **headers)

    def send(self, number: signal.Signals) -> None:
        self.process.send_signal(number)

    def end(self) -> int:
        """Wait for the end and return the exit code."""
        try:
            code = self.process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"it never ended\n--- out\n{self.out}\n--- err\n{self.err}") from None
        for thread in self._threads:
            thread.join(PATIENCE)
        return code

    def close(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        for thread in self._threads:
            thread.join(1)
        assert self.process.stdout is not None and self.process.stderr is not None
        self.process.stdout.close()
        self.process.stderr.close()


def _with_free_metrics_port(*words: str) -> tuple[str, ...]:
    """A command line with a free port for metrics if it chooses none: of tests at a time, only one could have 9090."""
    is_sidecar = words[:1] in {("run",), ("serve",)} and not {"-f", "--run-file", "--help"} & {*words}
    if is_sidecar and not any("metrics" in word for word in words):
        return words[0], "--metrics-port", "0", *words[1:]
    return words


@contextmanager
def serving(components: Path, *more: object, app_id: str = "shop") -> Iterator[Pannier]:
    """Serve a folder of components to an app on free ports, without metrics."""
    ports = ("--http-port", 0, "--grpc-port", 0, "--enable-metrics=false")
    pannier = Pannier("serve", "--app-id", app_id, "--components", components, *ports, *more)
    try:
        yield pannier
    finally:
        pannier.close()


def call(url: str, method: str = "GET", body: str = "", **headers: str) -> tuple[int, str]:
    """Status and body of an HTTP call."""
    request = urllib.request.Request(url, body.encode() or None, headers, method=method)
    try:
        with urllib.request.urlopen(request, timeout=PATIENCE) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read().decode()
