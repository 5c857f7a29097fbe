"""What `make bench ARGS=...` takes."""

import argparse
from argparse import ArgumentTypeError, BooleanOptionalAction
from collections.abc import Callable, Collection
from pathlib import Path

from under_test import Server


def parser(about: str, servers: Collection[str], operations: Collection[str]) -> argparse.ArgumentParser:
    made = argparse.ArgumentParser(prog="make bench", description=about)
    made.add_argument("--seconds", type=int, default=3, help="of load for each row (3)")
    for flag, names in (("--servers", servers), ("--loads", operations)):
        made.add_argument(flag, type=_some_of(names), default=names, metavar="NAME,...", help=f"of {', '.join(names)}")
    made.add_argument("--busy", action=BooleanOptionalAction, default=True, help="measure on busy processors too")
    peer_help = "measure this server too; the URL of its store ends in /v1.0/state/STORE"
    made.add_argument("--peer", type=_peer, action="append", default=[], metavar="NAME=URL,PID", help=peer_help)
    grpc_help = "measure this server too, whose gRPC port serves Dapr's API with a store called bench"
    grpc_form = "NAME=PORT,PID"
    made.add_argument("--grpc-peer", type=_grpc_peer, action="append", default=[], metavar=grpc_form, help=grpc_help)
    redis_help = "use this Redis, so that a peer can be started on it before"
    made.add_argument("--redis", type=_redis, metavar="PORT,PID", help=redis_help)
    made.add_argument("--json", type=Path, metavar="FILE", help="write the figures there too")
    return made


def _some_of(known: Collection[str]) -> Callable[[str], list[str]]:
    def names(text: str) -> list[str]:
        given = text.split(",")
        if unknown := [name for name in given if name not in known]:
            raise ArgumentTypeError(f"{unknown[0]!r} is not one of {', '.join(known)}")
        return given

    return names


def _peer(text: str) -> Server:
    name, _, rest = text.partition("=")
    url, _, pid = rest.rpartition(",")
    if not (name and url.startswith("http://") and pid.isdigit()):
        raise ArgumentTypeError(f"{text!r} is not NAME=http://HOST:PORT/v1.0/state/STORE,PID")
    return Server(name, url.rstrip("/"), int(pid))


def _grpc_peer(text: str) -> Server:
    name, _, rest = text.partition("=")
    port, _, pid = rest.partition(",")
    if not (name and port.isdigit() and pid.isdigit()):
        raise ArgumentTypeError(f"{text!r} is not NAME=PORT,PID")
    return Server(name, "", int(pid), grpc_port=int(port))


def _redis(text: str) -> tuple[int, int]:
    port, _, pid = text.partition(",")
    if not (port.isdigit() and pid.isdigit()):
        raise ArgumentTypeError(f"{text!r} is not PORT,PID")
    return int(port), int(pid)
