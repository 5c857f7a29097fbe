"""Credential providers that put the password into whatever they say: nothing of it is shown."""

from __future__ import annotations

import asyncio
import logging

import pytest
from hostile.conftest import Promise
from hostile.secrets.canaries import CANARY, leaks
from servers.credential_providers import MODULE, clear_desk

from pannier_sidecar.observing.logs import PlainLines
from pannier_sidecar.state.errors import StoreError
from pannier_sidecar.stores.redis.store import RedisStore

LIES = (
    CANARY,
    (CANARY,),
    ("user", CANARY),
    (CANARY, "password"),
    (CANARY, None),
    {CANARY: 1},
    (CANARY, CANARY, CANARY),
    (f"{CANARY}\ud800",),
    ValueError,
    SystemExit,
    KeyboardInterrupt,
    asyncio.CancelledError,
)
"""What providers answer or raise, with the password in it. The server takes none of it."""


async def test_what_a_provider_says(promise: Promise, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    given = f'{{"password": "{CANARY}"}}'
    said = []
    desk = clear_desk()
    async with await asyncio.start_server(refuse, "127.0.0.1", 0) as server:
        at = f"127.0.0.1:{server.sockets[0].getsockname()[1]}"
        for answer in LIES:
            desk.answer, desk.words = answer, CANARY
            for name, arguments in (("Loud", ""), ("WithCoroutine", ""), ("Strict", given), ("Blocking", given)):
                settings = {"credentialProvider": f"{MODULE}:{name}", "credentialProviderArguments": arguments}
                store = RedisStore({"redisHost": at, "dialTimeout": 20.0, **settings})
                with pytest.raises(StoreError) as refused:
                    await store.open()
                said.append(str(refused.value))
                await store.close()
    written = [PlainLines().format(record) for record in caplog.records]
    assert any("outside a call" in line for line in written)
    for text in (*said, *written):
        assert not leaks(text), text
    promise(
        "No text of a credential provider is shown",
        on="state.redis",
        fault="a provider that answers, raises and calls back with the password in it",
        times=len(said),
        counted=f"{len(said)} errors and {len(written)} log records; 0 fragments of it found",
    )


async def refuse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Be a server that refuses every login, in the words of Redis."""
    while await reader.read(65536):
        writer.write(b"-WRONGPASS invalid username-password pair or user is disabled.\r\n" * 2 + b"+OK\r\n" * 60)
    writer.close()
