"""serve.py PORT [--single] [--file FILE] [--user NAME:PASSWORD]: mongoeco as a server, for Python 3.13.

It claims to be the primary of a replica set of one, because it has transactions, which clients expect only there; with
--single it claims to be a single server, as by default. With --file it keeps its data in SQLite.
"""

from __future__ import annotations

import argparse
import asyncio
from typing import Any

from mongoeco.engines import MemoryEngine, SQLiteEngine
from mongoeco.wire import AsyncMongoEcoProxyServer
from mongoeco.wire.auth import WireAuthUser
from mongoeco.wire.handshake import WireHandshakeService

REPLICA_SET = "rs0"


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    parser.add_argument("port", type=int)
    parser.add_argument("--single", action="store_true")
    parser.add_argument("--file")
    parser.add_argument("--user")
    return parser.parse_args()


def be_primary(address: str) -> None:
    greet = WireHandshakeService.build_hello_response

    def as_primary(*arguments: Any, **more: Any) -> dict[str, Any]:
        members = {"hosts": [address], "primary": address, "me": address, "setName": REPLICA_SET, "setVersion": 1}
        return {**greet(*arguments, **more), **members, "secondary": False}

    WireHandshakeService.build_hello_response = as_primary


def find_by_id_alone() -> None:
    """In mongoeco, a search for an absent `_id` goes through all documents, which takes minutes in a whole run."""
    find = MemoryEngine._candidate_items_for_plan_locked

    def find_directly(engine: MemoryEngine, documents: dict[Any, Any], plan: Any, **more: Any) -> list[Any]:
        wanted = engine._direct_id_lookup_from_plan(plan)
        if isinstance(wanted, str) and engine._storage_key(wanted) not in documents:
            return []
        return find(engine, documents, plan, **more)

    MemoryEngine._candidate_items_for_plan_locked = find_directly


async def serve(wanted: argparse.Namespace) -> None:
    engine = SQLiteEngine(wanted.file) if wanted.file else MemoryEngine()
    name, _, password = (wanted.user or "").partition(":")
    users = (WireAuthUser(name, password),) if name else ()
    async with AsyncMongoEcoProxyServer(host="127.0.0.1", port=wanted.port, engine=engine, auth_users=users):
        await asyncio.Event().wait()


if __name__ == "__main__":
    wanted = arguments()
    if not wanted.single:
        be_primary(f"127.0.0.1:{wanted.port}")
    find_by_id_alone()
    asyncio.run(serve(wanted))
