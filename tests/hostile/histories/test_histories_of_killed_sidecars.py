"""Two sidecars work on one store, and one is killed in the middle of bulk saves and transactions."""

import signal
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import pytest
from hostile.effort import Effort
from servers.app_history import AppHistory
from servers.component_files import component
from servers.database import Database
from servers.databases import named
from servers.pannier_process import Pannier
from servers.processes import free_port

from pannier_sidecar.state.store import Feature

Promise = Callable[..., None]
SHARED = (
    "sqlite", "redis", "postgresql", "postgresql-v2", "cockroachdb", "memcached", "mongodb", "mysql", "dynamodb",
    "etcd", "gcp-spanner", "consul", "cosmosdb", "cassandra", "jetstream", "pluggable", "blobstorage",
    "tablestorage", "sqlserver",
)  # fmt: skip
SOME = 20
"""Requests between two kills; some emulators take long for each."""


@pytest.fixture(scope="module", params=SHARED)
def subject(request: pytest.FixtureRequest) -> Database:
    return named(request.param)


@contextmanager
def sidecar(components: Path, port: int, environment: Mapping[str, str]) -> Iterator[Pannier]:
    ports = ("--http-port", port, "--grpc-port", 0, "--enable-metrics=false")
    pannier = Pannier("serve", "--app-id", "shop", "--components", components, *ports, environment=environment)
    try:
        pannier.until(lambda: pannier.call("/v1.0/healthz")[0] == 204, "it is ready")
        yield pannier
    finally:
        pannier.close()


def test_a_sidecar_killed_in_the_middle(subject: Database, tmp_path: Path, effort: Effort, promise: Promise) -> None:
    rounds = effort.times(1, 20)
    is_transactional = Feature.TRANSACTIONAL in subject.claims and subject.transactions_may_race
    with subject.serve(tmp_path / "server") as server:
        components = tmp_path / "components"
        components.mkdir()
        settings = {**server.settings, **({"actorStateStore": "true"} if is_transactional else {})}
        file = component("statestore", subject.store_type, settings, version=subject.store_version)
        (components / "statestore.yaml").write_text(file)
        ports = [free_port(), free_port()]
        with sidecar(components, ports[0], server.environment):
            with AppHistory(
                ports, transactional=is_transactional, metadata=subject.metadata_of_transactions
            ) as history:
                for _ in range(rounds):
                    with sidecar(components, ports[1], server.environment) as killed:
                        history.goes_on(SOME)
                        killed.send(signal.SIGKILL)
                    history.goes_on(SOME // 4)
            history.check()
        promise(
            "No acknowledged request is lost, no request happens twice or in part, and two clients never "
            "hold the same key",
            on=f"{server.version}, version 2" if subject.store_version == "v2" else server.version,
            fault="one of two sidecars killed in the middle of bulk saves, transactions and deletes by ETag",
            times=rounds,
            counted=history.counts,
        )
