"""The answer to an app over HTTP and gRPC if a write's answer was lost, and the value that it finds afterwards."""

import asyncio
import json
import threading
from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import grpc
import pytest
from servers.component_files import component
from servers.database import Database, Server
from servers.databases import named
from servers.grpc_calls import outcome
from servers.grpc_protos import DAPR
from servers.opened_store import opened
from servers.pannier_process import PATIENCE, Pannier, serving
from servers.proxy_setups import PROXY_SETUPS
from servers.threaded_proxy import ThreadedProxy

from pannier_sidecar.state.requests import Get
from pannier_sidecar.stores import registry

READ_FIRST = "read the key before writing again"
SAVE = "/v1.0/state/statestore"


def http_save(process: Pannier, key: str) -> tuple[int, str, str]:
    body = json.dumps([{"key": key, "value": 1}]).encode()
    try:
        with urlopen(Request(f"http://127.0.0.1:{process.port()}{SAVE}", body), timeout=PATIENCE) as answer:
            return answer.status, "", ""
    except HTTPError as error:
        with error:
            error_body = json.loads(error.read())
            return error.code, error_body["errorCode"], error_body["message"]


def grpc_save(process: Pannier, key: str) -> tuple[grpc.StatusCode, str]:
    states = [{"key": key, "value": b"1"}]
    return outcome(process.grpc_port(), DAPR, "SaveState", store_name="statestore", states=states)


def is_written(subject: Database, server: Server, key: str) -> bool:
    """Return whether the server has the key, asked past the proxy."""

    async def ask() -> bool:
        kind: Any = registry.load(subject.store_type, subject.store_version)
        async with opened(kind(subject.typed(server.settings))) as store:
            return await store.get(Get(f"shop||{key}")) is not None

    return asyncio.run(ask())


@pytest.mark.parametrize("profile", ["spec", "dapr"])
@pytest.mark.parametrize("name", ["redis", "postgresql", "etcd"])
def test_a_write_whose_answer_was_lost(name: str, profile: str, tmp_path: Path, promise: Any) -> None:
    subject = named(name)
    with subject.serve(tmp_path / "server") as server, ThreadedProxy(PROXY_SETUPS[name].port(server.settings)) as proxy:
        folder = tmp_path / "components"
        folder.mkdir()
        settings = {**server.settings, **PROXY_SETUPS[name].names(proxy.port)}
        (folder / "statestore.yaml").write_text(component("statestore", subject.store_type, settings))
        with serving(folder, "--profile", profile) as process:
            process.until(lambda: http_save(process, "first")[0] < 300, "the store")
            answers: list[Any] = []
            for save in (http_save, grpc_save):
                key = f"cut-{save.__name__}"
                proxy.arm("after", key.encode())
                saving = threading.Thread(target=lambda save=save, key=key: answers.append(save(process, key)))
                saving.start()
                proxy.cut_when(lambda key=key: is_written(subject, server, key))
                saving.join(PATIENCE)
                process.until(lambda key=key: process.call(f"{SAVE}/{key}") == (200, "1"), "what was written")
    (status, code, message), (grpc_status, details) = answers
    own = "ERR_STATE_OUTCOME_UNKNOWN" if profile == "spec" else "ERR_STATE_SAVE"
    assert (status, code, grpc_status) == (500, own, grpc.StatusCode.UNKNOWN)
    assert message.endswith(READ_FIRST)
    assert details.endswith(READ_FIRST)
    promise(
        "The error says that a write may have happened (500 over HTTP, UNKNOWN over gRPC), and to read the key first",
        on=f"{server.version}, profile {profile}",
        fault="the connection is cut after the server's work",
        times=2,
        counted="2 errors that say so",
    )
