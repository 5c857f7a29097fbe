"""Microsoft's azure-storage-blob would be the bare client; it is not installed, so this is aiohttp with a signature."""

from __future__ import annotations

import hmac
from base64 import b64decode, b64encode
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from email.utils import formatdate
from urllib.parse import quote

from aiohttp import ClientSession, TCPConnector
from bare.calls import Calls
from servers.database import Settings
from yarl import URL


@asynccontextmanager
async def bare(settings: Settings) -> AsyncIterator[Calls]:
    account, signs = str(settings["accountName"]), b64decode(str(settings["accountKey"]))
    async with ClientSession(connector=TCPConnector(limit=32), skip_auto_headers=("Content-Type",)) as session:

        async def call(method: str, path: str, body: bytes | None = None, query: str = "") -> tuple[int, bytes]:
            own = {"x-ms-date": formatdate(usegmt=True), "x-ms-version": "2021-12-02"}
            if body is not None:
                own["x-ms-blob-type"] = "BlockBlob"
            named = "".join(f"{name}:{own[name]}\n" for name in sorted(own))
            resource = f"/{account}{path}" + (f"\n{query.replace('=', ':')}" if query else "")
            text = f"{method}\n\n\n{len(body or b'') or ''}\n\n\n\n\n\n\n\n\n{named}{resource}"
            own["Authorization"] = (
                f"SharedKey {account}:{b64encode(hmac.digest(signs, text.encode(), 'sha256')).decode()}"
            )
            url = URL(f"{settings['endpoint']}{path}{query and '?'}{query}", encoded=True)
            async with session.request(method, url, data=body, headers=own) as answer:
                return answer.status, await answer.read()

        container = f"/{account}/{settings['containerName']}"
        await call("PUT", container, query="restype=container")

        async def get(key: str) -> bytes | None:
            status, body = await call("GET", f"{container}/{quote(key, safe='')}")
            return body if status == 200 else None

        async def set(key: str, value: bytes) -> None:
            status, _ = await call("PUT", f"{container}/{quote(key, safe='')}", value)
            assert status == 201

        yield get, set
