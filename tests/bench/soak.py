"""Keep one sidecar busy for long, with reloads of its store, and print what memory it holds each minute.

PYTHONPATH=tests .venv/bin/python tests/bench/soak.py --minutes 15
"""

import argparse
import http.client
import itertools
import json
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

from process_stats import cpu, memory
from servers.component_files import component
from under_test import STORE, Server, redis_server, sidecar

MIB = 1024 * 1024
KEYS = 2_000
RELOAD_S = 20.0
CALLS_OF_A_CONNECTION = 500


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=15)
    parser.add_argument("--rate", type=float, default=50, help="calls a second")
    asked = parser.parse_args()
    with redis_server() as (port, _), sidecar_of(port) as (server, reload):
        print(f"{'minute':>6} {'calls':>9} {'reloads':>7} {'RSS MiB':>8} {'PSS MiB':>8} {'CPU s':>7}", flush=True)
        run(server, reload, asked.minutes * 60, asked.rate)


@contextmanager
def sidecar_of(redis_port: int) -> Iterator[tuple[Server, Callable[[int], None]]]:
    """Run a sidecar, and yield a function that writes its component again, so that the store is opened again."""

    def text(number: int) -> str:
        settings = {"redisHost": f"127.0.0.1:{redis_port}", "readTimeout": f"{3 + number % 2}s"}
        return component(STORE, "state.redis", settings)

    with sidecar(text(0)) as server:
        arguments = Path(f"/proc/{server.pid}/cmdline").read_text().split("\0")
        file = Path(arguments[arguments.index("--components") + 1], "store.yaml")

        def reload(number: int) -> None:
            file.write_text(text(number))

        yield server, reload


def run(server: Server, reload: Callable[[int], None], seconds: float, rate: float) -> None:
    """Call at a steady rate. Raises AssertionError at the first call that is not answered as it should be."""
    began = time.monotonic()
    reloads = minutes = 0
    calls = calls_of(server)
    for number in itertools.count():
        now = time.monotonic() - began
        if now >= minutes * 60 or now >= seconds:
            show(server, now, number, reloads)
            minutes += 1
        if now >= seconds:
            return
        if now >= (reloads + 1) * RELOAD_S:
            reloads += 1
            reload(reloads)
        next(calls)
        time.sleep(max(0.0, (number + 1) / rate - (time.monotonic() - began)))


def calls_of(server: Server) -> Iterator[None]:
    """Make one call each time: of five, one save, one delete, one bulk get, and two gets."""
    url = urlsplit(server.store_url)
    connection = http.client.HTTPConnection(url.netloc, timeout=30)
    for number in itertools.count():
        if number % CALLS_OF_A_CONNECTION == 0:
            connection.close()
        key = f"k{number * 7919 % KEYS}"
        value = {"number": number, "text": "x" * (number % 1000)}
        method, path, body, expected = (
            ("POST", url.path, json.dumps([{"key": key, "value": value}]), {201}),
            ("GET", f"{url.path}/{key}", None, {200, 204}),
            ("POST", f"{url.path}/bulk", json.dumps({"keys": [key, "k1", "k2"]}), {200}),
            ("GET", f"{url.path}/missing{number}", None, {204}),
            ("DELETE", f"{url.path}/k{number % KEYS}", None, {200, 204}),
        )[number % 5]
        connection.request(method, path, body)
        answer = connection.getresponse()
        said = answer.read()
        assert answer.status in expected, (method, path, answer.status, said)
        yield


def show(server: Server, seconds: float, calls: int, reloads: int) -> None:
    held, used = memory(server.pid), cpu(server.pid)
    sizes = f"{held.rss / MIB:8.2f} {held.pss / MIB:8.2f}"
    print(f"{seconds / 60:6.1f} {calls:9,} {reloads:7} {sizes} {used.seconds:7.1f}", flush=True)


if __name__ == "__main__":
    main()
