"""With a collation in which different keys are equal, one app would get another's rows: such tables are refused."""

import pytest
from servers.postgresql_server import PostgreSQLServer

from pannier_sidecar.state.errors import StoreRefusedError
from pannier_sidecar.state.requests import Get, Set

ANY_CASE = "CREATE COLLATION any_case (provider = icu, locale = 'und-u-ks-level2', deterministic = false)"
OTHER_ORDER = "CREATE COLLATION other_order (provider = icu, locale = 'de')"


@pytest.mark.parametrize("version", ["v1", "v2"])
@pytest.mark.parametrize(
    "change",
    [
        "ALTER TABLE state ALTER COLUMN key TYPE text COLLATE any_case",
        "CREATE UNIQUE INDEX state_once ON state (key COLLATE any_case)",
    ],
    ids=["column", "index"],
)
async def test_a_collation_in_which_different_keys_are_equal_is_refused(
    server: PostgreSQLServer, open_store, version: str, change: str
) -> None:
    await open_store(version)
    server.sql(f"{ANY_CASE}; {change}")
    with pytest.raises(StoreRefusedError, match="takes different keys for the same.*ALTER TABLE"):
        await open_store(version)


@pytest.mark.parametrize("version", ["v1", "v2"])
async def test_a_deterministic_collation_keeps_keys_apart(server: PostgreSQLServer, open_store, version: str) -> None:
    await open_store(version)
    server.sql(f"{OTHER_ORDER}; ALTER TABLE state ALTER COLUMN key TYPE text COLLATE other_order")
    store = await open_store(version)
    for key in ("k", "K"):
        await store.set(Set(key, key.encode()))
    assert [(await store.get(Get(key))).value for key in ("k", "K")] == [b"k", b"K"]
