"""Calls over gRPC are in the metrics under Dapr's names, and in the log if enabled."""

import re
from collections.abc import Iterator
from pathlib import Path

import grpc
import pytest
from servers.component_files import component
from servers.grpc_calls import outcome
from servers.grpc_protos import DAPR
from servers.pannier_process import Pannier, call

LOGGED = ["--enable-api-logging"]


@pytest.fixture(params=[[], LOGGED], ids=["not logged", "logged"])
def pannier(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Pannier]:
    folder = tmp_path / "components"
    folder.mkdir()
    (folder / "statestore.yaml").write_text(component("statestore", "state.in-memory", {}))
    ports = ("--http-port", "0", "--grpc-port", "0", "--metrics-port", "0")
    running = Pannier("serve", "--app-id", "shop", "--components", folder, *ports, *request.param)
    yield running
    running.close()


def save(pannier: Pannier, etag: str = "") -> grpc.StatusCode:
    states = [{"key": "k", "value": b"1", "etag": {"value": etag}}]
    return outcome(pannier.grpc_port(), DAPR, "SaveState", store_name="statestore", states=states)[0]


def test_calls_are_counted_by_method_and_status(pannier: Pannier, request: pytest.FixtureRequest) -> None:
    assert [save(pannier), save(pannier), save(pannier, "4711")] == [
        grpc.StatusCode.OK,
        grpc.StatusCode.OK,
        grpc.StatusCode.ABORTED,
    ]
    _, page = call(f"http://127.0.0.1:{pannier.metrics_port()}/")
    counted = dict(re.findall(r"dapr_grpc_io_server_completed_rpcs\{([^}]*)\} (\d+)", page))
    named = f'app_id="shop",grpc_server_method="/{DAPR}/SaveState",grpc_server_status='
    assert counted == {f'{named}"OK"': "2", f'{named}"Aborted"': "1"}
    assert f'dapr_grpc_io_server_server_latency_count{{{named}"OK"}} 2' in page
    if LOGGED[0] in request.node.callspec.params["pannier"]:
        pannier.until_says(f"gRPC API called: /{DAPR}/SaveState -> Aborted in ")
