"""Azurite's table service, with one table, and what a test needs to look into it past the store."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from servers.azurite import ACCOUNT, KEY, VERSION, Azurite, prepare
from servers.database import Database, ProxySetup, Server, as_address, last_port
from servers.redis_server import Certificates

from pannier_sidecar.state.store import Feature
from pannier_sidecar.stores.tablestorage.client import Client
from pannier_sidecar.stores.tablestorage.layout import EntityName, Layout
from pannier_sidecar.stores.tablestorage.settings import read_settings

TABLE = "states"


class TableServer(Azurite):
    """A running emulator of the table service."""

    def __init__(self, folder: Path, certificates: Certificates | None = None):
        super().__init__(folder, "table", certificates)

    def stop(self) -> None:
        """End it so that it keeps its data, which it writes to the disk every five seconds only."""
        self._end(signal.SIGINT)

    @property
    def settings(self) -> dict[str, str]:
        return {"accountName": ACCOUNT, "accountKey": KEY, "tableName": TABLE, "serviceURL": self.url}

    def value(self, name: EntityName) -> bytes | None:
        """Return the value of an entity, expired or not."""

        async def read() -> bytes | None:
            client = Client(read_settings(self.settings))
            try:
                found = await client.get(name)
            finally:
                await client.close()
            return None if found is None else found.stored.value

        return asyncio.run(read())


def running(folder: Path, certificates: Certificates | None = None) -> TableServer:
    prepare()
    return TableServer(folder, certificates)


def _serving(*, is_cosmos: bool = False) -> Callable[[Path], Any]:
    @contextmanager
    def serve(folder: Path) -> Iterator[Server]:
        layout = Layout(is_cosmos=is_cosmos)
        with running(folder) as server:
            settings = {**server.settings, **({"cosmosDbMode": "true"} if is_cosmos else {})}
            yield Server(settings, f"{VERSION} for tables", lambda key: server.value(layout.name_of(key)))

    return serve


_SHARED: dict[str, Any] = {
    "store_type": "state.azure.tablestorage",
    "claims": frozenset({Feature.ETAG, Feature.TTL, Feature.KEYS_LIKE}),
    "made_by": "emulator",
    "prepare": prepare,
    "has_numbers_for_etags": False,
    "largest_value": 64 * 1024,
    "increments": 200,
    "many": 300,
    "model_runs": 10,
}

DATABASES = (
    Database(
        "tablestorage",
        "Azure Table Storage",
        serve=_serving(),
        proxy_setup=ProxySetup(
            as_address(
                "serviceURL", f"http://127.0.0.1:{{}}/{ACCOUNT}", accountName=ACCOUNT, accountKey=KEY, tableName=TABLE
            ),
            last_port("serviceURL"),
            impatient={"timeout": "300ms"},
            max_connections=32,
        ),
        **_SHARED,
    ),
    Database(
        "tablestorage-cosmos",
        "Azure Table Storage, keys as in Cosmos DB",
        serve=_serving(is_cosmos=True),
        is_a_variant=True,
        **_SHARED,
    ),
)
