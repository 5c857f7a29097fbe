"""MongoDB is unreachable, dies, hangs or refuses: no call hangs, answered writes are kept, messages say what to do."""

import asyncio
from pathlib import Path
from time import monotonic
from typing import Any

import pytest
from servers.eventually import eventually
from servers.mongodb_server import SOCKETS_LEFT, running
from servers.opened_mongodb import opened
from servers.opened_store import refusal_of
from servers.pannier_process import Pannier
from servers.processes import free_port
from servers.redis_server import single

from pannier_sidecar.state.errors import (
    NotSupportedError,
    OutcomeUnknownError,
    StoreError,
    StoreRefusedError,
    StoreUnavailableError,
)
from pannier_sidecar.state.requests import Delete, Get, Set
from pannier_sidecar.stores.mongodb.store import MongoDBStore

EXAMPLE = Path(__file__).parents[3] / "examples" / "components" / "mongodb" / "statestore.yaml"
LIMIT_S = 60.0
pytestmark = [pytest.mark.filterwarnings(warning) for warning in SOCKETS_LEFT]
USER = ("--user", "ann:p@ss/word")


async def error_of_opening(**settings: Any) -> StoreError:
    return await refusal_of(MongoDBStore, settings)


async def test_a_server_that_is_not_there_is_named_in_time() -> None:
    address = f"127.0.0.1:{free_port()}"
    started = monotonic()
    error = await error_of_opening(host=address, operationTimeout=0.5)
    assert monotonic() - started < LIMIT_S / 2
    assert isinstance(error, StoreUnavailableError)
    assert f"MongoDB at {address} gave no answer within 0.5 s" in str(error)
    assert "Topology" not in str(error)


async def test_killed_and_restarted_it_has_what_was_answered(tmp_path: Path) -> None:
    with running(tmp_path, "--file", tmp_path / "data.db") as server:
        async with opened(server.settings, operationTimeout=1.0) as store:
            for number in range(20):
                await store.set(Set(f"k{number}", b"%d" % number))
            server.kill()
            for call in (store.get(Get("k1")), store.ping(), store.keys("", 10, None), store.bulk_get([Get("k1")])):
                with pytest.raises(StoreUnavailableError):
                    await call
            errors = await store.bulk_write([Set("a", b"1"), Set("b", b"1", if_absent=True), Delete("c")])
            assert all(isinstance(error, StoreUnavailableError) for error in errors)
            with pytest.raises(StoreUnavailableError):
                await store.transact([Set("a", b"1"), Set("b", b"1")])
            server.start()
            for number in range(20):
                found = await eventually(lambda number=number: store.get(Get(f"k{number}")))
                assert found.value == b"%d" % number


async def test_a_server_that_hangs_fails_calls_in_time_and_serves_again_after(tmp_path: Path) -> None:
    with running(tmp_path) as server:
        async with opened(server.settings, operationTimeout=0.7) as store:
            await store.set(Set("k", b"1"))
            found = await store.get(Get("k"))
            assert found is not None
            server.pause()
            started = monotonic()
            with pytest.raises(StoreUnavailableError):
                await store.get(Get("k"))
            with pytest.raises(OutcomeUnknownError, match="read the key before writing again"):
                await store.set(Set("k", b"2", if_match=found.etag))
            assert monotonic() - started < LIMIT_S / 2
            server.resume()
            assert (await eventually(lambda: store.get(Get("k")))).value in (b"1", b"2")


async def test_calls_that_are_given_up_while_it_hangs_leave_the_store_usable(tmp_path: Path) -> None:
    with running(tmp_path) as server:
        async with opened(server.settings) as store:
            await store.set(Set("k", b"1"))
            server.pause()
            calls = [asyncio.create_task(store.get(Get("k"))) for _ in range(20)]
            await asyncio.sleep(0.05)
            for call in calls[:-1]:
                call.cancel()
            server.resume()
            await asyncio.gather(*calls, return_exceptions=True)
            assert calls[-1].result() is not None
            assert (await eventually(lambda: store.get(Get("k")))).value == b"1"


async def test_a_wrong_password_names_the_fields_and_shows_nothing(tmp_path: Path) -> None:
    with running(tmp_path, *USER) as server:
        user = {"username": "ann", "params": "?authSource=admin"}
        error = await error_of_opening(**server.settings, **user, password="s3cret")
        assert isinstance(error, StoreRefusedError)
        assert "correct username and password, or name the database that has the user" in str(error)
        assert "s3cret" not in str(error)
        url = f"mongodb://ann:s3cret@{server.address}/?authSource=admin"
        assert "s3cret" not in str(await error_of_opening(connectionString=url))


async def test_a_correct_password_is_accepted_in_any_spelling(tmp_path: Path) -> None:
    with running(tmp_path, *USER) as server:
        user = {"username": "ann", "password": "p@ss/word", "params": "?authSource=admin&authMechanism=SCRAM-SHA-256"}
        async with opened(server.settings, **user) as store:
            await store.set(Set("k", b"1"))
        url = f"mongodb://ann:p%40ss%2Fword@{server.address}/?authSource=admin&authMechanism=SCRAM-SHA-256&w=majority"
        async with opened({"connectionString": url}) as store:
            assert await store.get(Get("k")) is not None


async def test_a_collection_in_which_different_keys_are_the_same(tmp_path: Path) -> None:
    with running(tmp_path) as server:
        with server.client() as client:
            client["shop"].create_collection("lax", collation={"locale": "en", "strength": 2})
            client["shop"].create_collection("exact", collation={"locale": "simple"})
        error = await error_of_opening(**server.settings, databaseName="shop", collectionName="lax")
        assert isinstance(error, StoreRefusedError)
        assert "has a collation, so different keys could be the same" in str(error)
        async with opened(server.settings, databaseName="shop", collectionName="exact") as store:
            await store.ping()


async def test_without_a_user_the_role_that_is_needed_is_named(tmp_path: Path) -> None:
    with running(tmp_path, *USER) as server:
        error = await error_of_opening(**server.settings, databaseName="shop")
        assert isinstance(error, StoreRefusedError)
        assert "a user with the role readWrite on the database shop" in str(error)


@pytest.mark.parametrize("params", ["w=0", "?w=0&journal=false"])
async def test_writes_that_nobody_answers_are_refused(tmp_path: Path, params: str) -> None:
    error = await error_of_opening(host=f"127.0.0.1:{free_port()}", params=params)
    assert isinstance(error, StoreRefusedError)
    assert "w=0" in str(error)


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"connectionString": "mongodb://h:notaport/"}, "at character 12 is not a port"),
        ({"connectionString": "mongodb://ann:s3cret@/"}, "there is an empty address at character 22"),
        ({"host": "h", "params": "tls=true&tlsCAFile=/no/such/file"}, "a file that an option names can't be read"),
        ({}, "write host, server or connectionString"),
    ],
)
async def test_a_wrong_component_is_reported_with_its_field(settings: dict[str, str], said: str) -> None:
    error = await error_of_opening(**settings)
    assert isinstance(error, StoreRefusedError)
    assert said in str(error)
    assert "s3cret" not in str(error)


async def test_an_invalid_option_is_reported(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with running(tmp_path) as server:
        async with opened(server.settings, params="?nonsense=1"):
            assert "an option of the connection has no effect: Unknown option" in caplog.text


async def test_a_single_server_does_all_but_transactions_over_several_keys(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with running(tmp_path, "--single") as server:
        async with opened(server.settings) as store:
            assert "make it a replica set" in caplog.text
            await store.transact([Set("a", b"1", if_absent=True), Set("a", b"2")])
            found = await store.get(Get("a", strong=True))
            assert found is not None
            await store.set(Set("a", b"3", if_match=found.etag, strong=True))
            with pytest.raises(NotSupportedError, match=r"single server.*rs\.initiate\(\)"):
                await store.transact([Set("a", b"4"), Set("b", b"4")])
            assert await store.get(Get("b")) is None


COMPONENT = """
apiVersion: dapr.io/v1alpha1
kind: Component
metadata:
  name: {name}
spec:
  type: {kind}
  version: v1
  metadata:
    - name: {field}
      value: {address}
"""


def test_other_stores_serve_while_it_is_away(tmp_path: Path) -> None:
    with single(tmp_path / "redis") as redis:
        folder = tmp_path / "components"
        folder.mkdir()
        for name, kind, field, address in (
            ("here", "state.redis", "redisHost", redis.address),
            ("away", "state.mongodb", "host", f"127.0.0.1:{free_port()}"),
        ):
            text = COMPONENT.format(name=name, kind=kind, field=field, address=address)
            (folder / f"{name}.yaml").write_text(text)
        pannier = Pannier("run", "--components", folder, "--http-port", "0", folder=tmp_path)
        assert pannier.call("/v1.0/state/here", "POST", '[{"key": "k", "value": 1}]')[0] == 201
        pannier.until(lambda: "MongoDB at" in pannier.call("/v1.0/state/away/k")[1], "the reason")
        assert pannier.call("/v1.0/state/here/k") == (200, "1")
        pannier.close()


def test_the_example_leads_to_a_server(tmp_path: Path) -> None:
    with running(tmp_path / "mongodb") as server:
        folder = tmp_path / "components"
        folder.mkdir()
        (folder / "statestore.yaml").write_text(EXAMPLE.read_text().replace("127.0.0.1:27017", server.address))
        pannier = Pannier("run", "--components", folder, "--http-port", "0", folder=tmp_path)
        pannier.until(lambda: pannier.call("/v1.0/state/statestore/k")[0] == 204, "the store")
        assert pannier.call("/v1.0/state/statestore", "POST", '[{"key": "k", "value": {"a": 1.10}}]')[0] == 201
        assert pannier.call("/v1.0/state/statestore/k") == (200, '{"a": 1.10}')
        pannier.close()
