"""A wrong database, table, schema or service account key is reported with what to change."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from servers.opened_store import opened, refusal_of
from servers.pannier_process import Pannier
from servers.spanner_server import EMULATOR, PATIENCE_S, SpannerDatabase, fake, make_database

from pannier_sidecar.state.errors import StoreError, StoreRefusedError, StoreUnavailableError
from pannier_sidecar.state.requests import Set
from pannier_sidecar.stores.gcp_spanner.store import SpannerStore

EXAMPLE = Path(__file__).parents[3] / "examples" / "components" / "gcp-spanner" / "statestore.yaml"


@pytest.fixture(scope="module")
def database(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SpannerDatabase]:
    if EMULATOR:
        yield make_database(EMULATOR)
        return
    with fake(tmp_path_factory.mktemp("spanner")) as (_, database):
        yield database


async def refusal(settings: dict[str, Any]) -> StoreError:
    return await refusal_of(SpannerStore, settings)


async def test_a_table_that_is_not_there(database: SpannerDatabase) -> None:
    fault = await refusal({**database.settings, "tableName": "nothing"})
    assert isinstance(fault, StoreRefusedError)
    assert "refused (NOT_FOUND); check tableName, or create the table: CREATE TABLE nothing (key" in str(fault)


async def test_a_database_that_is_not_there(database: SpannerDatabase) -> None:
    fault = await refusal({**database.settings, "databaseId": "nowhere"})
    assert isinstance(fault, StoreRefusedError)
    assert "check projectId, instanceId and databaseId" in str(fault)
    assert "/databases/nowhere" in str(fault)


async def test_an_address_without_a_server_is_named(database: SpannerDatabase) -> None:
    fault = await refusal({**database.settings, "emulatorHost": "127.0.0.1:1"})
    assert isinstance(fault, StoreUnavailableError)
    assert "Spanner at 127.0.0.1:1 can't be reached" in str(fault)


@pytest.mark.parametrize(
    "text", ["no JSON", "[]", "{}", json.dumps({"type": "service_account", "client_email": "a@b"})]
)
async def test_invalid_credentials_are_refused(database: SpannerDatabase, text: str) -> None:
    settings = {**database.settings, "emulatorHost": None, "credentialsJSON": text}
    fault = await refusal(settings)
    assert isinstance(fault, StoreRefusedError)
    assert "credentialsJSON" in str(fault)


async def test_missing_credentials_are_reported_with_advice(
    database: SpannerDatabase, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(tmp_path / "nowhere.json"))
    fault = await refusal({**database.settings, "emulatorHost": None})
    assert "there are no credentials for Spanner" in str(fault)
    assert "set credentialsJSON, or run where application default credentials are" in str(fault)


async def test_a_value_that_spanner_cannot_hold(database: SpannerDatabase) -> None:
    async with opened(SpannerStore(database.settings), PATIENCE_S) as store:
        await store.set(Set("large", b"x" * 10 * 1024 * 1024))
        for call in (store.set, lambda write: store.transact([write])):
            with pytest.raises(StoreRefusedError, match="too large: it has 10485761 bytes, and Spanner takes 10485760"):
                await call(Set("large", b"x" * (10 * 1024 * 1024 + 1)))


def test_the_example_is_served(database: SpannerDatabase, tmp_path: Path) -> None:
    text = EXAMPLE.read_text() + f"    - name: emulatorHost\n      value: {database.host}\n"
    for name in ("projectId", "instanceId", "databaseId"):
        text = text.replace(f"value: my-{name.removesuffix('Id')}", f"value: {database.settings[name]}")
    (tmp_path / "statestore.yaml").write_text(text)
    pannier = Pannier("run", "--http-port", "0", "--components", tmp_path, environment={"XDG_DATA_HOME": str(tmp_path)})
    try:
        item = '[{"key": "hello", "value": "world"}]'
        pannier.until(lambda: pannier.call("/v1.0/state/statestore", "POST", item)[0] == 201, "a write")
        assert pannier.call("/v1.0/state/statestore/hello") == (200, '"world"')
    finally:
        pannier.close()
