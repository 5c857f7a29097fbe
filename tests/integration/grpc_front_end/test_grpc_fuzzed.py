"""Whatever bytes arrive, nothing breaks, and the next client is served."""

import asyncio
import os
import random
from pathlib import Path

import pytest
from integration.grpc_front_end.grpc_wire import GET, SAVE, Client, get, is_well, save, serving
from scenarios.worlds import component, served
from servers.pannier_process import Pannier

from pannier_sidecar.http2 import frames
from pannier_sidecar.http2.frames import ErrorCode

ESTABLISHED = "01"
"""The number in /proc/net/tcp."""


async def send_noise(client: Client, chance: random.Random) -> None:
    """Two calls, with some bytes of them changed, or with frames and bytes of any kind between them."""
    recorded = bytearray()
    client.send = lambda *parts: recorded.extend(b"".join(parts))  # type: ignore[method-assign]
    client.call(SAVE, save("k", b"v" * chance.randrange(400)))
    client.call(GET, get("k"), ("grpc-timeout", "5S"))
    del client.send
    changes_bytes = chance.random() < 0.5
    for _ in range(chance.randrange(1, 6)):
        if changes_bytes:
            recorded[chance.randrange(len(recorded))] = chance.randrange(256)
        else:
            noise = chance.randbytes(chance.randrange(40))
            at = chance.randrange(len(recorded))
            stream, kind, flags = chance.randrange(6), chance.randrange(12), chance.randrange(256)
            recorded[at:at] = frames.frame(kind, flags, stream, noise) if chance.random() < 0.7 else noise
    client.send(bytes(recorded))
    await asyncio.sleep(0)


@pytest.mark.transport
async def test_random_and_changed_frames_harm_nobody(subtests: pytest.Subtests) -> None:
    for seed in range(6):
        with subtests.test(f"seed {seed}"):
            chance = random.Random(seed)
            async with serving() as here:
                for _ in range(60):
                    client = await here.connect()
                    await send_noise(client, chance)
                    await client.close()
                await is_well(here)


async def test_memory_does_not_grow(tmp_path: Path) -> None:
    chance = random.Random(4711)
    folder = tmp_path / "components"
    folder.mkdir()
    (folder / "statestore.yaml").write_text(component("statestore", "state.in-memory", {}))
    with served(folder) as pannier:
        port = pannier.grpc_port()
        sizes = []
        for _ in range(5):
            for _ in range(300):
                client = Client(*await asyncio.open_connection("127.0.0.1", port))
                client.send(frames.PREFACE, frames.settings({}))
                await send_noise(client, chance)
                await client.close()
            await asyncio.to_thread(pannier.until, lambda: open_sockets(pannier) == 0, "no connection")
            sizes.append(resident(pannier))
    assert sizes[-1] - sizes[0] < 2_000_000, sizes


def resident(pannier: Pannier) -> int:
    """Bytes of memory that the process holds."""
    return int(Path(f"/proc/{pannier.process.pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def open_sockets(pannier: Pannier) -> int:
    """Connections to its gRPC port."""
    address = f":{pannier.grpc_port():04X}"
    lines = [line.split() for line in Path(f"/proc/{pannier.process.pid}/net/tcp").read_text().splitlines()[1:]]
    return sum(line[1].endswith(address) and line[3] == ESTABLISHED for line in lines)


async def test_http_1_gets_a_clean_end() -> None:
    async with serving() as here:
        client = await here.connect(greets=False)
        client.send(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        assert await client.until_closed() == ErrorCode.PROTOCOL_ERROR
        await is_well(here)
