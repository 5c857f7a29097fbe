"""Azurite's blob service, with one container, and what a test needs to look into it past the store."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from servers.azurite import ACCOUNT, KEY, VERSION, Azurite, prepare
from servers.database import Database, ProxySetup, Server, as_address, last_port
from servers.redis_server import Certificates

from pannier_sidecar.state.store import Feature
from pannier_sidecar.stores.blobstorage import layout
from pannier_sidecar.stores.blobstorage.client import Client
from pannier_sidecar.stores.blobstorage.settings import read_settings

CONTAINER = "states"


class BlobServer(Azurite):
    """A running emulator of the blob service."""

    def __init__(self, folder: Path, certificates: Certificates | None = None):
        super().__init__(folder, "blob", certificates)

    @property
    def settings(self) -> dict[str, str]:
        return {
            "accountName": ACCOUNT,
            "accountKey": KEY,
            "containerName": CONTAINER,
            "endpoint": f"{self.scheme}://{self.address}",
        }

    def content(self, name: str) -> bytes | None:
        """Return what a blob holds."""

        async def read() -> bytes | None:
            client = Client(read_settings(self.settings))
            try:
                found = await client.get(name)
            finally:
                await client.close()
            return None if found is None else found.stored.value

        return asyncio.run(read())


def running(folder: Path, certificates: Certificates | None = None) -> BlobServer:
    prepare()
    return BlobServer(folder, certificates)


def _serving(name_of: Callable[[str], str]) -> Callable[[Path], Any]:
    @contextmanager
    def serve(folder: Path) -> Iterator[Server]:
        with running(folder) as server:
            yield Server(server.settings, VERSION, lambda key: server.content(name_of(key)))

    return serve


_SHARED: dict[str, Any] = {
    "store_type": "state.azure.blobstorage",
    "title": "Azure Blob Storage",
    "claims": frozenset({Feature.ETAG, Feature.KEYS_LIKE}),
    "made_by": "emulator",
    "prepare": prepare,
    "has_numbers_for_etags": False,
    "increments": 200,
    "many": 300,
    "model_runs": 10,
}

DATABASES = (
    Database(
        "blobstorage",
        store_version="v2",
        serve=_serving(layout.name_of),
        proxy_setup=ProxySetup(
            as_address("endpoint", "http://127.0.0.1:{}", accountName=ACCOUNT, accountKey=KEY, containerName=CONTAINER),
            last_port("endpoint"),
            impatient={"timeout": "300ms"},
            max_connections=32,
        ),
        **_SHARED,
    ),
    Database(
        "blobstorage-v1",
        serve=_serving(lambda key: layout.name_of(layout.unprefixed(key))),
        keeps_one_app=True,
        is_a_variant=True,
        **_SHARED,
    ),
)
