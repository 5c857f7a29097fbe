"""aiobotocore alone, with its defaults: an item with an ETag."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from uuid import uuid4

from aiobotocore.session import get_session
from bare.calls import Calls
from servers.database import Settings


@asynccontextmanager
async def bare(settings: Settings) -> AsyncIterator[Calls]:
    table = str(settings["table"])
    async with get_session().create_client(
        "dynamodb",
        region_name=settings["region"],
        endpoint_url=settings["endpoint"],
        aws_access_key_id=settings["accessKey"],
        aws_secret_access_key=settings["secretKey"],
    ) as client:

        async def get(key: str) -> bytes | None:
            answer = await client.get_item(TableName=table, Key={"key": {"S": key}}, ConsistentRead=False)
            item = answer.get("Item")
            return item["value"]["S"].encode() if item else None

        async def set(key: str, value: bytes) -> None:
            item = {"key": {"S": key}, "value": {"S": value.decode()}, "etag": {"S": uuid4().hex}}
            await client.put_item(TableName=table, Item=item)

        yield get, set
