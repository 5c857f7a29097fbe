"""Secret stores as the sidecar opens them, without a sidecar."""

from __future__ import annotations

import asyncio
import gc
import warnings
from collections.abc import Awaitable, Callable
from typing import Any

from pannier_crds.catalogue import component_type, read_settings
from pannier_sidecar.secret_stores.server import SecretServer, open_server


async def closed() -> None:
    """Give TLS the turns of the event loop in which it closes its connections."""
    for _ in range(20):
        await asyncio.sleep(0)


def collect_connections() -> None:
    """Collect the connections that asyncio has left over, before another test is blamed for them."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)
        gc.collect()


def using(kind: str, metadata: dict[str, str], use: Callable[[SecretServer], Awaitable[Any]]) -> Any:
    """Return what `use` returns for a secret store with these fields; empty ones count as not given."""
    known = component_type(kind)
    assert known is not None
    settings, problems = read_settings(known, {name: value for name, value in metadata.items() if value})
    assert not problems

    async def run() -> Any:
        server = open_server(kind, settings)
        try:
            return await use(server)
        finally:
            await server.close()
            await closed()

    return asyncio.run(run())


def read(kind: str, metadata: dict[str, str], name: str, **of_request: str) -> Any:
    return using(kind, metadata, lambda server: server.read(name, of_request))


def read_all(kind: str, metadata: dict[str, str]) -> Any:
    return using(kind, metadata, lambda server: server.read_all({}))
