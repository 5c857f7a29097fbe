"""What a sidecar reports about itself, who may ask, and how it is stopped."""

import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from scenarios.http_client import HttpClient, path
from scenarios.worlds import component, served
from servers.pannier_process import Pannier
from servers.processes import free_port

TOKEN = "sesame"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("guarded") / "components"
    folder.mkdir()
    (folder / "statestore.yaml").write_text(component("statestore", "state.in-memory", {}))
    (folder / "_version").write_text("7f3a\nk3y\n")
    return folder


@pytest.fixture(scope="module")
def public_port() -> int:
    return free_port()


@pytest.fixture(scope="module")
def guarded(folder: Path, public_port: int) -> Iterator[HttpClient]:
    """A sidecar that requires a token and has a public port."""
    flags = ("--public-port", str(public_port), "--public-listen-address", "127.0.0.1")
    with served(folder, *flags, DAPR_API_TOKEN=TOKEN) as pannier:
        client = HttpClient(pannier.port())
        pannier.until(lambda: client.call("GET", "/v1.0/healthz").status == 204, "health")
        yield client
        client.close()


@pytest.fixture(scope="module")
def public(guarded: HttpClient, public_port: int) -> Iterator[HttpClient]:
    client = HttpClient(public_port)
    yield client
    client.close()


@pytest.mark.parametrize("target", ["/v1.0/state/statestore/k", "/v1.0/metadata", "/openapi.json", "/nowhere"])
def test_without_the_token_nothing_is_shown(guarded: HttpClient, target: str, subtests: pytest.Subtests) -> None:
    for headers in ({}, {"dapr_api_token": ""}, {"dapr_api_token": "Sesame"}, {"dapr_api_token": "ü"}):
        with subtests.test(headers=headers):
            answer = guarded.call("GET", target, **headers)
            assert (answer.status, answer.body) == (401, b"invalid api token\n")
            assert answer.headers["content-type"].startswith("text/plain")


def test_without_the_token_nothing_is_done(guarded: HttpClient) -> None:
    assert guarded.call("POST", path("statestore"), '[{"key": "k"}]').status == 401
    assert guarded.call("POST", "/v1.0/shutdown").status == 401
    assert guarded.call("GET", path("statestore", "k"), dapr_api_token=TOKEN).status == 204


@pytest.mark.parametrize("target", ["/v1.0/healthz", "/v1.0/healthz/outbound"])
def test_health_needs_no_token(guarded: HttpClient, target: str) -> None:
    assert guarded.call("GET", target).status == 204


@pytest.mark.parametrize("where", ["guarded", "public"])
@pytest.mark.parametrize("headers", [{}, {"dapr_api_token": "Sesame"}, {"pannier_status_key": "other"}])
def test_without_the_token_health_says_only_readiness_and_the_folders_version(
    request: pytest.FixtureRequest, where: str, headers: dict[str, str]
) -> None:
    client: HttpClient = request.getfixturevalue(where)
    answer = client.call("GET", "/v1.0/healthz?verbose", **headers)
    assert (answer.status, answer.json) == (200, {"ready": True, "componentsVersion": "7f3a"})
    other = client.call("GET", "/v1.0/healthz?appid=other", **headers)
    assert (other.status, other.json["message"]) == (500, "dapr app-id does not match")


@pytest.mark.parametrize("where", ["guarded", "public"])
@pytest.mark.parametrize("headers", [{"dapr_api_token": TOKEN}, {"pannier_status_key": "k3y"}])
def test_with_the_token_or_the_status_key_health_lists_each_store(
    request: pytest.FixtureRequest, where: str, headers: dict[str, str]
) -> None:
    client: HttpClient = request.getfixturevalue(where)
    answer = client.call("GET", "/v1.0/healthz?verbose", **headers)
    assert (answer.status, answer.json["componentsVersion"]) == (200, "7f3a")
    assert answer.json["stores"]["statestore"]["state"] == "ready"


def test_the_public_port_has_only_health_and_with_the_token_metadata(public: HttpClient) -> None:
    for target in ("/v1.0/healthz", "/v1.0/healthz/outbound"):
        assert public.call("GET", target).status == 204
    refused = public.call("GET", "/v1.0/metadata")
    assert (refused.status, refused.json["errorCode"]) == (401, "ERR_API_TOKEN_NEEDED")
    assert public.call("GET", "/v1.0/metadata", dapr_api_token=TOKEN).json["id"] == "shop"
    for method, target in (("GET", path("statestore", "k")), ("POST", path("statestore")), ("POST", "/v1.0/shutdown")):
        assert public.call(method, target, b"[]").status in (404, 405)


@pytest.mark.parametrize("target", ["/v1.0/metadata/%zz", "/v1.0/metadata/%ff"])
def test_the_public_port_refuses_a_broken_path(public: HttpClient, target: str) -> None:
    assert public.call("PUT", target, b"x").status == 400


def test_metadata_describe_the_sidecar(http: HttpClient) -> None:
    answer = http.call("GET", "/v1.0/metadata")
    assert (answer.status, answer.headers["content-type"]) == (200, "application/json")
    described = answer.json
    assert (described["id"], described["extended"]["daprRuntimeVersion"]) == ("shop", described["runtimeVersion"])
    components = {component["name"]: component for component in described["components"]}
    assert components["statestore"]["type"] == "state.in-memory"
    assert {"ETAG", "TRANSACTIONAL", "TTL", "ACTOR"} <= set(components["statestore"]["capabilities"])
    assert "private" not in components


def test_an_app_may_add_to_the_metadata(http: HttpClient) -> None:
    assert http.call("PUT", "/v1.0/metadata/colour%20of%20day", "blü").status == 204
    assert http.call("GET", "/v1.0/metadata").json["extended"]["colour of day"] == "blü"
    assert http.call("PUT", "/v1.0/metadata/colour", b"\xff").status == 400


def test_health_can_be_reported_store_by_store(http: HttpClient) -> None:
    answer = http.call("GET", "/v1.0/healthz?verbose")
    assert answer.status == 200
    assert answer.json["ready"] is True
    stores = answer.json["stores"]
    assert stores["statestore"]["state"] == "ready"
    assert stores["away"]["state"] != "ready"
    assert stores["away"]["why"]


def test_health_of_another_app_is_not_reported(http: HttpClient) -> None:
    assert http.call("GET", "/v1.0/healthz?appid=shop").status == 204
    answer = http.call("GET", "/v1.0/healthz?appid=other")
    assert (answer.status, answer.json["errorCode"]) == (500, "ERR_HEALTH_APPID_NOT_MATCH")
    assert answer.json["message"] == "dapr app-id does not match; this is the sidecar of app 'shop'"


def test_the_api_describes_itself(http: HttpClient) -> None:
    document = http.call("GET", "/openapi.json")
    assert document.status == 200
    assert "/v1.0/state/{store}/{key}" in document.json["paths"]
    page = http.call("GET", "/docs")
    assert (page.status, page.headers["content-type"]) == (200, "text/html; charset=utf-8")
    assert b"<html" in page.body and b"/openapi.json" in page.body
    assert b"<td><code>/v1.0/state/{store}/{key}</code></td>" in page.body, "also without the internet"


@pytest.mark.parametrize(("headers", "code"), [({}, 0), ({"dapr_force_shutdown": "true"}, 1)])
def test_a_sidecar_stops_on_request(folder: Path, headers: dict[str, str], code: int) -> None:
    flags = ("--http-port", "0", "--enable-metrics=false")
    pannier = Pannier("serve", "--app-id", "shop", "--components", folder, *flags)
    try:
        client = HttpClient(pannier.port())
        deadline = time.monotonic() + 30
        while client.call("GET", "/v1.0/healthz").status != 204:
            assert time.monotonic() < deadline
        assert client.call("POST", "/v1.0/shutdown", **headers).status == 204
        client.close()
        assert pannier.end() == code, pannier.err
    finally:
        pannier.close()


@pytest.mark.parametrize("target", ["//docs", "/docs/", "/./docs", "/x/../docs", "//openapi.json", "/openapi.json/"])
def test_daprs_spellings_of_a_path_lead_to_the_documentation_too(dapr: HttpClient, target: str) -> None:
    assert dapr.call("GET", target).status == 200
