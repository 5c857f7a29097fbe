"""Measure Pannier against the plain service, and any peer, on one Redis: `make bench`.

The servers take turns (A B A B ...), so that the machine's other work meets all of them; the table shows medians.
It reports and never judges: figures do not fail the run. Load and servers share the machine's cores, so
requests/s say less than CPU per request.
"""

import argparse
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from pathlib import Path
from statistics import median

from grpc_load import rows
from measuring import Figures, RedisUnderTest, measure, middle
from process_stats import memory
from report import Cell, Standing, as_json, standing_table, table
from servers.processes import free_port
from under_test import Server, StartFailed, grpc_peer, pannier, plain, redis_server

OWN: dict[str, Callable[[int], AbstractContextManager[Server]]] = {"pannier": pannier, "plain": plain}
LOADS = [(operation, connections) for operation in ("save", "get") for connections in (1, 16, 64)]
LOADS += [("bulk", connections) for connections in (1, 16)]
STARTS = 5


def main() -> None:
    options = _options().parse_args()
    try:
        with _redis(options.redis) as redis:
            standings = [_standing(name, redis.port) for name in options.servers]
            standings += [Standing(peer.name, memory(peer.pid), None) for peer in options.peer]
            cells = list(_cells(redis, options))
            grpc = list(_grpc_rows(redis.port, options.seconds))
    except (StartFailed, OSError, RuntimeError) as error:
        sys.exit(f"bench: {error}")
    compare = ("pannier", "plain") if {"pannier", "plain"} <= set(options.servers) else None
    print(table(cells, compare), "\n".join(grpc), standing_table(standings), sep="\n\n")
    if options.json:
        options.json.write_text(as_json(cells, standings) + "\n")


def _options() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="make bench", description=__doc__)
    parser.add_argument("--seconds", type=int, default=3, help="of load for each cell of the table (3)")
    parser.add_argument("--servers", type=_names, default=list(OWN), metavar="NAME,...", help=f"of {', '.join(OWN)}")
    peer_help = "measure this server too; the URL of its store ends in /v1.0/state/STORE"
    parser.add_argument("--peer", type=_peer, action="append", default=[], metavar="NAME=URL,PID", help=peer_help)
    redis_help = "use this Redis, so that a peer can be started on it before"
    parser.add_argument("--redis", type=_redis_option, metavar="PORT,PID", help=redis_help)
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures there too")
    return parser


def _names(text: str) -> list[str]:
    names = text.split(",")
    if unknown := [name for name in names if name not in OWN]:
        raise argparse.ArgumentTypeError(f"{unknown[0]!r} is not one of {', '.join(OWN)}")
    return names


def _peer(text: str) -> Server:
    name, _, rest = text.partition("=")
    url, _, pid = rest.rpartition(",")
    if not (name and url.startswith("http://") and pid.isdigit()):
        raise argparse.ArgumentTypeError(f"{text!r} is not NAME=http://HOST:PORT/v1.0/state/STORE,PID")
    return Server(name, url.rstrip("/"), int(pid))


def _redis_option(text: str) -> tuple[int, int]:
    port, _, pid = text.partition(",")
    if not (port.isdigit() and pid.isdigit()):
        raise argparse.ArgumentTypeError(f"{text!r} is not PORT,PID")
    return int(port), int(pid)


@contextmanager
def _redis(given: tuple[int, int] | None) -> Iterator[RedisUnderTest]:
    with ExitStack() as stack:
        yield RedisUnderTest(*(given or stack.enter_context(redis_server())))


def _standing(name: str, redis_port: int) -> Standing:
    """Start a server some times: the medians of its first answer and of its memory."""
    starts = []
    for _ in range(STARTS):
        with OWN[name](redis_port) as server:
            starts.append((server.first_answer or 0.0, memory(server.pid)))
    first_answers, memories = zip(*starts, strict=True)
    return Standing(name, sorted(memories)[STARTS // 2], median(first_answers))


def _cells(redis: RedisUnderTest, options: argparse.Namespace) -> Iterator[Cell]:
    with ExitStack() as stack:
        servers = [stack.enter_context(OWN[name](redis.port)) for name in options.servers] + options.peer
        for server in servers:
            measure(server, redis, "save", 1, 1)  # fills the store and warms up
        for operation, connections in LOADS:
            print(f"{operation} at {connections} ...", file=sys.stderr)
            figures = _take_turns(servers, redis, operation, connections, options.seconds)
            for server, own in zip(servers, figures, strict=True):
                yield Cell(operation, connections, server.name, own)


def _grpc_rows(redis_port: int, seconds: int) -> Iterator[str]:
    """Measure the gRPC port beside a grpcio asyncio server."""
    print("gRPC ...", file=sys.stderr)
    ports = free_port(), free_port()
    with pannier(redis_port, ports[0]) as own, grpc_peer(redis_port, ports[1]) as peer_pid:
        yield from rows({"pannier": (ports[0], own.pid), "grpcio": (ports[1], peer_pid)}, seconds)


def _take_turns(
    servers: Sequence[Server], redis: RedisUnderTest, operation: str, connections: int, seconds: int
) -> list[Figures]:
    rounds = max(1, min(3, seconds))
    turns = [
        [measure(server, redis, operation, connections, max(1, seconds // rounds)) for server in servers]
        for _ in range(rounds)
    ]
    return [middle(own) for own in zip(*turns, strict=True)]


if __name__ == "__main__":
    main()
