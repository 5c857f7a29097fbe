"""The statements that the example has an administrator run are enough for the example's component."""

from pathlib import Path

import pytest
import yaml
from servers.cassandra_server import CassandraServer
from servers.opened_store import opened

from pannier_sidecar.state.requests import Delete, Get, Set
from pannier_sidecar.stores.cassandra.store import CassandraStore

EXAMPLE = Path(__file__).parents[3] / "examples/components/cassandra"


def statements(keyspace: str) -> list[str]:
    """Return those of schema.cql, for one node and with a keyspace and a role of the test's."""
    lines = (EXAMPLE / "schema.cql").read_text().splitlines()
    text = "\n".join(line for line in lines if not line.startswith("--"))
    for name, ours in (
        (" dapr", f" {keyspace}"),
        (" pannier", f" {keyspace}"),
        ("'replication_factor': 3", "'replication_factor': 1"),
    ):
        assert name in text
        text = text.replace(name, ours)
    return [statement for statement in text.split(";") if statement.strip()]


@pytest.mark.timeout(240)
async def test_the_examples_role_may_do_what_the_store_does(secured: CassandraServer, keyspace: str) -> None:
    for statement in statements(keyspace):
        secured.run(statement)
    (manifest,) = yaml.safe_load_all((EXAMPLE / "statestore.yaml").read_text())
    example = {item["name"]: item["value"] for item in manifest["spec"]["metadata"]}
    login = {"username": keyspace, "password": "change me"}
    async with opened(CassandraStore({**example, **secured.settings(keyspace), **login})) as store:
        await store.set(Set("k", b"1", if_absent=True))
        found = await store.get(Get("k", strong=True))
        assert found is not None
        assert list((await store.keys("", 10, None)).keys) == ["k"]
        await store.delete(Delete("k", found.etag))
        assert await store.get(Get("k")) is None
