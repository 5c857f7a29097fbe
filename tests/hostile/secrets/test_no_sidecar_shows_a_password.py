"""A sidecar whose components have a password in every field: it is in no log, answer, metric, process or output."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import grpc
import pytest
import yaml
from hostile.conftest import Promise
from hostile.effort import Effort
from hostile.secrets.canaries import CANARY, WAYS, leaks, manifest, mutated, reference
from servers.grpc_calls import unary
from servers.grpc_protos import DAPR, LAYOTTO
from servers.pannier_process import PATIENCE, Pannier, call

from pannier_crds.catalogue import ComponentType, known_types

SECRETS = {
    "apiVersion": "dapr.io/v1alpha1",
    "kind": "Component",
    "metadata": {"name": "vault", "namespace": "shop"},
    "spec": {"type": "secretstores.local.file", "version": "v1"},
}
STORES = [kind for kind in known_types() if kind.is_state_store]


def written(kind: ComponentType, folder: Path, effort: Effort) -> list[str]:
    """Write components of a type, one for each field, way and source, and return their names."""
    ways = list(WAYS)
    count = effort.times(1, 6)
    secrets: dict[str, str] = {"BARE": CANARY}
    names: list[str] = []
    for number, field in enumerate(kind.fields):
        chosen = [ways[(number * count + each) % len(ways)] for each in range(count)]
        sources: list[Any] = [reference("BARE"), *([CANARY] if field.sensitive else [])]
        for way in chosen:
            secrets[f"WAY-{ways.index(way)}"] = mutated(way)
            sources += [mutated(way), reference(f"WAY-{ways.index(way)}")]
        for source in sources:
            name = f"store-{len(names)}"
            made = {**manifest(kind, name, {field.name: source}), "auth": {"secretStore": "vault"}}
            (folder / f"{name}.yaml").write_text(yaml.safe_dump(made))
            names.append(name)
    vault = folder.parent / "secrets.json"
    vault.write_text(json.dumps(secrets))
    spec = {**SECRETS["spec"], "metadata": [{"name": "secretsFile", "value": str(vault)}]}  # type: ignore[dict-item]
    (folder / "vault.yaml").write_text(yaml.safe_dump({**SECRETS, "spec": spec}))
    return names


@pytest.mark.timeout(600)
@pytest.mark.parametrize("kind", STORES, ids=lambda kind: f"{kind.name}-{kind.versions[0]}")
def test_all_that_a_sidecar_says(kind: ComponentType, tmp_path: Path, effort: Effort, promise: Promise) -> None:
    folder = tmp_path / "components"
    folder.mkdir()
    names = written(kind, folder, effort)
    said: list[str] = []
    sidecar = Pannier(
        "serve", "--app-id", "shop", "--dapr-http-port", "0", "--dapr-grpc-port", "0", "--metrics-port", "0",
        "--log-level", "debug", "--enable-api-logging", "--resources-path", folder,
        environment={"HOME": str(tmp_path), "NAMESPACE": "shop", "DAPR_HTTP_PORT": ""},
        folder=tmp_path,
    )  # fmt: skip
    try:
        for name in names:
            said.append(str(sidecar.call(f"/v1.0/state/{name}/k")))
            said.append(str(sidecar.call(f"/v1.0/state/{name}", "POST", '[{"key": "k", "value": 1}]')))
        said += said_over_grpc(sidecar.grpc_port(), names)
        for path in ("/v1.0/healthz?verbose", "/v1.0/metadata", "/v1.0/nothing", "/v1.0/state"):
            said.append(str(sidecar.call(path)))
        said.append(str(call(f"http://127.0.0.1:{sidecar.metrics_port()}/metrics")))
        process = Path("/proc") / str(sidecar.process.pid)
        said += [(process / "cmdline").read_text(), (process / "environ").read_text()]
    finally:
        sidecar.process.terminate()
        sidecar.end()
        sidecar.close()
    said += [sidecar.out, sidecar.err]
    said += outputs_of("check", folder, folder=tmp_path)
    for name in names[:: max(1, len(names) // 5)]:
        said += outputs_of("export", "--app-id", "shop", "--from", folder / f"{name}.yaml", folder=tmp_path)
    for text in said:
        assert not leaks(text), lines_with(text)
    promise(
        "No password in any field appears in logs, answers, metrics, process lists, or the output of check and export",
        on=f"{kind.title}, sidecar and command line, level debug",
        fault="a password as a value and from a secret, alone or in forms that the field does not accept",
        times=len(names),
        counted=f"{len(names)} components; {sum(map(len, said)) // 1024:,} KiB read; 0 fragments of it found",
    )


def said_over_grpc(port: int, names: list[str]) -> list[str]:
    """Return all answers of Dapr's and Layotto's services about these stores, with their statuses' details."""
    said = []
    with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
        for name in names:
            for service in (DAPR, LAYOTTO):
                said.append(said_to(channel, service, "GetState", store_name=name, key="k"))
            said.append(said_to(channel, DAPR, "SaveState", store_name=name, states=[{"key": "k", "value": b"1"}]))
        said.append(said_to(channel, DAPR, "GetMetadata"))
    assert "registered_components" in said[-1]
    return said


def said_to(channel: grpc.Channel, service: str, method: str, **fields: object) -> str:
    request, ask = unary(channel, service, method)
    try:
        answer, call = ask.with_call(request(**fields), timeout=PATIENCE, wait_for_ready=True)
    except grpc.RpcError as error:
        metadata = [*(error.initial_metadata() or ()), *(error.trailing_metadata() or ())]
        assert error.code() is not grpc.StatusCode.DEADLINE_EXCEEDED
        return f"{error.code()} {error.details()} {metadata}"
    return f"{answer} {call.initial_metadata()} {call.trailing_metadata()}"


def outputs_of(*arguments: object, folder: Path) -> list[str]:
    command = Pannier(*arguments, environment={"HOME": str(folder)}, folder=folder)
    try:
        command.end()
        return [command.out, command.err]
    finally:
        command.close()


def lines_with(text: str) -> str:
    return "\n".join(line[:600] for line in text.splitlines() if leaks(line))[:3000]
