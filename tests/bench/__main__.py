"""Measure Pannier against plain services, a C program and any peer, on one Redis: `make bench`.

The servers take turns (A B A B ...), so that the machine's other work meets all of them; the tables show medians.
Each row is printed when it is measured. Figures never fail the run, and a server that cannot be started or measured is
left out and named. Load and servers share the machine's processors, so calls/s say less than CPU time for each call.
"""

import compileall
import os
import platform
import signal
import subprocess
import sys
from argparse import Namespace
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, suppress
from statistics import median

from busy import busy_processors
from measuring import OVER_GRPC, Figures, RedisUnderTest, measure, middle
from options import parser
from process_stats import Memory, memory
from redis import RedisError
from report import LEGEND, RULER, Cell, Standing, Table, as_json, standing_table
from under_test import APP_ID, HERE, Server, StartFailed, cached, grpcio, hop, pannier, plain, redis_server

import pannier_crds
import pannier_sidecar

Load = tuple[str, int]
"""An operation, and at how many connections."""

OWN: dict[str, Callable[[int], AbstractContextManager[Server]]] = {
    "pannier": pannier,
    "cached": cached,
    "plain": plain,
    "grpcio": grpcio,
    RULER: hop,
}
CONNECTIONS = {
    "save": (1, 16, 64),
    "get": (1, 16, 64),
    "bulk": (1, 16),
    OVER_GRPC + "save": (1, 16, 64),
    OVER_GRPC + "get": (1, 16, 64),
}
LOADS: list[Load] = [(operation, each) for operation, connections in CONNECTIONS.items() for each in connections]
BUSY_LOADS: list[Load] = [("save", 16), ("get", 1), ("get", 16), ("get", 64), (OVER_GRPC + "get", 16)]
STARTS = 5


def main() -> None:
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("bench: ended"))  # and so ends what it has started
    options = parser(__doc__ or "", OWN, CONNECTIONS).parse_args()
    compile_modules()
    tables: dict[str, list[Cell]] = {"load": [], "busy": []}
    with ExitStack() as stack:
        try:
            redis = RedisUnderTest(*(options.redis or stack.enter_context(redis_server())))
            redis.fill(APP_ID)
        except (StartFailed, OSError, RedisError) as error:
            sys.exit(f"bench: no Redis: {error}")
        _say(_machine(redis))
        servers = [*_started(options.servers, redis.port, stack), *options.peer, *options.grpc_peer]
        _warm_up(servers, redis)
        _say(f"\nQuiet: nothing beside them was started. Load average {os.getloadavg()[0]:.1f}.")
        tables["load"] += _measured(LOADS, servers, redis, options)
        if options.busy:
            with busy_processors() as count:
                said = f"Busy: {count} processes beside them never wait, one on each processor."
                _say(f"\n{said} Load average before {os.getloadavg()[0]:.1f}.")
                tables["busy"] += _measured(BUSY_LOADS, servers, redis, options)
        _say("\n" + LEGEND)
        standings = list(_standings(servers, redis.port))
    _say("\n" + standing_table(standings))
    if options.json:
        options.json.write_text(as_json(tables, standings) + "\n")


def compile_modules() -> None:
    """Compile what is measured; the first start does so with libraries that are not compiled."""
    for folder in (*pannier_sidecar.__path__, *pannier_crds.__path__, HERE):
        compileall.compile_dir(str(folder), quiet=2)


def _machine(redis: RedisUnderTest) -> str:
    processors = len(os.sched_getaffinity(0))
    python = f"{platform.python_implementation()} {platform.python_version()}, modules compiled"
    return f"{python}; Redis {redis.version()}; {processors} processors; Linux {platform.release()}"


def _started(names: Iterable[str], redis_port: int, stack: ExitStack) -> Iterator[Server]:
    """Start our servers, and say which do not start."""
    for name in names:
        try:
            yield stack.enter_context(OWN[name](redis_port))
        except (StartFailed, OSError) as error:
            _say(f"{name} is left out: {error}")


def _warm_up(servers: Iterable[Server], redis: RedisUnderTest) -> None:
    """Fill the stores, and have everything loaded that a call needs."""
    for server in servers:
        if server.name != RULER and server.store_url:
            _attempt(server, redis, ("save", 1), 1)
        if server.grpc_port:
            _attempt(server, redis, (OVER_GRPC + "save", 1), 1)


def _measured(
    loads: Iterable[Load], servers: Sequence[Server], redis: RedisUnderTest, options: Namespace
) -> Iterator[Cell]:
    """Print a table while it grows, and yield what is in it."""
    table = Table(server.name for server in servers)
    _say(table.head())
    for load in loads:
        if load[0] in options.loads:
            group = list(_group(load, servers, redis, options.seconds))
            _say("\n".join(table.rows(group)))
            yield from group


def _group(load: Load, servers: Iterable[Server], redis: RedisUnderTest, seconds: int) -> Iterator[Cell]:
    """Measure one load on all servers in turns; the hop does a get, whatever the load is."""
    operation, connections = load
    turns = [(server, ("get", connections) if server.name == RULER else load) for server in servers]
    turns = [(server, own_load) for server, own_load in turns if _serves(server, own_load[0])]
    rounds = max(1, min(3, seconds))
    figures: dict[Server, list[Figures]] = {}
    for _ in range(rounds):
        for server, own_load in turns:
            if (found := _attempt(server, redis, own_load, seconds / rounds)) is not None:
                figures.setdefault(server, []).append(found)
    for server, found_in_turns in figures.items():
        yield Cell(operation, connections, server.name, middle(found_in_turns))


def _serves(server: Server, operation: str) -> bool:
    return bool(server.grpc_port if operation.startswith(OVER_GRPC) else server.store_url)


def _attempt(server: Server, redis: RedisUnderTest, load: Load, seconds: float) -> Figures | None:
    """Measure, or say why that cannot be done."""
    try:
        return measure(server, redis, *load, seconds)
    except (OSError, RuntimeError, RedisError, subprocess.SubprocessError) as error:
        _say(f"{server.name}: {load[0]} at {load[1]} is not measured: {error}")
        return None


def _standings(servers: Iterable[Server], redis_port: int) -> Iterator[Standing]:
    """Start each HTTP server several times; yield the medians of its first answer and its memory. Peers are not
    restarted."""
    for server in servers:
        if server.first_answer is not None:
            starts = list(_starts(server.name, redis_port))
            memories = sorted(used for used, _ in starts)
            if starts:
                yield Standing(server.name, memories[len(starts) // 2], median(first for _, first in starts))
        elif server.store_url:
            with suppress(OSError):  # it may have ended
                yield Standing(server.name, memory(server.pid), None)


def _starts(name: str, redis_port: int) -> Iterator[tuple[Memory, float]]:
    for _ in range(STARTS):
        with ExitStack() as stack:
            started = list(_started([name], redis_port, stack))
            if not started:
                return
            yield memory(started[0].pid), started[0].first_answer or 0.0


def _say(text: str) -> None:
    print(text, flush=True)


if __name__ == "__main__":
    main()
