"""The gRPC port describes itself well enough for grpcurl, which knows no message beforehand."""

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from scenarios.worlds import component, served
from servers.go_programs import grpcurl

ROOT = Path(__file__).resolve().parents[3]
SERVICES = [
    "dapr.proto.runtime.v1.Dapr",
    "grpc.health.v1.Health",
    "grpc.reflection.v1.ServerReflection",
    "grpc.reflection.v1alpha.ServerReflection",
    "pannier.v1.State",
    "spec.proto.runtime.v1.Runtime",
]


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    folder = tmp_path_factory.mktemp("reflection") / "components"
    folder.mkdir()
    (folder / "statestore.yaml").write_text(component("statestore", "state.in-memory", {}))
    with served(folder) as pannier:
        yield f"127.0.0.1:{pannier.grpc_port()}"


def curl(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([grpcurl(), "-plaintext", *arguments], capture_output=True, text=True, timeout=60)


@pytest.mark.timeout(600)  # Go may have to build it first
def test_all_services_are_listed_and_described(address: str) -> None:
    assert curl(address, "list").stdout.split() == SERVICES
    for service in SERVICES:
        described = curl(address, "describe", service)
        assert described.returncode == 0, described.stderr
        for method in curl(address, "list", service).stdout.split():
            assert curl(address, "describe", method).returncode == 0


def test_calls_are_made_from_the_description(address: str) -> None:
    states = '{"store_name": "statestore", "states": [{"key": "k", "value": "djE="}]}'
    saved = curl("-d", states, address, "dapr.proto.runtime.v1.Dapr/SaveState")
    assert (saved.returncode, saved.stdout.split()) == (0, ["{}"]), saved.stderr
    wanted = '{"store_name": "by-none", "key": "k"}'
    refused = curl("-d", wanted, address, "dapr.proto.runtime.v1.Dapr/GetState")
    assert "Code: InvalidArgument" in refused.stderr
    found = curl("-d", wanted.replace("by-none", "statestore"), address, "spec.proto.runtime.v1.Runtime/GetState")
    assert json.loads(found.stdout)["data"] == "djE="
    health = curl(address, "grpc.health.v1.Health/Check")
    assert json.loads(health.stdout) == {"status": "SERVING"}


@pytest.mark.parametrize("name", ["no.such.Thing", "dapr.proto.runtime.v1.Dapr.NoMethod"])
def test_a_missing_name_is_not_found(address: str, name: str) -> None:
    answer = curl(address, "describe", name)
    assert answer.returncode != 0
    assert "not found" in answer.stderr.lower() + answer.stdout.lower()


def test_messages_and_descriptors_are_those_of_the_proto_files() -> None:
    done = subprocess.run([sys.executable, "scripts/grpc-messages", "--check"], cwd=ROOT, capture_output=True)
    assert done.returncode == 0, done.stderr
