"""aiomysql alone: a value and its ETag in a table, through aiomysql's own pool."""

from __future__ import annotations

import warnings
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import aiomysql
from bare.calls import Calls
from servers.database import Settings

warnings.filterwarnings("ignore", category=aiomysql.Warning)  # the table is there already

TABLE = (
    "CREATE TABLE IF NOT EXISTS bare (id VARCHAR(255) CHARACTER SET utf8mb4 PRIMARY KEY, value LONGBLOB NOT NULL, "
    "eTag VARCHAR(36) NOT NULL, expiredate TIMESTAMP NULL)"
)
READ = "SELECT value, eTag FROM bare WHERE id = %s AND (expiredate IS NULL OR expiredate > CURRENT_TIMESTAMP)"
WRITE = (
    "INSERT INTO bare (id, value, eTag) VALUES (%s, UNHEX(%s), UUID()) ON DUPLICATE KEY UPDATE "
    "value = VALUES(value), eTag = VALUES(eTag), expiredate = NULL"
)


@asynccontextmanager
async def bare(settings: Settings) -> AsyncIterator[Calls]:
    port = int(str(settings["connectionString"]).partition("tcp(")[2].partition(")")[0].rpartition(":")[2])
    server = {"host": "127.0.0.1", "port": port, "user": "root", "autocommit": True}
    async with aiomysql.create_pool(minsize=1, maxsize=1, **server) as making, making.acquire() as connection:
        async with connection.cursor() as cursor:
            await cursor.execute("CREATE DATABASE IF NOT EXISTS bare")
    async with aiomysql.create_pool(minsize=4, maxsize=4, db="bare", **server) as pool:

        async def run(statement: str, *parameters: object) -> tuple[bytes, str] | None:
            async with pool.acquire() as connection, connection.cursor() as cursor:
                await cursor.execute(statement, parameters)
                row: tuple[bytes, str] | None = await cursor.fetchone()
                return row

        await run(TABLE)

        async def get(key: str) -> bytes | None:
            row = await run(READ, key)
            return None if row is None else row[0]

        async def set(key: str, value: bytes) -> None:
            await run(WRITE, key, value.hex())  # with this PyMySQL, aiomysql fails for bytes

        yield get, set
