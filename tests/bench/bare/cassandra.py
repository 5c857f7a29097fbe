"""The driver alone: a value and its ETag in a row, written by a lightweight transaction."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any
from uuid import uuid4

from bare.calls import Calls
from cassandra import ConsistencyLevel
from cassandra.cluster import EXEC_PROFILE_DEFAULT, Cluster, ExecutionProfile
from cassandra.policies import RoundRobinPolicy
from cassandra.query import tuple_factory
from servers.database import Settings


@asynccontextmanager
async def bare(settings: Settings) -> AsyncIterator[Calls]:
    profile = ExecutionProfile(RoundRobinPolicy(), row_factory=tuple_factory, consistency_level=ConsistencyLevel.ALL)
    cluster = Cluster([settings["hosts"]], settings["port"], execution_profiles={EXEC_PROFILE_DEFAULT: profile})
    session = cluster.connect()
    table = f"{settings['keyspace']}_bare.items"
    replication = "{'class': 'SimpleStrategy', 'replication_factor': 1}"
    session.execute(f"CREATE KEYSPACE IF NOT EXISTS {settings['keyspace']}_bare WITH replication = {replication}")
    session.execute(f"CREATE TABLE IF NOT EXISTS {table} (key text PRIMARY KEY, value blob, etag text)")
    columns = "value, etag, writetime(value), writetime(etag), ttl(value), toUnixTimestamp(now())"
    read = session.prepare(f"SELECT {columns} FROM {table} WHERE key = ?")
    write = session.prepare(f"UPDATE {table} SET value = ?, etag = ? WHERE key = ? IF etag != ''")
    write.serial_consistency_level = ConsistencyLevel.SERIAL
    loop = asyncio.get_running_loop()

    async def rows(statement: Any, *values: Any) -> Any:
        answer = loop.create_future()
        session.execute_async(statement, values).add_callbacks(
            lambda rows: loop.call_soon_threadsafe(answer.set_result, rows),
            lambda error: loop.call_soon_threadsafe(answer.set_exception, error),
        )
        return await answer

    async def get(key: str) -> bytes | None:
        found = await rows(read, key)
        return found[0][0] if found else None

    async def set(key: str, value: bytes) -> None:
        await rows(write, value, uuid4().hex, key)

    yield get, set
    cluster.shutdown()
