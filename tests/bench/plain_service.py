"""The HTTP service to compare with: get, save and bulk get in FastAPI over redis-py, written the plain way.

It does less than Pannier: no ETag checks, no TTL, no key prefix, no retries, no metrics.
"""

import json
import os
from typing import Any

from fastapi import FastAPI, Response
from pydantic import BaseModel
from redis.asyncio import Redis

app = FastAPI()
redis = Redis(port=int(os.environ["REDIS_PORT"]))


class Item(BaseModel):
    key: str
    value: Any


class Keys(BaseModel):
    keys: list[str]


@app.get("/v1.0/state/{store}/{key}")
async def get(store: str, key: str) -> Response:
    data, version = await redis.hmget(f"{store}:{key}", ["data", "version"])
    if data is None:
        return Response(status_code=204)
    return Response(data, media_type="application/json", headers={"etag": str(int(version or 0))})


@app.post("/v1.0/state/{store}", status_code=201)
async def save(store: str, items: list[Item]) -> None:
    async with redis.pipeline(transaction=True) as pipeline:
        for item in items:
            pipeline.hset(f"{store}:{item.key}", "data", json.dumps(item.value))
            pipeline.hincrby(f"{store}:{item.key}", "version", 1)
        await pipeline.execute()


@app.post("/v1.0/state/{store}/bulk")
async def bulk_get(store: str, wanted: Keys) -> list[dict[str, Any]]:
    async with redis.pipeline(transaction=False) as pipeline:
        for key in wanted.keys:
            pipeline.hmget(f"{store}:{key}", ["data", "version"])
        found = await pipeline.execute()
    return [
        {"key": key, "data": data and json.loads(data), "etag": version and version.decode()}
        for key, (data, version) in zip(wanted.keys, found, strict=True)
    ]
