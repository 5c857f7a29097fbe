"""Whatever bytes come in: nothing breaks, and the next client is served."""

import asyncio
import random

import pytest
from integration.grpc_head.grpc_wire import GET, SAVE, get, is_well, save, serving

from pannier_sidecar.grpc_api import frames
from pannier_sidecar.grpc_api.frames import ErrorCode


@pytest.mark.parametrize("seed", range(6))
async def test_random_and_changed_frames_harm_nobody(seed: int) -> None:
    chance = random.Random(seed)
    async with serving() as here:
        for number in range(60):
            client = await here.connect()
            recorded = bytearray()
            client.send = lambda *parts, to=recorded: to.extend(b"".join(parts))  # type: ignore[method-assign]
            client.call(SAVE, save("k", b"v" * chance.randrange(400)))
            client.call(GET, get("k"), ("grpc-timeout", "5S"))
            del client.send  # type: ignore[method-assign]
            for _ in range(chance.randrange(1, 6)):
                if number % 2:
                    recorded[chance.randrange(len(recorded))] = chance.randrange(256)
                else:
                    noise = chance.randbytes(chance.randrange(40))
                    at = chance.randrange(len(recorded))
                    stream, kind, flags = chance.randrange(6), chance.randrange(12), chance.randrange(256)
                    recorded[at:at] = frames.frame(kind, flags, stream, noise) if chance.random() < 0.7 else noise
            client.send(bytes(recorded))
            await asyncio.sleep(0)
            await client.close()
        await is_well(here)


async def test_http_1_gets_a_clean_end() -> None:
    async with serving() as here:
        client = await here.connect(greets=False)
        client.send(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        assert await client.until_closed() == ErrorCode.PROTOCOL_ERROR
        await is_well(here)
