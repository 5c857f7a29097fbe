"""`pannier serve --profile dapr`: the messages, the log and the start are Dapr's."""

from __future__ import annotations

import json
import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import grpc
import pytest
from servers.grpc_calls import ask, outcome
from servers.grpc_protos import DAPR
from servers.pannier_process import Pannier, call

Serve = Callable[..., Pannier]

STORE = """
apiVersion: dapr.io/v1alpha1
kind: Component
metadata: {{name: {name}}}
spec: {{type: {type}, version: v1{more}}}
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "store.yaml").write_text(STORE.format(name="store", type="state.in-memory", more=""))
    return tmp_path


@pytest.fixture
def serve(folder: Path) -> Iterator[Serve]:
    started = []

    def start(profile: str = "dapr") -> Pannier:
        flags = ["--app-id", "shop", "--resources-path", folder, "--dapr-http-port", "0", "--dapr-grpc-port", "0"]
        started.append(Pannier("serve", *flags, "--metrics-port", "0", "--profile", profile))
        return started[-1]

    yield start
    for pannier in started:
        pannier.close()


def test_messages_are_daprs_and_the_advice_is_in_a_detail(serve: Serve) -> None:
    pannier = serve()
    status, body = pannier.call("/v1.0/state/other/k")
    assert (status, json.loads(body)["message"]) == (400, "state store other is not found")
    status, body = pannier.call("/v1.0/state/store", "POST", '[{"key": "a||b", "value": 1}]')
    answer = json.loads(body)
    assert (status, answer["errorCode"]) == (400, "ERR_MALFORMED_REQUEST")
    (resource,) = [each for each in answer["details"] if each["@type"].endswith("ResourceInfo")]
    assert "choose another separator" in resource["description"]


SECRETS = """
apiVersion: dapr.io/v1alpha1
kind: Component
metadata: {name: secrets}
spec: {type: secretstores.local.env, version: v1}
"""
CLAIMED = ["ETAG", "TRANSACTIONAL", "TTL", "DELETE_WITH_PREFIX", "KEYS_LIKE", "ACTOR"]


def test_the_metadata_shows_what_dapr_shows(serve: Serve, folder: Path) -> None:
    (folder / "secrets.yaml").write_text(SECRETS)
    pannier = serve()
    store = {"name": "store", "type": "state.in-memory", "version": "v1", "capabilities": CLAIMED}
    secrets = {"name": "secrets", "type": "secretstores.local.env", "version": "v1"}
    found = json.loads(pannier.call("/v1.0/metadata")[1])
    assert found["components"] == [store, secrets]
    placement = "placement: disconnected"
    assert found["actorRuntime"] == {"runtimeStatus": "DISABLED", "hostReady": False, "placement": placement}

    metadata = ask(pannier.grpc_port(), DAPR, "GetMetadata")
    assert [(each.name, list(each.capabilities)) for each in metadata.registered_components] == [
        ("store", CLAIMED),
        ("secrets", []),
    ]
    runtime = metadata.actor_runtime
    assert (runtime.runtime_status, runtime.host_ready, runtime.placement) == (1, False, placement)


def test_capabilities_that_dapr_claims_without_an_api_are_only_in_its_profile(serve: Serve) -> None:
    (component,) = json.loads(serve("spec").call("/v1.0/metadata")[1])["components"]
    assert component["capabilities"] == [word for word in CLAIMED if word != "DELETE_WITH_PREFIX"]


def test_error_codes_are_counted_under_daprs_name(serve: Serve) -> None:
    pannier = serve()
    pannier.call("/v1.0/state/other/k")
    for body in ("broken", '[{"key": "a||b"}]'):
        pannier.call("/v1.0/state/store", "POST", body)
    page = call(f"http://127.0.0.1:{pannier.metrics_port()}/metrics")[1]
    for category, code in (
        ("state", "ERR_STATE_STORE_NOT_FOUND"),
        ("common", "ERR_MALFORMED_REQUEST"),
        ("state", "ERR_MALFORMED_REQUEST"),
    ):
        line = f'dapr_error_code_total{{app_id="shop",category="{category}",error_code="{code}"}} 1'
        assert line in page.splitlines()


def test_a_call_over_grpc_that_names_no_store_is_refused(serve: Serve) -> None:
    pannier = serve()
    assert outcome(pannier.grpc_port(), DAPR, "GetState", key="k")[0] is grpc.StatusCode.INVALID_ARGUMENT
    code, text = outcome(pannier.grpc_port(), DAPR, "QueryStateAlpha1", store_name="store", query="[]")
    assert code is grpc.StatusCode.INTERNAL
    assert text.startswith("state store store query failed: failed to parse JSON query body: ")


def test_the_log_reports_a_shutdown_in_daprs_words(serve: Serve) -> None:
    pannier = serve()
    assert pannier.call("/v1.0/shutdown", "POST") == (204, "")
    assert pannier.end() == 0
    assert "Shutdown requested via API" in pannier.out
    assert "Daprd shutdown gracefully" in pannier.out


def test_a_forced_shutdown_ends_with_1(serve: Serve) -> None:
    pannier = serve()
    pannier.call("/v1.0/shutdown", "POST", **{"dapr-force-shutdown": "true"})
    assert pannier.end() == 1
    assert "Force shutdown requested" in pannier.out


def test_a_wrong_component_ends_the_start_unless_it_says_that_errors_are_ignored(serve: Serve, folder: Path) -> None:
    wrong = folder / "wrong.yaml"
    wrong.write_text(STORE.format(name="wrong", type="state.no-such", more=""))
    pannier = serve()
    assert pannier.end() == 1
    assert "there is no component type 'state.no-such'" in pannier.err

    wrong.write_text(STORE.format(name="wrong", type="state.no-such", more=", ignoreErrors: true"))
    assert serve().call("/v1.0/state/store/none") == (204, "")

    wrong.write_text(STORE.format(name="wrong", type="state.no-such", more=""))
    assert serve("spec").call("/v1.0/state/store/none") == (204, "")


@pytest.mark.parametrize("profile", ["dapr", "spec"])
def test_sighup_reads_the_components_again_and_ends_nothing(serve: Serve, folder: Path, profile: str) -> None:
    pannier = serve(profile)
    pannier.port()
    (folder / "more.yaml").write_text(STORE.format(name="more", type="state.in-memory", more=""))
    pannier.send(signal.SIGHUP)
    pannier.until_says("SIGHUP: reading the components again")
    pannier.until(lambda: pannier.call("/v1.0/state/more/none")[0] == 204, "the new store is served")
    assert pannier.process.poll() is None


def test_two_components_of_one_name_end_the_start_whatever_their_kinds(serve: Serve, folder: Path) -> None:
    (folder / "twice.yaml").write_text(SECRETS.replace("secrets}", "store}"))
    pannier = serve()
    assert pannier.end() == 1
    duplicate = "store (secretstores.local.env/v1) with existing store (state.in-memory/v1)"
    assert f"failed to load components: duplicate definition of Component name {duplicate}" in pannier.out


def test_a_component_that_becomes_wrong_is_closed_or_ends_the_sidecar(serve: Serve, folder: Path) -> None:
    pannier = serve()
    assert pannier.call("/v1.0/state/store/none") == (204, "")
    (folder / "store.yaml").write_text(STORE.format(name="store", type="state.sqlite", more=", ignoreErrors: true"))
    failed = "[INIT_COMPONENT_FAILURE]: initialization error occurred for store (state.sqlite/v1): "
    pannier.until_says(f"Ignoring error processing component: process component store error: {failed}{failed}missing")
    pannier.until(lambda: pannier.call("/v1.0/state/store/none")[0] == 500, "the store is no longer served")
    error = json.loads(pannier.call("/v1.0/state/store/none")[1])
    assert (error["errorCode"], error["message"]) == (
        "ERR_STATE_STORE_NOT_CONFIGURED",
        "state store store is not configured",
    )
    assert error["details"][0]["reason"] == "DAPR_STATE_NOT_CONFIGURED"

    (folder / "store.yaml").write_text(STORE.format(name="store", type="state.in-memory", more=""))
    pannier.until(lambda: pannier.call("/v1.0/state/store/none")[0] == 204, "the store is served again")
    (folder / "store.yaml").write_text(STORE.format(name="store", type="state.sqlite", more=""))
    pannier.until_says("daprd will exit gracefully: process component store error: ")
    assert pannier.end() == 1


def test_a_component_that_becomes_wrong_ends_nothing_in_profile_spec(serve: Serve, folder: Path) -> None:
    pannier = serve("spec")
    assert pannier.call("/v1.0/state/store/none") == (204, "")
    (folder / "store.yaml").write_text(STORE.format(name="store", type="state.no-such", more=""))
    pannier.until_says("refused: ")
    assert pannier.call("/v1.0/state/store/none") == (204, "")
