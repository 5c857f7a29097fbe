"""Apps with Dapr's Python SDK, its sync and its asyncio client, started by `pannier run` without further settings."""

import sys
from pathlib import Path

import pytest
from servers.pannier_process import Pannier

SYNC = """
from dapr.clients import DaprClient
from dapr.clients.grpc._state import Concurrency, Consistency, StateItem, StateOptions
from dapr.clients.grpc._request import TransactionalStateOperation as Step, TransactionOperationType
from dapr.clients.exceptions import DaprGrpcError
from grpc import StatusCode

STORE = "statestore"

def refused(call, code):
    try:
        call()
    except DaprGrpcError as error:
        assert error.code() is code, error
    else:
        raise AssertionError("not refused")

with DaprClient() as client:
    client.save_state(STORE, "k", "v1", state_metadata={"ttlInSeconds": "1000"})
    first = client.get_state(STORE, "k")
    assert first.data == b"v1" and first.etag, first
    client.save_state(STORE, "k", b"v2", etag=first.etag)
    refused(lambda: client.save_state(STORE, "k", "v3", etag=first.etag), StatusCode.ABORTED)
    refused(lambda: client.delete_state(STORE, "k", etag=first.etag), StatusCode.ABORTED)
    options = StateOptions(concurrency=Concurrency.first_write, consistency=Consistency.strong)
    refused(lambda: client.save_state(STORE, "k", "v3", options=options), StatusCode.ABORTED)
    assert client.get_state(STORE, "none").data == b""
    client.save_bulk_state(STORE, [StateItem(key=f"b{n}", value=f"{n}") for n in range(3)])
    items = client.get_bulk_state(STORE, ["b2", "none", "b0"], parallelism=2).items
    assert [(item.key, item.data) for item in items] == [("b2", b"2"), ("none", b""), ("b0", b"0")], items
    remove = Step(key="k", data=b"", operation_type=TransactionOperationType.delete)
    client.execute_state_transaction(STORE, [Step(key="t", data=b"1"), remove])
    assert client.get_state(STORE, "k").data == b""
    stale = [Step(key="b1", data=b"9"), Step(key="t", data=b"2", etag="4711")]
    refused(lambda: client.execute_state_transaction(STORE, stale), StatusCode.ABORTED)
    assert client.get_state(STORE, "b1").data == b"1"
    client.delete_state(STORE, "t", etag=client.get_state(STORE, "t").etag)
    refused(lambda: client.get_state("other", "k"), StatusCode.INVALID_ARGUMENT)
    client.set_metadata("colour", "blue")
    metadata = client.get_metadata()
    assert metadata.application_id == "shop" and metadata.extended_metadata["colour"] == "blue", metadata
    assert [each.name for each in metadata.registered_components] == ["statestore"], metadata.registered_components
    print("all well")
"""

AIO = """
import asyncio
from dapr.aio.clients import DaprClient
from dapr.clients.exceptions import DaprGrpcError
from grpc import StatusCode

async def main():
    async with DaprClient() as client:
        await client.save_state("statestore", "k", "v1")
        first = await client.get_state("statestore", "k")
        assert first.data == b"v1" and first.etag
        await asyncio.gather(*[client.save_state("statestore", f"k{n}", f"{n}") for n in range(200)])
        values = await asyncio.gather(*[client.get_state("statestore", f"k{n}") for n in range(200)])
        assert [value.data for value in values] == [b"%d" % n for n in range(200)]
        try:
            await client.delete_state("statestore", "k", etag="4711")
        except DaprGrpcError as error:
            assert error.code() is StatusCode.ABORTED, error
        else:
            raise AssertionError("not refused")
        await client.delete_state("statestore", "k", etag=first.etag)
        assert (await client.get_state("statestore", "k")).data == b""
        assert (await client.get_metadata()).application_id == "shop"
        print("all well")

asyncio.run(main())
"""

STOPS = """
from dapr.clients import DaprClient
with DaprClient() as client:
    client.shutdown()
import time
time.sleep(60)
"""


@pytest.mark.parametrize("token", [None, "sesame"])
@pytest.mark.parametrize("code", [SYNC, AIO], ids=["sync", "aio"])
def test_the_sdk_works_as_it_is(tmp_path: Path, code: str, token: str | None) -> None:
    environment = {} if token is None else {"DAPR_API_TOKEN": token}
    pannier = run(tmp_path, code, environment)
    try:
        assert pannier.end() == 0, pannier.out + pannier.err
        assert "== APP == all well" in pannier.out
    finally:
        pannier.close()


def test_the_sdk_stops_the_sidecar(tmp_path: Path) -> None:
    pannier = run(tmp_path, STOPS, {})
    try:
        pannier.end()
        assert "Traceback" not in pannier.out + pannier.err
    finally:
        pannier.close()


def run(folder: Path, code: str, environment: dict[str, str]) -> Pannier:
    app = [sys.executable, "-c", code]
    flags = ("--app-id", "shop", "--http-port", "0", "--dapr-grpc-port", "0")
    return Pannier("run", *flags, "--", *app, environment={"XDG_DATA_HOME": str(folder), **environment}, folder=folder)
