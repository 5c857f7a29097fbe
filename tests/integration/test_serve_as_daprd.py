"""`pannier serve` in place of daprd: its flags, ports and signals, in a nearly empty environment."""

from __future__ import annotations

import json
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from servers.component_files import component
from servers.pannier_process import PATIENCE, Pannier, call
from servers.processes import free_port

from pannier_sidecar.cli.waiting import wait_until_ready

Serve = Callable[..., Pannier]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    path = tmp_path / "components"
    path.mkdir()
    (path / "statestore.yaml").write_text(component("statestore", "state.in-memory", {}))
    return path


@pytest.fixture
def serve(folder: Path) -> Iterator[Serve]:
    """Serve the folder: `serve(*flags, **environment)`."""
    started = []

    def start(*flags: object, **environment: str) -> Pannier:
        ports = [] if "--dapr-http-port" in flags else ["--dapr-http-port", "0"]
        metrics = [] if any("metrics" in str(flag) for flag in flags) else ["--enable-metrics=false"]
        arguments = ["serve", "--app-id", "shop", "--resources-path", folder, *ports, *metrics, *flags]
        started.append(Pannier(*arguments, environment=environment))
        return started[-1]

    yield start
    for pannier in started:
        pannier.close()


def test_it_runs_with_nothing_but_a_path_in_its_environment(serve: Serve) -> None:
    pannier = serve()
    item = json.dumps([{"key": "k", "value": "v"}])
    assert pannier.call("/v1.0/state/statestore", "POST", item) == (201, "")
    assert pannier.call("/v1.0/state/statestore/k") == (200, '"v"')


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_it_with_0(serve: Serve, number: signal.Signals) -> None:
    pannier = serve()
    pannier.port()
    pannier.send(number)
    assert pannier.end() == 0
    assert f"{number.name}: ending" in pannier.err


def test_every_flag_of_an_injected_daprd_is_taken_and_those_without_effect_are_named_once(serve: Serve) -> None:
    pannier = serve(
        *("--dapr-grpc-port", "0", "--dapr-internal-grpc-port=50002", "--dapr-listen-addresses", "[::1],127.0.0.1"),
        *("--app-protocol", "http", "--log-level", "info", "--dapr-graceful-shutdown-seconds", "-1"),
        *("--mode", "kubernetes", "--control-plane-address", "dapr-api.dapr.svc.cluster.local:443"),
        *("--sentry-address", "dapr-sentry.dapr.svc.cluster.local:443", "--app-port", "6000", "--enable-mtls"),
        *("--placement-host-address", "placement:50005", "--scheduler-host-address", ""),
        *(
            "--app-health-check-path",
            "/h",
            "--app-health-port",
            "1",
            "--app-health-probe-interval",
            "5",
            "--enable-app-health-check=false",
        ),
        *("--max-body-size", "8Mi", "--read-buffer-size", "8Ki", "--enable-profiling", "--profile-port", "7777"),
        *("--disable-builtin-k8s-secret-store", "--app-max-concurrency", "-1", "--trust-domain", "public"),
    )
    pannier.port()
    (line,) = [line for line in pannier.err.splitlines() if "no effect" in line]
    assert line.endswith(
        "flags that have no effect here: --dapr-internal-grpc-port, --control-plane-address, "
        "--sentry-address, --enable-mtls, --placement-host-address, --scheduler-host-address, "
        "--app-health-check-path, --app-health-port, --app-health-probe-interval, --enable-app-health-check, "
        "--enable-profiling, "
        "--profile-port, --disable-builtin-k8s-secret-store, --app-max-concurrency, --trust-domain"
    )


def test_a_configuration_that_nothing_delivers_prevents_the_start_because_every_call_would_be_allowed(
    serve: Serve,
) -> None:
    pannier = serve("--mode", "kubernetes", "--config", "tracing")
    assert pannier.end() == 1
    assert pannier.err.splitlines()[-1] == (
        "pannier: --config tracing: a Configuration is not read from the cluster by its name; write the path of a "
        "file, or let the operator inject the sidecar (annotation dapr.io/config)"
    )


@pytest.mark.parametrize("verb", ["daprd", "./daprd", "/daprd"])
def test_the_name_of_daprd_is_a_name_of_serve(folder: Path, verb: str) -> None:
    pannier = Pannier(
        verb, "-app-id", "shop", "-dapr-http-port", "0", "-enable-metrics=false", "-components-path", folder
    )
    assert pannier.call("/v1.0/healthz")[0] == 204
    pannier.close()


def test_the_metadata_names_app_and_components(serve: Serve) -> None:
    pannier = serve("--app-port", "6000")
    status, body = pannier.call("/v1.0/metadata")
    metadata = json.loads(body)
    assert (status, metadata["id"], metadata["runtimeVersion"]) == (200, "shop", "0.1.0")
    assert metadata["components"] == [
        {
            "name": "statestore",
            "type": "state.in-memory",
            "version": "v1",
            "capabilities": ["ETAG", "TRANSACTIONAL", "TTL", "KEYS_LIKE", "ACTOR"],
        }
    ]
    assert metadata["appConnectionProperties"]["port"] == 6000


def test_the_profile_of_dapr_answers_as_dapr_does(serve: Serve) -> None:
    pannier = serve("--profile", "dapr")
    assert pannier.call("/v1.0/state/statestore", "POST", "[]")[0] == 204


def test_a_token_is_required(serve: Serve) -> None:
    pannier = serve(DAPR_API_TOKEN="s3cret")
    assert pannier.call("/v1.0/state/statestore/k")[0] == 401
    assert pannier.call("/v1.0/state/statestore/k", **{"dapr-api-token": "s3cret"})[0] == 204
    assert pannier.call("/v1.0/healthz")[0] == 204
    assert "s3cret" not in pannier.err


def test_the_limits_are_those_of_the_flags(serve: Serve) -> None:
    pannier = serve("--max-body-size", "1Ki", "--read-buffer-size", "2Ki")
    assert pannier.call("/v1.0/state/statestore", "POST", "[" + " " * 1024 + "]")[0] == 413
    assert pannier.call("/v1.0/state/statestore/" + "k" * 2048)[0] == 431


def test_a_body_may_be_as_large_as_the_flag_says(serve: Serve) -> None:
    pannier = serve("--max-body-size", "80Mi")
    value = '"' + "x" * (70 * 2**20) + '"'
    assert pannier.call("/v1.0/state/statestore", "POST", f'[{{"key":"k","value":{value}}}]') == (201, "")
    status, found = pannier.call("/v1.0/state/statestore/k")
    assert status == 200 and found == value


def test_the_public_port_has_only_health(serve: Serve) -> None:
    port = free_port()
    pannier = serve("--dapr-public-port", port, DAPR_API_TOKEN="s3cret")
    pannier.port()
    assert call(f"http://127.0.0.1:{port}/v1.0/healthz")[0] == 204
    assert call(f"http://127.0.0.1:{port}/v1.0/metadata")[0] == 401
    assert call(f"http://127.0.0.1:{port}/v1.0/state/statestore/k")[0] in (404, 405)


def test_a_unix_socket_takes_the_place_of_the_port(serve: Serve, tmp_path: Path) -> None:
    pannier = serve("--unix-domain-socket", tmp_path)
    path = tmp_path / "dapr-shop-http.socket"
    pannier.until_says(f"serving app shop on {path}")
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(str(path))
        client.sendall(b"GET /v1.0/healthz HTTP/1.1\r\nhost: localhost\r\n\r\n")
        assert client.recv(100).startswith(b"HTTP/1.1 204 ")
    pannier.send(signal.SIGTERM)
    assert pannier.end() == 0
    assert not path.exists()


def test_a_socket_that_a_dead_process_left_is_taken_over(serve: Serve, tmp_path: Path) -> None:
    first = serve("--unix-domain-socket", tmp_path)
    first.until_says("serving app")
    first.send(signal.SIGKILL)
    first.end()
    second = serve("--unix-domain-socket", tmp_path)
    second.until_says("serving app")


def test_a_socket_that_is_served_is_not_taken(serve: Serve, tmp_path: Path) -> None:
    serve("--unix-domain-socket", tmp_path).until_says("serving app")
    second = serve("--unix-domain-socket", tmp_path)
    assert second.end() == 1
    assert "dapr-shop-http.socket is in use; stop the other program" in second.err


def test_json_logs_have_daprs_fields(serve: Serve) -> None:
    pannier = serve("--log-as-json", POD_NAME="pod-1")
    pannier.until_says("serving app")
    lines = [json.loads(line) for line in pannier.err.splitlines()]
    line = next(line for line in lines if line["msg"].startswith("serving"))
    assert {name: line[name] for name in ("level", "app_id", "instance", "scope", "type", "ver")} == {
        "level": "info",
        "app_id": "shop",
        "instance": "pod-1",
        "scope": "pannier.app",
        "type": "log",
        "ver": "0.1.0",
    }


def test_calls_are_logged_only_when_asked_for(serve: Serve) -> None:
    quiet, telling = serve(), serve("--enable-api-logging")
    for pannier in (quiet, telling):
        pannier.call("/v1.0/state/statestore/k")
    telling.until_says("HTTP API called: GET /v1.0/state/statestore/k -> 204 in ")
    assert "HTTP API called" not in quiet.err


def test_metrics_count_calls(serve: Serve) -> None:
    pannier = serve("--metrics-port", "0", NAMESPACE="red")
    pannier.call("/v1.0/state/statestore/k")
    status, page = call(f"http://127.0.0.1:{pannier.metrics_port()}/")
    assert status == 200
    assert (
        'dapr_component_state_count{app_id="shop",component="statestore",namespace="red",operation="get",'
        'success="true"} 1' in page
    )
    assert (
        'dapr_http_server_request_count{app_id="shop",method="GET",path="/v1.0/state/statestore",status="204"} 1'
        in page
    )


def test_a_trace_context_is_returned(serve: Serve) -> None:
    context = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    headers = f"host: localhost\r\ntraceparent: {context}\r\nconnection: close\r\n"
    request = f"GET /v1.0/state/statestore/k HTTP/1.1\r\n{headers}\r\n"
    with socket.create_connection(("127.0.0.1", serve().port())) as client:
        client.sendall(request.encode())
        answer = b""
        while chunk := client.recv(4096):
            answer += chunk
    assert f"traceparent: {context}".encode() in answer


def test_a_call_shuts_it_down(serve: Serve) -> None:
    pannier = serve()
    assert pannier.call("/v1.0/shutdown", "POST")[0] == 204
    assert pannier.end() == 0


def test_a_forced_shutdown_ends_with_1(serve: Serve) -> None:
    pannier = serve()
    assert pannier.call("/v1.0/shutdown", "POST", **{"dapr-force-shutdown": "true"})[0] == 204
    assert pannier.end() == 1


def test_it_continues_to_serve_for_the_configured_time(serve: Serve) -> None:
    pannier = serve("--dapr-block-shutdown-duration", "60s")
    pannier.port()
    pannier.send(signal.SIGTERM)
    pannier.until_says("serving for 60 s more before the end")
    assert pannier.call("/v1.0/healthz")[0] == 204
    pannier.send(signal.SIGTERM)
    assert pannier.end() == 143


def test_a_call_in_flight_ends_before_the_sidecar(serve: Serve) -> None:
    pannier = serve("--dapr-graceful-shutdown-seconds", "20")
    body = b'[{"key": "k", "value": "v"}]'
    with socket.create_connection(("127.0.0.1", pannier.port())) as client:
        client.sendall(
            b"POST /v1.0/state/statestore HTTP/1.1\r\nhost: localhost\r\ncontent-length: %d\r\n\r\n" % len(body)
        )
        client.sendall(body[:5])
        time.sleep(0.3)  # the header section has surely been read; if not, the test passes all the same
        pannier.send(signal.SIGTERM)
        pannier.until_says("SIGTERM: ending")
        client.sendall(body[5:])
        assert client.recv(4096).startswith(b"HTTP/1.1 201 ")
    assert pannier.end() == 0


def test_a_wrong_component_is_left_out_unless_strict(serve: Serve, folder: Path) -> None:
    (folder / "bad.yaml").write_text(component("bad", "state.memory", {}))
    pannier = serve()
    status, body = pannier.call("/v1.0/healthz?verbose")
    assert pannier.err.count("refused: ") == 1
    assert status == 200 and "there is no component type" in body
    assert "bad" not in pannier.call("/v1.0/metadata")[1]
    strict = serve("--strict")
    assert strict.end() == 1
    assert f"pannier: {folder}/bad.yaml:7: spec.type: there is no component type" in strict.err


def test_without_components_it_serves_and_says_what_is_missing() -> None:
    pannier = Pannier("serve", "--app-id", "shop", "--http-port", "0", "--enable-metrics=false")
    status, body = pannier.call("/v1.0/state/orders/k")
    assert status == 400 and "ERR_STATE_STORE_NOT_CONFIGURED" in body
    pannier.until_says("there is no component in /components yet")
    pannier.close()


def test_the_first_answer_comes_soon_and_it_stays_small(serve: Serve) -> None:
    """Bounds that every machine keeps, even a shared one; `make bench` measures precisely."""
    started = time.monotonic()
    pannier = serve()
    assert pannier.call("/v1.0/healthz")[0] == 204
    assert time.monotonic() - started < PATIENCE
    status = Path(f"/proc/{pannier.process.pid}/status").read_text()
    resident_kib = int(status.partition("VmRSS:")[2].split()[0])
    assert resident_kib < 48 * 1024


def test_many_callers_are_served_until_the_end(serve: Serve) -> None:
    pannier = serve()
    url = f"http://127.0.0.1:{pannier.port()}/v1.0/state/statestore/k"
    answers: list[int] = []
    threads = [threading.Thread(target=lambda: answers.append(call(url)[0])) for _ in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert answers == [204] * 20


@pytest.mark.parametrize("words", [["--version"], ["daprd", "--version"], ["serve", "--build-info"]])
def test_the_command_is_installed(words: list[str]) -> None:
    said = subprocess.run([sys.executable, "-m", "pannier_sidecar", *words], capture_output=True, check=True)
    assert said.stdout == b"0.1.0\n"


def test_a_start_script_can_wait_for_it(serve: Serve) -> None:
    port = free_port()
    waiting = Pannier("daprd", "--wait", "--dapr-http-port", port)
    serve("--dapr-http-port", port)
    assert waiting.end() == 0
    assert waiting.err == ""
    waiting.close()


def test_a_start_script_does_not_wait_for_ever(capsys: pytest.CaptureFixture[str]) -> None:
    port = free_port()
    assert wait_until_ready(port, patience=0) == 1
    assert capsys.readouterr().err == (
        f"pannier: no sidecar was ready at 127.0.0.1:{port} within 0 s; start one, or pass its --http-port\n"
    )
