"""A whole store that was open goes down: calls are answered at once, health reports it, and its return is noticed."""

import json
import time
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
from servers.pannier_process import Pannier, serving
from servers.proxy_setups import PROXY_SETUPS
from servers.threaded_proxy import Gone, ThreadedProxy

from pannier_crds.catalogue import component_type

CALLS = 50
AT_ONCE_S = 4.0
"""Limit for a call on a busy machine; it takes a millisecond on an idle one, and a call that waits for the store takes
TIMEOUT at least.
"""
TIMEOUT = "6s"
SILENT = ("redis", "etcd", "consul")


class Sidecar:
    """A sidecar over the store, and over one that no fault affects."""

    def __init__(self, process: Pannier):
        self.process = process

    def call(self, method: str = "GET", path: str = "/v1.0/state/statestore/k", body: str = "") -> tuple[int, Any, Any]:
        url = f"http://127.0.0.1:{self.process.port()}{path}"
        request = Request(url, body.encode() or None, method=method)
        try:
            with urlopen(request, timeout=30) as answer:
                return answer.status, json.loads(answer.read() or b"null"), answer.headers
        except HTTPError as error:
            with error:
                return error.code, json.loads(error.read() or b"null"), error.headers

    def state(self, store: str) -> str:
        _, answer, _ = self.call(path="/v1.0/healthz?verbose")
        return str(answer["stores"].get(store, {}).get("state"))

    def is_told_at_once(self) -> bool:
        return "it is tried again in the background" in (self.call()[1] or {}).get("message", "")


def components(folder: Path, subject: Database, settings: dict[str, Any]) -> Path:
    path = folder / "components"
    path.mkdir()
    text = component("statestore", subject.store_type, settings, version=subject.store_version)
    (path / "statestore.yaml").write_text(text)
    (path / "other.yaml").write_text(component("other", "state.in-memory", {}))
    return path


def with_timeout(subject: Database, settings: dict[str, Any]) -> dict[str, Any]:
    """End calls of a silent store within TIMEOUT, if a component can configure that."""
    kind = component_type(subject.store_type, subject.store_version)
    assert kind is not None
    known = {field.name for field in kind.fields}
    limits: dict[str, Any] = {
        name: TIMEOUT for name in ("timeout", "readTimeout", "dialTimeout", "operationTimeout") if name in known
    }
    return {**settings, **limits}


@pytest.fixture(scope="module")
def subject(request: pytest.FixtureRequest) -> Database:
    return named(request.param)


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Each store refuses; in CI only those fall silent that notice it quickly."""
    falls_silent = PROXY_SETUPS if metafunc.config.getoption("--at-length") else SILENT
    gone = [*((name, "refused") for name in PROXY_SETUPS), *((name, "silent") for name in falls_silent)]
    metafunc.parametrize(("subject", "how"), gone, indirect=["subject"], scope="module")


def test_a_store_that_is_gone_is_told_at_once_and_found_again(
    subject: Database, server: Server, tmp_path: Path, how: Gone, effort: Any, promise: Any
) -> None:
    setup = PROXY_SETUPS[subject.name]
    with ThreadedProxy(setup.port(server.settings), announces_its_port=setup.announces_its_port) as proxy:
        folder = components(tmp_path, subject, with_timeout(subject, {**server.settings, **setup.names(proxy.port)}))
        times = effort.times(1, 3)
        with serving(folder) as process:
            slowest = went_through(Sidecar(process), proxy, how, times)
    promise(
        "While a store cannot be reached, its calls are answered 503 with Retry-After at once, health says so, other "
        "stores are not affected; it is used again when it is back",
        on=server.version,
        fault=f"its connections {'are reset and refused' if how == 'refused' else 'no longer pass any data'}",
        times=times,
        counted=f"{CALLS * times} calls, none over {AT_ONCE_S} s",
    )
    assert slowest < AT_ONCE_S


def went_through(sidecar: Sidecar, proxy: ThreadedProxy, how: Gone, times: int) -> float:
    """Stop the store and start it again; return the seconds of the slowest call while it was down."""
    slowest = 0.0
    process = sidecar.process
    process.until(lambda: sidecar.state("statestore") == "ready", "the store")
    for _ in range(times):
        process.until(lambda: sidecar.call("POST", "/v1.0/state/statestore", '[{"key": "k", "value": 1}]')[0] == 201)
        proxy.go_away(how)
        process.until(sidecar.is_told_at_once, "the answer at once")
        for number in range(CALLS):
            started = time.monotonic()
            if number % 2:
                status, answer, headers = sidecar.call()
            else:
                status, answer, headers = sidecar.call("POST", "/v1.0/state/statestore", '[{"key": "k", "value": 2}]')
            slowest = max(slowest, time.monotonic() - started)
            assert (status, headers["retry-after"]) == (503, "1"), answer
        assert sidecar.state("statestore") == "waiting"
        assert sidecar.state("other") == "ready"
        assert sidecar.call("POST", "/v1.0/state/other", '[{"key": "k", "value": 2}]')[0] == 201
        over_grpc, _ = outcome(process.grpc_port(), DAPR, "GetState", store_name="statestore", key="k")
        assert over_grpc is grpc.StatusCode.UNAVAILABLE
        proxy.come_back()
        process.until(lambda: sidecar.call()[:2] == (200, 1), "the store again")
        process.until(lambda: sidecar.state("statestore") == "ready", "health")
    return slowest
