"""Spanner's own client alone: a value, its commit time and its expiry, by a read and a commit of one row."""

from __future__ import annotations

from base64 import b64decode, b64encode
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import grpc.aio
from bare.calls import Calls
from google.cloud.spanner_v1.services.spanner import SpannerAsyncClient
from google.cloud.spanner_v1.services.spanner.transports import SpannerGrpcAsyncIOTransport
from google.cloud.spanner_v1.types import CommitRequest, KeySet, Mutation, ReadRequest, TransactionOptions
from servers.database import Settings

COLUMNS = ["key", "value", "etag", "expires_at"]


@asynccontextmanager
async def bare(settings: Settings) -> AsyncIterator[Calls]:
    database = "projects/{projectId}/instances/{instanceId}/databases/{databaseId}".format(**settings)
    async with grpc.aio.insecure_channel(str(settings["emulatorHost"])) as channel:
        client = SpannerAsyncClient(transport=SpannerGrpcAsyncIOTransport(channel=channel))
        idle = [(await client.create_session(database=database)).name for _ in range(64)]

        async def get(key: str) -> bytes | None:
            session = idle.pop()
            request = ReadRequest(session=session, table="state", columns=COLUMNS, key_set=KeySet(keys=[[key]]))
            values = [value async for part in await client.streaming_read(request) for value in part.values]
            idle.append(session)
            return b64decode(values[1]) if values else None

        async def set(key: str, value: bytes) -> None:
            session = idle.pop()
            row = [key, b64encode(value).decode(), "spanner.commit_timestamp()", None]
            write = Mutation(insert_or_update=Mutation.Write(table="state", columns=COLUMNS, values=[row]))
            once = TransactionOptions(read_write=TransactionOptions.ReadWrite())
            await client.commit(CommitRequest(session=session, single_use_transaction=once, mutations=[write]))
            idle.append(session)

        yield get, set
