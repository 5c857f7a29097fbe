"""Attacks of a page in a browser on the same machine: writing, stopping the sidecar, and reading by DNS rebinding."""

from __future__ import annotations

from http.client import HTTPException

import grpc
import pytest
from hostile.browsers.conftest import Laptop, ask
from hostile.conftest import Promise
from servers.grpc_protos import DAPR, message

SITE = "https://evil.example"
SAVE = "/v1.0/state/statestore"
WRITES = [
    ("POST", SAVE, b'[{"key": "k", "value": 1}]'),
    ("PUT", SAVE, b'[{"key": "k", "value": 1}]'),
    ("POST", SAVE + "/transaction", b'{"operations": [{"operation": "upsert", "request": {"key": "k"}}]}'),
    ("DELETE", SAVE + "/k", None),
    ("PUT", "/v1.0/metadata/a", b"b"),
    ("POST", "/v1.0/shutdown", None),
]
READS = [SAVE + "/k", "/v1.0-alpha1/state/statestore/keys", "/v1.0/metadata", "/v1.0/healthz?verbose", "/openapi.json"]
SIMPLE_TYPES = ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x"]
REBOUND = ["evil.example", "evil.example:{port}", "localhost.evil.example:{port}", "127.0.0.1.evil.example", "10.0.0.1"]


@pytest.mark.parametrize(
    "origin", [SITE, "null", "http://localhost:5173", "chrome-extension://abc", "http://127.0.0.1"]
)
def test_no_page_writes_or_stops_a_sidecar(laptop: Laptop, promise: Promise, origin: str) -> None:
    refused = 0
    for content_type in SIMPLE_TYPES:
        for method, target, body in WRITES:
            answer = ask(laptop.api, method, target, body, Origin=origin, Content_Type=content_type)
            assert (answer.status, answer.json["errorCode"]) == (403, "ERR_ORIGIN_NOT_ALLOWED")
            assert "--allowed-origins" in answer.json["message"]
            assert "access-control-allow-origin" not in answer.headers
            refused += 1
    assert ask(laptop.api, "GET", SAVE + "/k").status == 204
    assert ask(laptop.api, "GET", "/v1.0/healthz").status == 204
    promise(
        "A page of another site neither writes state nor stops the sidecar",
        on="the HTTP API",
        fault="cross-site requests that a browser sends without a preflight",
        times=refused,
        counted=f"{refused} requests refused; 0 keys written",
    )


@pytest.mark.parametrize("host", REBOUND)
def test_no_site_reads_by_pointing_its_name_at_the_sidecar(laptop: Laptop, promise: Promise, host: str) -> None:
    refused = 0
    for port in laptop.http_ports:
        for target in [*READS, "/", "/metrics"]:
            answer = ask(port, "GET", target, Host=host.format(port=port))
            assert (answer.status, answer.json["errorCode"]) == (403, "ERR_HOST_NOT_ALLOWED")
            assert "--allowed-hosts" in answer.json["message"] and b"\n" not in answer.body
            refused += 1
    promise(
        "A website whose DNS name points to the sidecar cannot read its answers",
        on="the HTTP API, the public port, the metrics port",
        fault="requests with another host (DNS rebinding)",
        times=refused,
        counted=f"{refused} requests refused; 0 answered",
    )


@pytest.mark.parametrize("port", ["api", "public", "metrics"])
def test_no_page_reads_any_port(laptop: Laptop, port: str) -> None:
    for target in [*READS, "/"]:
        answer = ask(getattr(laptop, port), "GET", target, Origin=SITE)
        assert (answer.status, answer.json["errorCode"]) == (403, "ERR_ORIGIN_NOT_ALLOWED")


def test_a_request_target_with_a_host_of_its_own_is_judged_by_that(laptop: Laptop) -> None:
    assert ask(laptop.api, "GET", f"http://evil.example{SAVE}/k").status == 403
    assert ask(laptop.api, "GET", f"http://localhost:{laptop.api}{SAVE}/k").status == 204
    assert ask(laptop.api, "GET", f"http://localhost:{laptop.api}{SAVE}/k", Host="evil.example").status == 204


def test_a_preflight_of_another_site_is_refused(laptop: Laptop) -> None:
    answer = ask(laptop.api, "OPTIONS", SAVE, Origin=SITE, Access_Control_Request_Method="POST")
    assert answer.status == 403
    assert not [name for name in answer.headers if name.startswith("access-control")]


@pytest.mark.parametrize("content_type", ["application/grpc", "application/grpc-web", "application/grpc-web-text"])
def test_the_grpc_port_does_not_speak_with_browsers(laptop: Laptop, content_type: str) -> None:
    port = laptop.pannier.grpc_port()
    with pytest.raises((OSError, HTTPException)):  # browsers would send HTTP/1.1
        ask(port, "POST", "/dapr.proto.runtime.v1.Dapr/Shutdown", b"\0\0\0\0\0", Content_Type=content_type)
    assert ask(laptop.api, "GET", "/v1.0/healthz").status == 204


@pytest.mark.parametrize(
    ("authority", "metadata", "flag"),
    [("evil.example", (), "--allowed-hosts"), ("localhost", (("origin", SITE),), "--allowed-origins")],
)
def test_grpc_calls_for_another_host_or_of_a_page_are_refused(
    laptop: Laptop, authority: str, metadata: tuple[tuple[str, str], ...], flag: str
) -> None:
    options = [("grpc.default_authority", authority)]
    with grpc.insecure_channel(f"127.0.0.1:{laptop.pannier.grpc_port()}", options=options) as channel:
        call = channel.unary_unary(
            f"/{DAPR}/GetMetadata",
            request_serializer=lambda sent: sent.SerializeToString(),
            response_deserializer=bytes,
        )
        with pytest.raises(grpc.RpcError) as refused:
            call(message("google.protobuf.Empty")(), metadata=metadata, timeout=30)
    assert refused.value.code() is grpc.StatusCode.PERMISSION_DENIED
    assert flag in refused.value.details()


# --- clients that are not affected ------------------------------------------------------------------------------------


@pytest.mark.parametrize("host", ["localhost:{port}", "LOCALHOST", "127.0.0.1:{port}", "[::1]:{port}", "app.localhost"])
def test_clients_that_call_the_machine_notice_nothing(laptop: Laptop, host: str) -> None:
    for port, target in zip(laptop.http_ports, ["/v1.0/healthz", "/v1.0/healthz", "/"], strict=True):
        assert ask(port, "GET", target, Host=host.format(port=port)).status in (200, 204)


def test_the_pages_of_the_sidecar_itself_may_use_it(laptop: Laptop) -> None:
    own = f"http://localhost:{laptop.api}"
    assert ask(laptop.api, "GET", SAVE + "/own", Origin=own, Host=own.removeprefix("http://")).status == 204


def test_pages_that_are_allowed_are_told_so(opened: Laptop) -> None:
    for origin in ("http://localhost:5173", "https://shop.example.com"):
        asked = ask(
            opened.api,
            "OPTIONS",
            SAVE,
            Origin=origin,
            Access_Control_Request_Method="POST",
            Access_Control_Request_Headers="content-type,dapr-api-token",
            Access_Control_Request_Private_Network="true",
        )
        assert (asked.status, asked.body) == (204, b"")
        assert asked.headers["access-control-allow-origin"] == origin
        assert {"GET", "POST", "PUT", "DELETE"} <= {*asked.headers["access-control-allow-methods"].split(", ")}
        assert asked.headers["access-control-allow-headers"] == "content-type,dapr-api-token"
        assert asked.headers["access-control-allow-private-network"] == "true"
        assert asked.headers["vary"].startswith("origin, ")
        saved = ask(opened.api, "POST", SAVE, b'[{"key": "page", "value": 1}]', Origin=origin)
        assert (saved.status, saved.headers["access-control-allow-origin"]) == (201, origin)
        found = ask(opened.api, "GET", SAVE + "/page", Origin=origin)
        assert (found.status, found.headers["access-control-allow-origin"], found.headers["vary"]) == (
            200,
            origin,
            "origin",
        )
        assert "etag" in found.headers["access-control-expose-headers"]
    assert ask(opened.api, "POST", SAVE, b"[]", Origin=SITE).status == 403
    plain = ask(opened.api, "GET", SAVE + "/page")
    assert not [name for name in plain.headers if name.startswith("access-control")]


def test_a_name_that_is_allowed_is_answered(opened: Laptop) -> None:
    assert ask(opened.api, "GET", "/v1.0/healthz", Host="state.example.com").status == 204
    assert ask(opened.api, "GET", "/v1.0/healthz", Host="other.example.com").status == 403
