"""The processes under test: a private Redis, Pannier, the plain services, the hop; each is ended by its own pid."""

import os
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from servers.component_files import component
from servers.hop import NotBuiltError, build
from servers.processes import free_port

BIN = Path(sys.executable).parent
HERE = Path(__file__).parent
START_LIMIT = 20.0
STORE = "bench"
APP_ID = "bench"


class StartFailed(Exception):
    """A server ended, or did not answer in time; the text has its output."""


@dataclass(frozen=True)
class Server:
    """Something that answers the state API: where its store is, and whose CPU time counts."""

    name: str
    store_url: str
    """Empty: it does not answer over HTTP."""
    pid: int
    first_answer: float | None = None
    """Seconds from the start of the process to its first answered request; None: not started here."""
    grpc_port: int = 0
    """0: it does not answer over gRPC."""


@contextmanager
def redis_server() -> Iterator[tuple[int, int]]:
    """Run a Redis that writes nothing to disk; gives its port and pid."""
    port = free_port()
    command = ["redis-server", "--port", str(port), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"]
    with _running(command, {}) as (process, log):
        _wait(process, log, lambda: socket.create_connection(("127.0.0.1", port), 1).close())
        yield port, process.pid


def pannier(redis_port: int) -> AbstractContextManager[Server]:
    return sidecar(component(STORE, "state.redis", {"redisHost": f"127.0.0.1:{redis_port}"}))


def cached(redis_port: int) -> AbstractContextManager[Server]:
    """Run Pannier with values in memory."""
    fields = {"redisHost": f"127.0.0.1:{redis_port}", "cacheSize": "32Mi"}
    return sidecar(component(STORE, "state.redis", fields), "cached")


@contextmanager
def sidecar(component: str, name: str = "pannier") -> Iterator[Server]:
    """Run Pannier over a component called STORE."""
    port, grpc_port = free_port(), free_port()
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, "store.yaml").write_text(component)
        command = [str(BIN / "pannier"), "serve", "--components", folder, "--app-id", APP_ID]
        command += ["--http-port", str(port), "--metrics-port", str(free_port())]
        command += ["--grpc-port", str(grpc_port)]
        with _answering(name, command, {}, port) as server:
            yield replace(server, grpc_port=grpc_port)


@contextmanager
def plain(redis_port: int) -> Iterator[Server]:
    port = free_port()
    command = [str(BIN / "uvicorn"), "plain_service:app", "--app-dir", str(HERE), "--port", str(port)]
    command += ["--loop", "uvloop", "--http", "httptools", "--no-access-log", "--log-level", "warning"]
    with _answering("plain", command, {"REDIS_PORT": str(redis_port)}, port) as server:
        yield server


@contextmanager
def grpcio(redis_port: int) -> Iterator[Server]:
    """Run the plain service of gRPC."""
    port = free_port()
    command = [sys.executable, str(HERE / "grpc_peer.py"), str(port)]
    with _running(command, {"REDIS_PORT": str(redis_port)}) as (process, log):
        _wait(process, log, lambda: socket.create_connection(("127.0.0.1", port), 1).close())
        yield Server("grpcio", "", process.pid, grpc_port=port)


@contextmanager
def hop(redis_port: int) -> Iterator[Server]:
    """Compile and run the hop. Raises StartFailed if it cannot be compiled."""
    port = free_port()
    with tempfile.TemporaryDirectory() as folder:
        try:
            program = build(Path(folder))
        except NotBuiltError as error:
            raise StartFailed(str(error)) from error
        with _answering("hop", [str(program), str(port), str(redis_port), APP_ID], {}, port) as server:
            yield server


@contextmanager
def _answering(name: str, command: list[str], extra: dict[str, str], port: int) -> Iterator[Server]:
    url = f"http://127.0.0.1:{port}/v1.0/state/{STORE}"
    started = time.perf_counter()
    with _running(command, extra) as (process, log):
        _wait(process, log, lambda: urllib.request.urlopen(f"{url}/k0", timeout=5).close())
        yield Server(name, url, process.pid, time.perf_counter() - started)


@contextmanager
def _running(command: list[str], extra: dict[str, str]) -> Iterator[tuple[subprocess.Popen[bytes], Path]]:
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"} | extra
    with tempfile.NamedTemporaryFile() as log:
        process = subprocess.Popen(command, env=environment, stdout=log, stderr=subprocess.STDOUT)
        try:
            yield process, Path(log.name)
        finally:
            process.terminate()
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def _wait(process: subprocess.Popen[bytes], log: Path, ask: Callable[[], None]) -> None:
    """Call `ask` until it raises no OSError. Raises StartFailed if the process ends or takes too long."""
    limit = time.monotonic() + START_LIMIT
    while True:
        try:
            return ask()
        except OSError as error:  # an answer of 4xx or 5xx is one too
            if process.poll() is not None or time.monotonic() > limit:
                said = log.read_text(errors="replace").strip()[-2000:]
                raise StartFailed(f"{process.args!r}: no answer ({error})\n{said}") from error
            time.sleep(0.002)
