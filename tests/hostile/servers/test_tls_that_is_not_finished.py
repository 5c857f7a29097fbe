"""A server accepts connections and never finishes the TLS handshake: attempts end in time and leave nothing open."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import pytest
from servers.eventually import until
from servers.hostile_proxy import SSL_REQUEST

from pannier_crds.secret import Secret
from pannier_sidecar.state.errors import StoreError
from pannier_sidecar.stores.registry import load

Promise = Callable[..., None]
ATTEMPTS = 3
PATIENCE_S = 30
"""Limit for an attempt on a busy machine; the components say one second."""
STORES: dict[str, Callable[[int], dict[str, Any]]] = {
    "state.redis": lambda port: {"redisHost": f"127.0.0.1:{port}", "enableTLS": True, "dialTimeout": 1.0},
    "state.memcached": lambda port: {"hosts": f"127.0.0.1:{port}", "enableTLS": True, "timeout": 1.0},
    "state.postgresql": lambda port: {
        "connectionString": Secret(f"postgresql://u@127.0.0.1:{port}/d?sslmode=require"),
        "timeout": 1.0,
    },
    "state.mongodb": lambda port: {
        "connectionString": Secret(f"mongodb://127.0.0.1:{port}/?tls=true"),
        "operationTimeout": 1.0,
    },
    "state.aws.dynamodb": lambda port: {
        "table": "state",
        "region": "eu-central-1",
        "endpoint": f"https://127.0.0.1:{port}",
        "accessKey": Secret("key"),
        "secretKey": Secret("key"),
        "timeout": 1.0,
    },
    "state.hashicorp.consul": lambda port: {"httpAddr": f"127.0.0.1:{port}", "scheme": "https", "timeout": 1.0},
    "state.azure.cosmosdb": lambda port: {
        "url": f"https://127.0.0.1:{port}/",
        "database": "d",
        "collection": "c",
        "masterKey": Secret("a2V5"),
        "timeout": 1.0,
    },
    "state.jetstream": lambda port: {"natsURL": f"tls://127.0.0.1:{port}", "bucket": "states", "timeout": 1.0},
}
GREETINGS = {"state.jetstream": b'INFO {"version":"2.15.2","tls_required":true,"max_payload":1048576}\r\n'}
"""What servers say before TLS."""


class SilentServer:
    """Accepts connections, agrees to speak TLS if asked, and then stays silent."""

    def __init__(self, greeting: bytes) -> None:
        self._greeting = greeting
        self.now = 0
        self.taken = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.now += 1
        self.taken += 1
        writer.write(self._greeting)
        with suppress(OSError):
            while said := await reader.read(65536):
                if said == SSL_REQUEST:
                    writer.write(b"S")
        self.now -= 1
        writer.close()


@pytest.mark.parametrize("kind", STORES)
async def test_a_handshake_that_is_never_finished(kind: str, promise: Promise) -> None:
    silent = SilentServer(GREETINGS.get(kind, b""))
    async with await asyncio.start_server(silent.serve, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        for _ in range(ATTEMPTS):
            store = load(kind)(STORES[kind](port))
            async with asyncio.timeout(PATIENCE_S):
                with pytest.raises(StoreError):
                    await store.open()
                    await store.ping()
                await store.close()
        assert silent.taken
        await until(lambda: silent.now == 0)
    promise(
        "Attempts to open a store end in time and leave no connection at the server",
        on=kind,
        fault="a server that takes connections and never finishes the TLS handshake",
        times=ATTEMPTS,
        counted=f"{ATTEMPTS} attempts; 0 connections left",
    )
