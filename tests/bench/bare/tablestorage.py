"""Microsoft's azure-data-tables would be the bare client; it is not installed, so this is aiohttp with a signature."""

from __future__ import annotations

import hmac
import json
from base64 import b64decode, b64encode
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from email.utils import formatdate
from urllib.parse import quote, urlsplit

from aiohttp import ClientSession, TCPConnector
from bare.calls import Calls
from servers.database import Settings
from yarl import URL


@asynccontextmanager
async def bare(settings: Settings) -> AsyncIterator[Calls]:
    account, signs = str(settings["accountName"]), b64decode(str(settings["accountKey"]))
    service, table = str(settings["serviceURL"]), f"/{settings['tableName']}"
    async with ClientSession(connector=TCPConnector(limit=32), skip_auto_headers=("Content-Type",)) as session:

        async def call(method: str, path: str, body: bytes | None = None) -> tuple[int, bytes]:
            own = {"x-ms-date": formatdate(usegmt=True), "x-ms-version": "2019-02-02", "Accept": "application/json"}
            if body is not None:
                own["Content-Type"] = "application/json"
            resource = f"/{account}{urlsplit(service).path}{path}"
            text = f"{method}\n\n{own.get('Content-Type', '')}\n{own['x-ms-date']}\n{resource}"
            own["Authorization"] = (
                f"SharedKey {account}:{b64encode(hmac.digest(signs, text.encode(), 'sha256')).decode()}"
            )
            async with session.request(method, URL(service + path, encoded=True), data=body, headers=own) as answer:
                return answer.status, await answer.read()

        await call("POST", "/Tables", json.dumps({"TableName": table[1:]}).encode())

        def entity(key: str) -> str:
            return f"{table}(PartitionKey='bench',RowKey='{quote(key, safe='')}')"

        async def get(key: str) -> bytes | None:
            status, body = await call("GET", entity(key))
            return json.loads(body)["Value"].encode() if status == 200 else None

        async def set(key: str, value: bytes) -> None:
            status, _ = await call("PUT", entity(key), json.dumps({"Value": value.decode()}).encode())
            assert status == 204

        yield get, set
