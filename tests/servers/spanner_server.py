"""Spanner for tests: a fake of ours, or the emulator that SPANNER_EMULATOR_HOST names.

Nobody can run Spanner itself, and the emulator is only available as an image. The fake serves the calls of our store.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import uuid4

import grpc
from google.cloud.spanner_admin_database_v1.types import CreateDatabaseRequest
from google.cloud.spanner_admin_instance_v1.types import CreateInstanceRequest
from google.longrunning.operations_pb2 import GetOperationRequest, Operation
from servers.database import Database, ProxySetup, Server, as_address, last_port
from servers.processes import START_LIMIT_S, ServerProcess

EMULATOR = os.environ.get("SPANNER_EMULATOR_HOST", "")
SCHEMA = Path(__file__).parents[2] / "examples" / "components" / "gcp-spanner" / "schema.sql"
PROJECT, INSTANCE = "test-project", "test-instance"

PATIENCE_S = 10.0
"""Time for the client library to end cancelled calls."""


def statements() -> list[str]:
    """The statements of the example's schema."""
    lines = [line for line in SCHEMA.read_text().splitlines() if not line.startswith("--")]
    return [statement.strip() for statement in "\n".join(lines).split(";") if statement.strip()]


@dataclass(frozen=True)
class SpannerDatabase:
    """A database with the example's schema."""

    host: str
    name: str

    @property
    def settings(self) -> dict[str, Any]:
        where = {"projectId": PROJECT, "instanceId": INSTANCE, "databaseId": self.name}
        return {**where, "emulatorHost": self.host}


class SpannerFake(ServerProcess):
    """The fake, as a process."""

    def command(self) -> Sequence[str | Path]:
        return (sys.executable, "-m", "servers.spanner_fake", str(self.port), self.folder / "spanner.db")

    def environment(self) -> Mapping[str, str]:
        return {**os.environ, "PYTHONPATH": str(Path(__file__).parents[1])}

    def answers(self) -> bool:
        with grpc.insecure_channel(self.address) as channel:
            try:
                grpc.channel_ready_future(channel).result(1)
            except grpc.FutureTimeoutError:
                return False
        return True


@contextmanager
def fake(folder: Path) -> Iterator[tuple[SpannerFake, SpannerDatabase]]:
    """Run the fake with a database in it."""
    with SpannerFake(folder) as server:
        yield server, make_database(server.address)


def make_database(host: str) -> SpannerDatabase:
    """Create a database with the example's schema and a unique name."""
    database = SpannerDatabase(host, f"test-{uuid4().hex[:12]}")
    with grpc.insecure_channel(host) as channel:
        instance = CreateInstanceRequest.meta.pb(parent=f"projects/{PROJECT}", instance_id=INSTANCE)
        instance.instance.config = f"projects/{PROJECT}/instanceConfigs/emulator-config"
        instance.instance.display_name, instance.instance.node_count = "tests", 1
        _done(channel, "google.spanner.admin.instance.v1.InstanceAdmin/CreateInstance", instance)
        made = CreateDatabaseRequest.meta.pb(
            parent=f"projects/{PROJECT}/instances/{INSTANCE}",
            create_statement=f"CREATE DATABASE `{database.name}`",
            extra_statements=statements(),
        )
        _done(channel, "google.spanner.admin.database.v1.DatabaseAdmin/CreateDatabase", made)
    return database


def _done(channel: grpc.Channel, method: str, request: Any) -> None:
    """Call, and wait until the operation is done; an existing object is fine too."""
    try:
        operation = _stub(channel, method)(request, timeout=START_LIMIT_S)
        poll = _stub(channel, "google.longrunning.Operations/GetOperation")
        while not operation.done:
            time.sleep(0.05)
            operation = poll(GetOperationRequest(name=operation.name), timeout=START_LIMIT_S)
        assert not operation.HasField("error"), operation.error.message
    except grpc.RpcError as error:
        if error.code() is not grpc.StatusCode.ALREADY_EXISTS:
            raise


def _stub(channel: grpc.Channel, method: str) -> Callable[..., Operation]:
    return channel.unary_unary(f"/{method}", lambda message: message.SerializeToString(), Operation.FromString)


@contextmanager
def _serve(folder: Path) -> Iterator[Server]:
    if EMULATOR:
        yield Server(make_database(EMULATOR).settings, "Spanner's emulator")
        return
    with fake(folder) as (_, database):
        yield Server(database.settings, "Spanner's API")


DATABASES = (
    Database(
        "gcp-spanner",
        "GCP Spanner",
        "state.gcp.spanner",
        _serve,
        made_by="emulator" if EMULATOR else "fake",
        increments=100,
        many=600,
        model_runs=10,
        largest_value=10 * 1024 * 1024,
        proxy_setup=ProxySetup(
            as_address("emulatorHost"),
            last_port("emulatorHost"),
            # A precondition is read first, by the key too.
            commit=dict.fromkeys(("set by ETag", "delete by ETag", "create"), (b"cut-me", 1)),
            impatient={"timeout": "300ms"},
            max_connections=2,
        ),
    ),
)
