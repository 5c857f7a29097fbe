"""Servers that repeat the password in their errors: nothing of their text is shown."""

from __future__ import annotations

import asyncio
import logging
import struct
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any

import pytest
from hostile.conftest import Promise
from hostile.secrets.canaries import CANARY, leaks
from servers.server_faults import tds
from servers.tds_fake import packed_options

from pannier_crds.secret import Secret
from pannier_sidecar.observing.logs import PlainLines
from pannier_sidecar.state.errors import StoreError
from pannier_sidecar.stores.registry import load

Server = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


async def redis(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while said := await reader.read(65536):
        for _ in range(said.count(b"\r\n*") + said.startswith(b"*")):
            writer.write(f"-ERR invalid password '{CANARY}' for the '{CANARY}' command\r\n".encode())


async def memcached(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while await reader.read(65536):
        writer.write(f"CLIENT_ERROR authentication failure for {CANARY}\r\n".encode())


async def postgresql(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while said := await reader.read(65536):
        if len(said) == 8:  # it asks for TLS
            writer.write(b"N")
            continue
        fields = f"SFATAL\0VFATAL\0C28000\0Mno way in with {CANARY}\0D{CANARY}\0H{CANARY}\0\0".encode()
        writer.write(b"E" + struct.pack("!I", len(fields) + 4) + fields)
        writer.close()


async def mysql(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    said = b"\xff" + struct.pack("<H", 1045) + f"#28000Access denied for '{CANARY}' (using password: {CANARY})".encode()
    writer.write(len(said).to_bytes(3, "little") + b"\0" + said)


async def sqlserver(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.read(4096)
    writer.write(tds(packed_options({0: bytes(6), 1: b"\x02"})))
    await reader.read(4096)
    said = f"Login failed for user '{CANARY}' with {CANARY}".encode("utf-16-le")
    error = struct.pack("<iBBH", 18456, 1, 14, len(said) // 2) + said + b"\0\0" + struct.pack("<I", 1)
    done = struct.pack("<BHHQ", 0xFD, 2, 0, 0)
    writer.write(tds(b"\xaa" + struct.pack("<H", len(error)) + error + done))


async def http(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while head := await reader.readuntil(b"\r\n\r\n"):
        length = next(
            (int(line[15:]) for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:")), 0
        )
        await reader.readexactly(length)
        body = (
            f'{{"__type": "com.amazonaws.dynamodb#{CANARY}", "code": "{CANARY}", "message": "{CANARY}",'
            f' "Errors": [{{"What": "{CANARY}"}}]}}'
        ).encode()
        writer.write(b"HTTP/1.1 403 %b\r\nContent-Type: application/json\r\n" % CANARY.encode())
        writer.write(b"x-ms-activity-id: %b\r\nContent-Length: %d\r\n\r\n%b" % (CANARY.encode(), len(body), body))


async def nonsense(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while await reader.read(65536):
        writer.write(f"{CANARY}\r\n".encode() * 3)
        await asyncio.sleep(0.05)
        writer.close()


async def nats(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(b'INFO {"version": "%b", "max_payload": 1048576, "auth_required": true}\r\n' % CANARY.encode())
    while await reader.read(65536):
        writer.write(f"-ERR 'no way in with {CANARY}'\r\n".encode())
        writer.close()


SECRET = Secret(CANARY, is_from_elsewhere=True)
STORES: dict[str, tuple[Server, Callable[[str], dict[str, Any]]]] = {
    "state.redis": (redis, lambda at: {"redisHost": at, "redisPassword": SECRET, "dialTimeout": 1.0}),
    "state.memcached": (memcached, lambda at: {"hosts": at, "username": "u", "password": SECRET, "timeout": 1.0}),
    "state.postgresql": (
        postgresql,
        lambda at: {"connectionString": Secret(f"postgresql://u:{CANARY}@{at}/d?sslmode=prefer"), "timeout": 1.0},
    ),
    "state.cockroachdb": (
        postgresql,
        lambda at: {"connectionString": Secret(f"postgresql://u:{CANARY}@{at}/d?sslmode=prefer"), "timeout": 1.0},
    ),
    "state.mongodb": (
        nonsense,
        lambda at: {"connectionString": Secret(f"mongodb://u:{CANARY}@{at}/"), "operationTimeout": 1.0},
    ),
    "state.mysql": (mysql, lambda at: {"connectionString": Secret(f"u:{CANARY}@tcp({at})/"), "timeout": 1.0}),
    "state.sqlserver": (
        sqlserver,
        lambda at: {
            "connectionString": Secret(
                f"server={at.replace(':', ',')};user id={CANARY};password={CANARY};encrypt=disable"
            ),
            "timeout": 1.0,
        },
    ),
    "state.aws.dynamodb": (
        http,
        lambda at: {
            "table": "state",
            "region": "eu-central-1",
            "endpoint": f"http://{at}",
            "accessKey": SECRET,
            "secretKey": SECRET,
            "timeout": 1.0,
        },
    ),
    "state.hashicorp.consul": (http, lambda at: {"httpAddr": at, "aclToken": SECRET, "timeout": 1.0}),
    "state.azure.cosmosdb": (
        http,
        lambda at: {"url": f"http://{at}/", "database": "d", "collection": "c", "masterKey": SECRET, "timeout": 1.0},
    ),
    "state.azure.blobstorage": (
        http,
        lambda at: {
            "connectionString": Secret(f"BlobEndpoint=http://{at};SharedAccessSignature=sig={CANARY}"),
            "containerName": "states",
            "timeout": 1.0,
        },
    ),
    "state.azure.tablestorage": (
        http,
        lambda at: {
            "connectionString": Secret(f"TableEndpoint=http://{at};SharedAccessSignature=sig={CANARY}"),
            "tableName": "states",
            "timeout": 1.0,
        },
    ),
    "state.etcd": (nonsense, lambda at: {"endpoints": at, "username": "u", "password": SECRET, "timeout": 1.0}),
    "state.jetstream": (
        nats,
        lambda at: {"natsURL": Secret(f"nats://u:{CANARY}@{at}"), "bucket": "b", "timeout": 1.0},
    ),
    "state.gcp.spanner": (
        nonsense,
        lambda at: {"projectId": "p", "instanceId": "i", "databaseId": "d", "emulatorHost": at, "timeout": 1.0},
    ),
    "state.cassandra": (
        nonsense,
        lambda at: {
            "hosts": "127.0.0.1",
            "port": int(at.partition(":")[2]),
            "username": "u",
            "password": SECRET,
            "timeout": 1.0,
        },
    ),
}


# Some drivers leave the socket of a peer that breaks the protocol to the garbage collector.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize("kind", STORES)
async def test_what_a_server_says(
    kind: str, promise: Promise, caplog: pytest.LogCaptureFixture, subtests: pytest.Subtests
) -> None:
    own, settings = STORES[kind]
    caplog.set_level(logging.DEBUG)
    for speaks, server in {"its own protocol": own, "nonsense": nonsense}.items():
        with subtests.test(speaks):
            caplog.clear()
            said = await said_of(server, kind, settings)
            written = [PlainLines().format(record) for record in caplog.records]
            for text in (*said, *written):
                assert not leaks(text), text
            promise(
                "No text that a database server sends is shown",
                on=kind,
                fault=f"a server that sends back the password that it received, in {speaks}",
                times=len(said),
                counted=f"{len(said)} faults and {len(written)} log records; 0 fragments of it found",
            )


async def said_of(speak: Server, kind: str, settings: Callable[[str], dict[str, Any]]) -> list[str]:
    """Return the errors of a store whose server speaks like this."""
    connections: set[asyncio.Task[None]] = set()

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        connections.add(task)
        with suppress(OSError, asyncio.IncompleteReadError, asyncio.CancelledError):
            await speak(reader, writer)
        writer.close()

    said = []
    async with await asyncio.start_server(answer, "127.0.0.1", 0) as server:
        at = f"127.0.0.1:{server.sockets[0].getsockname()[1]}"
        for _ in range(2):
            store = load(kind)(settings(at))
            with pytest.raises(StoreError) as refused:
                async with asyncio.timeout(20):
                    await store.open()
                    await store.ping()
            said.append(str(refused.value))
            await store.close()
        for task in connections:
            task.cancel()
        await asyncio.gather(*connections, return_exceptions=True)
    return said
