"""The Secrets API: an app reads secrets of the secret stores that it sees, over HTTP and over gRPC."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import grpc
import pytest
from scenarios.http_client import HttpClient
from servers.grpc_calls import ask, outcome
from servers.grpc_protos import DAPR
from servers.pannier_process import Pannier, call

Serve = Callable[..., Pannier]
CANARY = "s3cret-canary"
STORE = """
apiVersion: dapr.io/v1alpha1
kind: Component
metadata: {{name: {name}}}
spec:
  type: {type}
  version: v1
  metadata: {metadata}
scopes: {scopes}
"""


def component(name: str, kind: str, scopes: str = "[]", **metadata: str) -> str:
    items = [{"name": name, "value": value} for name, value in metadata.items()]
    return STORE.format(name=name, type=kind, metadata=json.dumps(items), scopes=scopes)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "components"
    folder.mkdir()
    (folder / "env.yaml").write_text(component("env", "secretstores.local.env", prefix="SHOP_"))
    secrets = tmp_path / "secrets.json"
    secrets.write_text(json.dumps({"redis": {"password": CANARY, "ports": [1, 2]}, "plain": f"{CANARY} ü"}))
    for name, more in (("flat", {}), ("several", {"multiValued": "true"})):
        made = component(name, "secretstores.local.file", secretsFile=str(secrets), **more)
        (folder / f"{name}.yaml").write_text(made)
    (folder / "other.yaml").write_text(component("other", "secretstores.local.env", "[cart]"))
    return folder


@pytest.fixture
def serve(folder: Path) -> Iterator[Serve]:
    started = []

    def start(profile: str = "spec", **environment: str) -> Pannier:
        flags = ["--app-id", "shop", "--resources-path", folder, "--dapr-http-port", "0", "--dapr-grpc-port", "0"]
        flags += ["--metrics-port", "0", "--log-level", "debug", "--enable-api-logging", "--profile", profile]
        given = {"SHOP_KEY": CANARY, "SHOP_EMPTY": "", **environment}
        started.append(Pannier("serve", *flags, environment=given))
        return started[-1]

    yield start
    for pannier in started:
        pannier.close()


SECRETS = [
    ("env", "KEY", {"KEY": CANARY}),
    ("env", "EMPTY", {"EMPTY": ""}),
    ("flat", "redis:password", {"redis:password": CANARY}),
    ("several", "redis", {"password": CANARY, "ports:0": "1", "ports:1": "2"}),
    ("several", "plain", {"plain": f"{CANARY} ü"}),
]
ALL = {
    "env": {"KEY": {"KEY": CANARY}, "EMPTY": {"EMPTY": ""}},
    "several": {"redis": SECRETS[3][2], "plain": SECRETS[4][2]},
}


def test_secrets_are_read_over_both_front_ends_and_are_seen_nowhere_else(serve: Serve, subtests) -> None:
    pannier = serve()
    port = pannier.grpc_port()
    for store, name, expected in SECRETS:
        with subtests.test(f"{store} {name}"):
            status, body = pannier.call(f"/v1.0/secrets/{store}/{name}?metadata.version_id=1")
            assert (status, json.loads(body)) == (200, expected)
            assert dict(ask(port, DAPR, "GetSecret", store_name=store, key=name).data) == expected
    for store, all_of_it in ALL.items():
        with subtests.test(store):
            status, body = pannier.call(f"/v1.0/secrets/{store}/bulk")
            assert (status, json.loads(body)) == (200, all_of_it)
            found = ask(port, DAPR, "GetBulkSecret", store_name=store).data
            assert {name: dict(each.secrets) for name, each in found.items()} == all_of_it
    page = call(f"http://127.0.0.1:{pannier.metrics_port()}/metrics")[1]
    assert 'dapr_component_secret_count{app_id="shop",component="env",namespace="",operation="bulk_get"' in page
    said = page + pannier.call("/v1.0/metadata")[1] + pannier.call("/v1.0/healthz?verbose")[1]
    pannier.process.terminate()
    pannier.end()
    assert CANARY not in said + pannier.out + pannier.err


REFUSED = [
    ("env", "NOTHING", 404, 500, grpc.StatusCode.NOT_FOUND, "failed getting secret with key NOTHING from secret store"),
    ("env", "X", 404, 500, grpc.StatusCode.NOT_FOUND, "failed getting secret with key X from secret store env"),
    (
        "flat",
        "plain:x",
        404,
        500,
        grpc.StatusCode.NOT_FOUND,
        "failed getting secret with key plain:x from secret store",
    ),
    ("nothing", "KEY", 400, 401, grpc.StatusCode.INVALID_ARGUMENT, "failed finding secret store with key nothing"),
    ("other", "KEY", 400, 401, grpc.StatusCode.INVALID_ARGUMENT, "failed finding secret store with key other"),
    ("kubernetes", "x", 400, 401, grpc.StatusCode.INVALID_ARGUMENT, "failed finding secret store with key kubernetes"),
]


def test_what_is_not_there_is_answered_in_words(serve: Serve, subtests) -> None:
    spec, dapr = serve(), serve("dapr")
    for store, name, status, in_dapr, code, message in REFUSED:
        with subtests.test(f"{store} {name}"):
            found, body = spec.call(f"/v1.0/secrets/{store}/{name}")
            assert (found, json.loads(body)["message"][: len(message)]) == (status, message)
            refused = outcome(spec.grpc_port(), DAPR, "GetSecret", store_name=store, key=name)
            assert (refused[0], refused[1][: len(message)]) == (code, message)
            found, body = dapr.call(f"/v1.0/secrets/{store}/{name}")
            if store == "env":  # as Dapr's store of this type
                assert (found, json.loads(body)) == (200, {name: ""})
            else:
                answer = json.loads(body)
                assert (found, answer["message"][: len(message)]) == (in_dapr, message)
                assert "details" not in answer
                assert (status == 404) == answer["message"].endswith(f": secret {name} not found")
    client = HttpClient(dapr.port())
    advice = client.call("GET", "/v1.0/secrets/nothing/KEY").headers["pannier-advice"]
    client.close()
    assert advice == "write 'env', 'flat' or 'several'"


def test_the_sidecars_own_variables_are_kept_back(serve: Serve, folder: Path) -> None:
    (folder / "env.yaml").write_text(component("env", "secretstores.local.env"))
    pannier = serve(DAPR_API_TOKEN="t0ken", APP_API_TOKEN="t0ken2")
    assert pannier.call("/v1.0/secrets/env/bulk")[0] == 401
    assert outcome(pannier.grpc_port(), DAPR, "GetBulkSecret", store_name="env")[0] is grpc.StatusCode.UNAUTHENTICATED
    token = {"dapr-api-token": "t0ken"}
    status, body = pannier.call("/v1.0/secrets/env/bulk", **token)
    assert status == 200 and "SHOP_KEY" in json.loads(body) and "t0ken" not in body
    for name in ("DAPR_API_TOKEN", "dapr_api_token", "APP_API_TOKEN"):
        status, body = pannier.call(f"/v1.0/secrets/env/{name}", **token)
        assert status == 404 and "t0ken" not in body


def test_a_file_is_read_at_each_call_and_without_stores_there_are_no_secrets(serve: Serve, folder: Path) -> None:
    pannier = serve("dapr")
    secrets = folder.parent / "secrets.json"
    secrets.write_text('{"redis": {"password": "new"}}')
    assert json.loads(pannier.call("/v1.0/secrets/several/redis")[1]) == {"password": "new"}
    secrets.write_text('{"redis": {"password": "new"')
    status, body = pannier.call("/v1.0/secrets/several/redis")
    assert (status, json.loads(body)["errorCode"]) == (500, "ERR_SECRET_GET")
    assert "is no JSON" in body
    for each in folder.iterdir():
        each.unlink()
    alone = serve("dapr")
    status, body = alone.call("/v1.0/secrets/several/redis")
    answer = json.loads(body)
    assert status == 500
    assert answer == {"errorCode": "ERR_SECRET_STORES_NOT_CONFIGURED", "message": "secret store is not configured"}
    refused = outcome(alone.grpc_port(), DAPR, "GetBulkSecret", store_name="env")
    assert refused == (grpc.StatusCode.FAILED_PRECONDITION, "secret store is not configured")
