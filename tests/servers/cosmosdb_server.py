"""Cosmos DB for tests: @vercel/cosmosdb-server, another program with its REST API, and the additions in serve.js.

The client is Microsoft's. Expiry and batches were written into serve.js by the authors of the store: there the tests
prove only the store's own part.
"""

from __future__ import annotations

import base64
import json
import os
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from servers.database import Database, ProxySetup, Server, as_address, last_port
from servers.npm_packages import node, packages, version_of
from servers.processes import ServerProcess

from pannier_sidecar.state.store import Feature

HERE = Path(__file__).parent / "cosmosdb"
PACKAGES = HERE / "package.json"
KEY = base64.b64encode(b"any key is taken").decode()
CONTAINER = {"id": "state", "partitionKey": {"paths": ["/partitionKey"], "kind": "Hash", "version": 2}}
LARGEST_VALUE = 1_500_000


class CosmosServer(ServerProcess):
    """The emulator as a process."""

    def end(self) -> None:
        self.kill()

    def command(self) -> Sequence[str | Path]:
        return [node(), HERE / "serve.js", str(self.port)]

    def environment(self) -> Mapping[str, str]:
        return {**os.environ, "PACKAGES": str(packages(PACKAGES))}

    def answers(self) -> object:
        return self.call("GET", "/")

    def call(self, method: str, path: str, body: object = None, **headers: str) -> Any:
        """Call its REST API; it requires no signature."""
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(f"{self.url}{path}", data, headers, method=method)
        with urllib.request.urlopen(request, timeout=30) as answer:
            return json.loads(answer.read() or b"null")

    def make_container(self, database: str = "dapr", **more: object) -> None:
        """Create a database and its container `state`."""
        self.call("POST", "/dbs", {"id": database})
        self.call("POST", f"/dbs/{database}/colls", {**CONTAINER, **more})

    def items(self, database: str = "dapr") -> list[dict[str, Any]]:
        found = self.call("GET", f"/dbs/{database}/colls/state/docs")["Documents"]
        return [dict(item) for item in found]

    def put(self, item: dict[str, Any], database: str = "dapr") -> None:
        """Write an item as another program would."""
        headers = {
            "x-ms-documentdb-is-upsert": "True",
            "x-ms-documentdb-partitionkey": json.dumps([item["partitionKey"]]),
        }
        self.call("POST", f"/dbs/{database}/colls/state/docs", item, **headers)

    @property
    def url(self) -> str:
        return f"http://{self.address}"

    @property
    def settings(self) -> dict[str, str]:
        return {"url": self.url, "database": "dapr", "collection": "state", "masterKey": KEY}


def running(folder: Path) -> CosmosServer:
    return CosmosServer(folder)


@contextmanager
def _serve(folder: Path) -> Iterator[Server]:
    with running(folder) as server:
        server.make_container(defaultTtl=-1)

        def stored(key: str) -> bytes | None:
            return next((base64.b64decode(item["value"]) for item in server.items() if item["id"] == key), None)

        yield Server(server.settings, f"cosmosdb-server {version_of(PACKAGES)}", stored)


def _prepare() -> None:
    packages(PACKAGES)


DATABASES = (
    Database(
        "cosmosdb",
        "Azure Cosmos DB",
        "state.azure.cosmosdb",
        _serve,
        claims=frozenset({Feature.ETAG, Feature.TRANSACTIONAL, Feature.TTL, Feature.KEYS_LIKE}),
        made_by="emulator",
        prepare=_prepare,
        has_numbers_for_etags=False,
        largest_value=LARGEST_VALUE,
        metadata_of_transactions={"partitionKey": "together"},
        remarks={"transactions": "in one partition"},
        increments=100,
        many=300,
        model_runs=10,
        proxy_setup=ProxySetup(
            as_address("url", "http://127.0.0.1:{}"),
            last_port("url"),
            announces_its_port=True,
            impatient={"timeout": "300ms"},
            max_connections=100,
        ),
    ),
)
