"""asyncpg alone: a value and its ETag in a table, through asyncpg's own pool."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import asyncpg
from bare.calls import Calls
from servers.database import Settings

TABLE = (
    "CREATE TABLE IF NOT EXISTS bare (key text PRIMARY KEY, value bytea NOT NULL, etag uuid NOT NULL, "
    "updated_at timestamptz, expires_at timestamptz)"
)
READ = "SELECT value, etag FROM bare WHERE key = $1 AND (expires_at IS NULL OR expires_at > now())"
WRITE = (
    "INSERT INTO bare (key, value, etag) VALUES ($1, $2, gen_random_uuid()) ON CONFLICT (key) "
    "DO UPDATE SET value = EXCLUDED.value, etag = EXCLUDED.etag, updated_at = now(), expires_at = NULL"
)


@asynccontextmanager
async def bare(settings: Settings) -> AsyncIterator[Calls]:
    async with asyncpg.create_pool(str(settings["connectionString"]), min_size=4, max_size=4) as pool:
        await pool.execute(TABLE)

        async def get(key: str) -> bytes | None:
            row = await pool.fetchrow(READ, key)
            return None if row is None else row["value"]

        async def set(key: str, value: bytes) -> None:
            await pool.execute(WRITE, key, value)

        yield get, set
