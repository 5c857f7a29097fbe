"""Cosmos DB is unreachable, dies, hangs or refuses: no call hangs, and messages say what to do."""

from pathlib import Path
from time import monotonic
from typing import Any

import pytest
from servers.cosmosdb_server import CONTAINER, CosmosServer, running
from servers.eventually import eventually
from servers.opened_cosmosdb import opened
from servers.opened_store import refusal_of
from servers.pannier_process import Pannier
from servers.processes import free_port

from pannier_sidecar.state.errors import OutcomeUnknownError, StoreError, StoreRefusedError, StoreUnavailableError
from pannier_sidecar.state.requests import Delete, Get, Set
from pannier_sidecar.stores.cosmosdb.store import CosmosDBStore

# The client leaves connections that failed to the garbage collector.
pytestmark = [
    pytest.mark.filterwarnings("ignore:unclosed:ResourceWarning"),
    pytest.mark.filterwarnings("ignore:Unclosed:ResourceWarning"),
    pytest.mark.filterwarnings("ignore:.*nclosed:pytest.PytestUnraisableExceptionWarning"),
]

EXAMPLE = Path(__file__).parents[3] / "examples" / "components" / "cosmosdb" / "statestore.yaml"
LIMIT_S = 60.0


async def error_of_opening(settings: dict[str, Any], **more: Any) -> StoreError:
    return await refusal_of(CosmosDBStore, {**settings, **more})


@pytest.fixture
def server(tmp_path: Path) -> Any:
    with running(tmp_path / "server") as server:
        server.make_container(defaultTtl=-1)
        yield server


async def test_an_account_that_is_not_there_is_named_in_time(server: CosmosServer) -> None:
    url = f"http://127.0.0.1:{free_port()}"
    started = monotonic()
    error = await error_of_opening(server.settings, url=url, timeout=2.0)
    assert monotonic() - started < LIMIT_S / 2
    assert isinstance(error, StoreUnavailableError)
    assert url in str(error)


async def test_a_container_that_is_missing_says_how_to_make_it(server: CosmosServer) -> None:
    for wrong in ({"collection": "nothing"}, {"database": "nothing"}):
        error = await error_of_opening(server.settings, **wrong)
        assert isinstance(error, StoreRefusedError)
        assert "az cosmosdb sql container create --partition-key-path /partitionKey" in str(error)


async def test_a_container_with_another_partition_key_is_refused(server: CosmosServer) -> None:
    server.call("POST", "/dbs", {"id": "other"})
    other = {**CONTAINER, "partitionKey": {"paths": ["/city"], "kind": "Hash"}}
    server.call("POST", "/dbs/other/colls", other)
    error = await error_of_opening(server.settings, database="other")
    assert isinstance(error, StoreRefusedError)
    assert "has the partition key /city, which can't be changed" in str(error)


async def test_an_invalid_master_key_is_refused(server: CosmosServer) -> None:
    error = await error_of_opening(server.settings, masterKey="abc")
    assert isinstance(error, StoreRefusedError)
    assert "correct url and masterKey" in str(error)


@pytest.mark.parametrize("name", ["url", "database", "collection"])
async def test_missing_settings_are_named(name: str) -> None:
    settings = {"url": "https://x", "database": "d", "collection": "c"}
    error = await error_of_opening({**settings, name: None})
    assert isinstance(error, StoreRefusedError)
    assert str(error).startswith(f"{name} is missing")


async def test_killed_calls_fail_and_after_a_start_they_succeed(server: CosmosServer) -> None:
    async with opened(server.settings, timeout=3.0) as store:
        await store.set(Set("k", b"1"))
        server.kill()
        for call in (store.get(Get("k")), store.ping(), store.bulk_get([Get("k"), Get("l")])):
            with pytest.raises(StoreUnavailableError):
                await call
        errors = await store.bulk_write([Set("a", b"1"), Set("b", b"1", if_absent=True), Delete("c")])
        assert all(isinstance(error, StoreUnavailableError) for error in errors)
        server.start()
        server.make_container(defaultTtl=-1)  # it keeps everything in memory
        assert await eventually(lambda: store.get(Get("k"))) is None
        await store.set(Set("k", b"2"))
        assert (await eventually(lambda: store.get(Get("k")))).value == b"2"


async def test_an_account_that_hangs_fails_calls_in_time_and_serves_again_after(server: CosmosServer) -> None:
    async with opened(server.settings, timeout=2.0) as store:
        await store.set(Set("k", b"1"))
        found = await eventually(lambda: store.get(Get("k")))
        server.pause()
        started = monotonic()
        with pytest.raises(StoreUnavailableError, match="gave no answer within 2 s"):
            await store.get(Get("k"))
        with pytest.raises(OutcomeUnknownError, match="read the key before writing again"):
            await store.set(Set("k", b"2", if_match=found.etag))
        assert monotonic() - started < LIMIT_S / 2
        server.resume()
        assert (await eventually(lambda: store.get(Get("k")))).value in (b"1", b"2")


def test_the_example_leads_to_an_account(server: CosmosServer, tmp_path: Path) -> None:
    folder = tmp_path / "components"
    folder.mkdir()
    text = EXAMPLE.read_text().replace("https://NAME.documents.azure.com:443/", server.url)
    (folder / "statestore.yaml").write_text(text)
    key = {"COSMOSDB_KEY": str(server.settings["masterKey"])}
    (folder / "secretstore.yaml").write_text((EXAMPLE.parent / "secretstore.yaml").read_text())
    pannier = Pannier("run", "--components", folder, "--http-port", "0", folder=tmp_path, environment=key)
    pannier.until(lambda: pannier.call("/v1.0/state/statestore/k")[0] == 204, "the store")
    assert pannier.call("/v1.0/state/statestore", "POST", '[{"key": "k", "value": {"a": 1.10}}]')[0] == 201
    assert pannier.call("/v1.0/state/statestore/k") == (200, '{"a": 1.10}')
    pannier.close()
