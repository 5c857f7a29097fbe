"""A Configuration of `--config` on real sidecars: what it allows and denies, and what changes while they serve."""

from __future__ import annotations

import http.client
import json
import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import grpc
import pytest
import yaml
from servers.component_files import component
from servers.grpc_calls import ask, outcome, unary
from servers.grpc_protos import DAPR
from servers.pannier_process import PATIENCE, Pannier

LAYOTTO = "spec.proto.runtime.v1.Runtime"
OWN = "pannier.v1.State"
CANARY = "s3cret-canary"
STATE = "/v1.0/state/statestore"


class Place:
    """A components folder, a file with a Configuration, and sidecars with both."""

    def __init__(self, folder: Path):
        self.folder = folder
        self.components = folder / "components"
        self.components.mkdir()
        self.file = folder / "config.yaml"
        self.started: list[Pannier] = []
        self.component("statestore", "state.in-memory")

    def component(self, name: str, kind: str, **settings: str) -> None:
        (self.components / f"{name}.yaml").write_text(component(name, kind, settings))

    def configure(self, **spec: Any) -> None:
        """Write the Configuration: another file is moved into place, as careful writers do."""
        head = {"apiVersion": "dapr.io/v1alpha1", "kind": "Configuration", "metadata": {"name": "c"}}
        new = self.file.with_suffix(".new")
        new.write_text(yaml.safe_dump({**head, "spec": spec}))
        os.replace(new, self.file)

    def start(self, *flags: object, environment: dict[str, str] | None = None) -> Pannier:
        ports = ("--http-port", 0, "--grpc-port", 0, "--metrics-port", 0)
        every = ("--app-id", "shop", "--components", self.components, *ports, "--config", self.file, *flags)
        self.started.append(Pannier("serve", *every, environment=environment))
        return self.started[-1]


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    place = Place(tmp_path)
    yield place
    for pannier in place.started:
        pannier.close()


def rules(*names: str, version: str = "v1") -> list[dict[str, str]]:
    """Rules for both protocols."""
    return [{"name": name, "version": version, "protocol": protocol} for name in names for protocol in ("http", "grpc")]


def until(holds: Callable[[], object]) -> None:
    deadline = time.monotonic() + PATIENCE
    while not holds():
        assert time.monotonic() < deadline, "it was not true in time"
        time.sleep(0.01)


CHANGED = "the Configuration has changed and is in effect"


def reconfigure(place: Place, pannier: Pannier, **spec: Any) -> None:
    """Write another Configuration, and wait until it is in effect."""

    def seen() -> int:
        return (pannier.out + pannier.err).count(CHANGED)  # profile dapr logs to standard output, as daprd does

    before = seen()
    place.configure(**spec)
    pannier.until(lambda: seen() > before, CHANGED)


CALLS = {
    "state": [("GET", f"{STATE}/k"), ("POST", STATE), ("DELETE", f"{STATE}/k"), ("POST", f"{STATE}/bulk")],
    "additions": [("GET", "/v1.0-alpha1/state/statestore/keys"), ("POST", "/v1.0-alpha1/state/statestore/query")],
    "actors": [("GET", "/v1.0/actors/a/1/state/k")],
    "secrets": [("GET", "/v1.0/secrets/env/KEY"), ("GET", "/v1.0/secrets/env/bulk")],
    "metadata": [("GET", "/v1.0/metadata"), ("PUT", "/v1.0/metadata/a")],
    "healthz": [("GET", "/v1.0/healthz"), ("GET", "/v1.0/healthz/outbound")],
}
METHODS = {
    "state": [(DAPR, "GetState"), (DAPR, "SaveState"), (DAPR, "ExecuteStateTransaction"), (LAYOTTO, "GetState")],
    "additions": [(OWN, "ListKeys"), (DAPR, "QueryStateAlpha1")],
    "actors": [(DAPR, "GetActorState")],
    "secrets": [(DAPR, "GetSecret"), (DAPR, "GetBulkSecret")],
    "metadata": [(DAPR, "GetMetadata"), (DAPR, "SetMetadata")],
    "healthz": [],
}


def refused_over_http(pannier: Pannier, profile: str) -> set[str]:
    """The groups of calls that are refused; in each, all of them are or none."""
    found = set()
    for group, calls in CALLS.items():
        answers = [pannier.call(path, method, "[]" if method == "POST" else "") for method, path in calls]
        code = "ERR_API_NOT_ALLOWED" if profile == "spec" else "ERR_DIRECT_INVOKE"
        refused = {(status, json.loads(body)["errorCode"]) for status, body in answers if code in body}
        assert refused <= {(403 if profile == "spec" else 404, code)}
        assert len([body for _, body in answers if code in body]) in (0, len(calls)), group
        found |= {group} if refused else set()
    return found


def refused_over_grpc(pannier: Pannier, profile: str) -> set[str]:
    found = set()
    for group, methods in METHODS.items():
        answers = [outcome(pannier.grpc_port(), service, method) for service, method in methods]
        wanted = (grpc.StatusCode.PERMISSION_DENIED, "is not allowed over gRPC")
        if profile == "dapr":
            wanted = (grpc.StatusCode.UNIMPLEMENTED, "Not Implemented")
        refused = [code for code, said in answers if code is wanted[0] and wanted[1] in said]
        assert len(refused) in (0, len(methods)), group
        found |= {group} if refused else set()
    return found


EVERY = set(CALLS) - {"healthz"}


@pytest.mark.parametrize("profile", ["spec", "dapr"])
def test_lists_of_apis_hold_over_both_front_ends(place: Place, profile: str, subtests: pytest.Subtests) -> None:
    place.component("env", "secretstores.local.env")
    place.configure()
    pannier = place.start("--profile", profile, environment={"KEY": CANARY})
    everything = rules("state", "actors", "secrets", "metadata")
    assert refused_over_http(pannier, profile) == refused_over_grpc(pannier, profile) == set()
    for api, refused in (
        ({"denied": rules("secrets", "metadata")}, {"secrets", "metadata"}),
        ({"allowed": rules("actors")}, EVERY - {"actors"}),
        ({"allowed": everything + rules("state", version="v1alpha1"), "denied": rules("actors")}, {"actors"}),
        ({"allowed": everything}, {"additions"}),
        ({"allowed": rules("conversation")}, EVERY),
        ({}, set()),
    ):
        with subtests.test(str(api)):
            reconfigure(place, pannier, api=api)
            assert refused_over_http(pannier, profile) == refused_over_grpc(pannier, profile) == refused
            assert ask(pannier.grpc_port(), "grpc.health.v1.Health", "Check").status == 1


def test_a_rule_without_protocol_is_for_both_and_for_none_in_profile_dapr(place: Place) -> None:
    place.configure(api={"denied": [{"name": "secrets", "version": "v1"}]})
    pannier = place.start()
    assert refused_over_http(pannier, "spec") == refused_over_grpc(pannier, "spec") == {"secrets"}
    assert "spec.api.denied[0].protocol: is missing" in pannier.err
    exact = place.start("--profile", "dapr")
    assert refused_over_http(exact, "dapr") == refused_over_grpc(exact, "dapr") == set()


def test_calls_that_took_the_fast_path_are_refused_from_the_change_on(place: Place) -> None:
    """One connection of each front end, which has remembered the header fields of earlier calls."""
    place.configure()
    pannier = place.start()
    headers = {"Content-Type": "application/json"}
    with (
        closing(http.client.HTTPConnection("127.0.0.1", pannier.port(), timeout=PATIENCE)) as connection,
        grpc.insecure_channel(f"127.0.0.1:{pannier.grpc_port()}") as channel,
    ):
        request, get = unary(channel, DAPR, "GetState")

        def statuses() -> tuple[int, int, grpc.StatusCode]:
            found = []
            for method, path, body in (("GET", f"{STATE}/k", None), ("POST", STATE, '[{"key": "k", "value": 1}]')):
                connection.request(method, path, body, headers)
                answer = connection.getresponse()
                answer.read()
                found.append(answer.status)
            try:
                get(request(store_name="statestore", key="k"), timeout=PATIENCE)
            except grpc.RpcError as error:
                return found[0], found[1], error.code()
            return found[0], found[1], grpc.StatusCode.OK

        served = (200, 201, grpc.StatusCode.OK)
        for _ in range(5):
            assert statuses()[1:] == served[1:]
        place.configure(api={"denied": rules("state")})
        until(lambda: statuses() == (403, 403, grpc.StatusCode.PERMISSION_DENIED))
        place.configure(api={"denied": [{"name": "state", "version": "v1", "protocol": "grpc"}]})
        until(lambda: statuses() == (200, 201, grpc.StatusCode.PERMISSION_DENIED))
        place.configure()
        until(lambda: statuses() == served)


def test_a_change_that_is_wrong_leaves_what_was_in_effect(place: Place) -> None:
    place.configure(api={"denied": rules("metadata")})
    pannier = place.start()
    assert pannier.call("/v1.0/metadata")[0] == 403
    place.configure(api={"denied": rules("metdata")})
    pannier.until_says("config.yaml:8: spec.api.denied[0].name: 'metdata' is no API; write 'metadata'")
    pannier.until_says("the Configuration stays as it was, until it is corrected")
    assert pannier.call("/v1.0/metadata")[0] == 403
    reconfigure(place, pannier)
    assert pannier.call("/v1.0/metadata")[0] == 200


def test_secrets_are_read_as_the_scopes_allow(place: Place) -> None:
    place.component("env", "secretstores.local.env")
    place.component("other", "secretstores.local.env")
    place.configure(secrets={"scopes": [{"storeName": "env", "defaultAccess": "deny", "allowedSecrets": ["A"]}]})
    pannier = place.start(environment={"A": "1", "B": CANARY})
    port = pannier.grpc_port()
    assert pannier.call("/v1.0/secrets/env/A") == (200, '{"A":"1"}')
    for name in ("B", "NOT_THERE"):  # nobody learns which secrets there are
        status, body = pannier.call(f"/v1.0/secrets/env/{name}")
        assert (status, json.loads(body)["errorCode"]) == (403, "ERR_PERMISSION_DENIED")
        said = f'access denied by policy to get "{name}" from "env"'
        assert json.loads(body)["message"].startswith(said)
        code, message = outcome(port, DAPR, "GetSecret", store_name="env", key=name)
        assert code is grpc.StatusCode.PERMISSION_DENIED and message.startswith(said)
    assert pannier.call("/v1.0/secrets/env/bulk") == (200, '{"A":{"A":"1"}}')
    assert list(ask(port, DAPR, "GetBulkSecret", store_name="env").data) == ["A"]
    assert CANARY in pannier.call("/v1.0/secrets/other/B")[1]
    place.configure(secrets={"scopes": [{"storeName": "env", "deniedSecrets": ["A"]}]})
    until(lambda: pannier.call("/v1.0/secrets/env/A")[0] == 403)
    assert pannier.call("/v1.0/secrets/env/B") == (200, json.dumps({"B": CANARY}, separators=(",", ":")))
    assert CANARY not in pannier.err


def test_denied_components_are_not_used_and_come_back(place: Place) -> None:
    place.component("files", "state.sqlite", connectionString=str(place.folder / "files.db"))
    place.component("env", "secretstores.local.env")
    place.configure(components={"deny": ["state.sqlite/v1", "secretstores.local.env"]})
    pannier = place.start()
    status, body = pannier.call("/v1.0/state/files/k")
    assert status == 400 and "spec.components.deny of the Configuration forbids 'state.sqlite'" in body
    assert [each["name"] for each in metadata(pannier)["components"]] == ["statestore"]
    assert "files is not used: it exists, but spec.components.deny" in pannier.err
    place.configure()
    until(lambda: pannier.call("/v1.0/state/files/k")[0] == 204)
    assert len(metadata(pannier)["components"]) == 3
    place.configure(components={"deny": ["state.sqlite"]})
    until(lambda: pannier.call("/v1.0/state/files/k")[0] == 400)


def metadata(pannier: Pannier) -> dict[str, Any]:
    return dict(json.loads(pannier.call("/v1.0/metadata")[1]))


def test_features_are_in_the_metadata_and_without_hot_reload_nothing_changes(place: Place) -> None:
    place.configure(features=[{"name": "ActorStateTTL", "enabled": True}, {"name": "HotReload", "enabled": False}])
    pannier = place.start()
    assert metadata(pannier)["enabledFeatures"] == ["ActorStateTTL"]
    assert list(ask(pannier.grpc_port(), DAPR, "GetMetadata").enabled_features) == ["ActorStateTTL"]
    place.component("more", "state.in-memory")
    place.configure(api={"denied": rules("metadata")})
    other = place.start()  # it reads the same files later, so by then the first one would have noticed
    assert other.call("/v1.0/metadata")[0] == 403
    time.sleep(1.5)
    assert [each["name"] for each in metadata(pannier)["components"]] == ["statestore"]
    pannier.process.send_signal(1)  # SIGHUP reads the components again
    until(lambda: len(metadata(pannier)["components"]) == 2)


def test_calls_are_logged_as_the_configuration_says(place: Place) -> None:
    place.configure(logging={"apiLogging": {"enabled": True}})
    pannier = place.start()
    pannier.call(f"{STATE}/a-key")
    pannier.until_says(f"HTTP API called: GET {STATE}/a-key -> 204 in ")
    hides = {"enabled": True, "obfuscateURLs": True, "omitHealthChecks": True}
    reconfigure(place, pannier, logging={"apiLogging": hides})
    pannier.call("/v1.0/healthz")
    pannier.call(f"{STATE}/hidden-key")
    pannier.call("/nowhere/hidden-key")
    ask(pannier.grpc_port(), "grpc.health.v1.Health", "Check")
    ask(pannier.grpc_port(), DAPR, "GetState", store_name="statestore", key="k")
    for said in ("called: GetState -> 204 in ", "called: other -> 404 in ", f"gRPC API called: /{DAPR}/GetState -> OK"):
        pannier.until_says(said)
    reconfigure(place, pannier)
    pannier.call(f"{STATE}/hidden-key")
    quiet = place.start("--enable-api-logging=false")
    quiet.port()
    reconfigure(place, quiet, logging={"apiLogging": {"enabled": True}})
    quiet.call(f"{STATE}/a-key")
    assert "called: " not in quiet.err
    assert "hidden-key" not in pannier.err and "ealth" not in pannier.err.lower()


class Collector:
    """Takes whatever is posted to it."""

    def __init__(self) -> None:
        self.paths: list[str] = []
        self.keys: list[str | None] = []
        self.got = b""
        collector = self

        class Take(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                collector.got += self.rfile.read(int(self.headers["content-length"]))
                collector.paths.append(self.path)
                collector.keys.append(self.headers["x-api-key"])
                self.send_response(202)
                self.end_headers()

            def log_message(self, format: str, *arguments: object) -> None:
                pass

        self.server = HTTPServer(("127.0.0.1", 0), Take)
        self.address = f"127.0.0.1:{self.server.server_port}"
        self.thread = threading.Thread(target=self.server.serve_forever)
        self.thread.start()

    def close(self) -> None:
        self.server.shutdown()
        self.thread.join()
        self.server.server_close()


def test_traces_go_where_the_configuration_says_and_elsewhere_after_a_change(place: Place) -> None:
    with closing(Collector()) as zipkin, closing(Collector()) as otel:
        named = {"endpointAddress": f"http://{zipkin.address}/api/v2/spans"}
        place.configure(tracing={"samplingRate": "1", "zipkin": named})
        pannier = place.start(environment={"OTEL_BSP_SCHEDULE_DELAY": "100"})
        assert pannier.call(f"{STATE}/first-key")[0] == 204
        pannier.until(lambda: b"first-key" in zipkin.got)
        collector = {"endpointAddress": otel.address, "protocol": "http", "isSecure": False}
        reconfigure(place, pannier, tracing={"samplingRate": "1", "otel": collector})

        def reaches_the_collector() -> bool:
            assert pannier.call(f"{STATE}/second-key")[0] == 204
            ask(pannier.grpc_port(), DAPR, "GetState", store_name="statestore", key="k")
            return bool(otel.got)

        pannier.until(reaches_the_collector)
        assert otel.paths[0] == "/v1/traces"
        assert "third-key" not in pannier.out + pannier.err
        reconfigure(place, pannier, tracing={"samplingRate": "1", "stdout": True})

        def is_logged() -> bool:
            assert pannier.call(f"{STATE}/third-key")[0] == 204
            return f"[{STATE}/third-key] Trace: " in pannier.out + pannier.err

        pannier.until(is_logged)
        reconfigure(place, pannier, tracing={"samplingRate": "0", "otel": collector})
        context = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
        # Without spans the caller's own context comes back.
        pannier.until(lambda: traceparent(pannier, context) == context)
        pannier.process.terminate()
        assert pannier.end() == 0


def test_in_a_pod_a_header_comes_from_the_delivered_secrets_and_follows_them(place: Place) -> None:
    secrets = place.components / "_kubernetes-secrets"
    secrets.write_text(json.dumps({"collector": {"token": "first"}}))
    with closing(Collector()) as otel:
        header = {"name": "X-Api-Key", "secretKeyRef": {"name": "collector", "key": "token"}}
        collector = {"endpointAddress": otel.address, "protocol": "http", "isSecure": False, "headers": [header]}
        place.configure(tracing={"samplingRate": "1", "otel": collector})
        pannier = place.start("--mode", "kubernetes", environment={"OTEL_BSP_SCHEDULE_DELAY": "100"})

        def sends(key: str) -> bool:
            assert pannier.call(f"{STATE}/k")[0] == 204
            return key in otel.keys

        pannier.until(lambda: sends("first"))
        secrets.write_text(json.dumps({"collector": {"token": "second"}}))
        pannier.until(lambda: sends("second"))
        answer = json.loads(pannier.call("/v1.0/healthz?verbose")[1])
        assert answer["configurations"] == {"c": {"state": "ready", "why": "", "generation": ""}}
        pannier.process.terminate()
        assert pannier.end() == 0


def traceparent(pannier: Pannier, context: str) -> str | None:
    with closing(http.client.HTTPConnection("127.0.0.1", pannier.port(), timeout=PATIENCE)) as connection:
        connection.request("GET", f"{STATE}/last-key", headers={"traceparent": context})
        return connection.getresponse().getheader("traceparent")


def page_of(pannier: Pannier) -> str:
    with closing(http.client.HTTPConnection("127.0.0.1", pannier.metrics_port(), timeout=PATIENCE)) as connection:
        connection.request("GET", "/")
        return connection.getresponse().read().decode()


COUNTED = 'dapr_http_server_request_count{app_id="shop",method="GET",path="%s",status="204"} %d\n'


def test_labels_of_metrics_change_while_calls_are_counted(place: Place) -> None:
    place.configure(metrics={"latencyDistributionBuckets": [1000, 2000]})
    pannier = place.start()
    assert pannier.call(f"{STATE}/k")[0] == 204
    page = page_of(pannier)
    assert f'path="{STATE}",status="204",le="2000"' in page and 'le="500"' not in page
    reconfigure(place, pannier, metrics={"http": {"increasedCardinality": False}})
    pannier.until(lambda: STATE not in page_of(pannier))  # a page may be a tenth of a second old
    assert COUNTED % ("", 1) in page_of(pannier)


def test_patterns_of_paths_are_labels_of_what_is_counted_from_then_on(place: Place) -> None:
    place.configure()
    pannier = place.start()
    keys, total = f"{STATE.replace('statestore', '{store}')}/{{key}}", f"{STATE}/total"
    with closing(http.client.HTTPConnection("127.0.0.1", pannier.port(), timeout=PATIENCE)) as connection:

        def get(*names: str) -> None:
            for name in names:
                connection.request("GET", f"{STATE}/{name}")
                assert connection.getresponse().read() == b""

        get("a", "b", "total")  # from the second on, they take the fast path
        reconfigure(place, pannier, metrics={"http": {"pathMatching": [keys]}})
        get("c", "d", "total")
        reconfigure(place, pannier, metrics={"http": {"pathMatching": [keys, total]}})
        get("e", "total", "total")
        wanted = [COUNTED % (STATE, 3), COUNTED % (keys, 4), COUNTED % (total, 2)]
        pannier.until(lambda: all(line in page_of(pannier) for line in wanted))
        reconfigure(place, pannier, metrics={"http": {"pathMatching": [total], "increasedCardinality": False}})
        pannier.until(lambda: COUNTED % ("", 7) in page_of(pannier))
    assert COUNTED % (total, 2) in page_of(pannier)


def test_metrics_may_be_switched_off(place: Place) -> None:
    place.configure(metrics={"enabled": False})
    pannier = place.start()
    pannier.grpc_port()
    assert pannier.call(f"{STATE}/k")[0] == 204
    assert "metrics on" not in pannier.err


@pytest.mark.parametrize("verb", ["serve", "run"])
def test_a_wrong_file_refuses_the_start_in_one_line(place: Place, verb: str, subtests: pytest.Subtests) -> None:
    good = place.folder / "good.yaml"
    place.configure()
    place.file.rename(good)
    place.file.write_text(
        "apiVersion: dapr.io/v1alpha1\nkind: Configuration\nspec: {tracing: {samplingRate: $TOKEN}}\n"
    )
    for name, said in (
        ("none.yaml", "none.yaml: there is no such file; correct --config"),
        ("config.yaml", "config.yaml:3: what a variable was replaced by (TOKEN) can't be used here"),
        ("components", "components:1: cannot be read: is a directory"),
    ):
        with subtests.test(name):
            flags = ("--app-id", "shop", "--components", place.components, "--http-port", 0)
            config = ("--config", good, "--config", place.folder / name)
            pannier = Pannier(verb, *flags, *config, environment={"TOKEN": CANARY, "HOME": str(place.folder)})
            place.started.append(pannier)
            assert pannier.end() == 1
            (line,) = pannier.err.splitlines()
            assert line.startswith("pannier: ") and said in line and CANARY not in line


def test_check_judges_the_file_beside_the_components(place: Place) -> None:
    place.configure(api={"allowed": [{"name": "state", "version": "v1"}]}, mtls={"enabled": True})
    place.file.rename(place.components / "config.yaml")

    def checked(*paths: object) -> tuple[int, list[str]]:
        pannier = Pannier("check", *paths, environment={"RATE": "1"})
        place.started.append(pannier)
        return pannier.end(), pannier.out.splitlines()

    code, lines = checked(place.components)
    assert code == 0 and lines[-1] == "2 components fine, 0 errors, 2 warnings"
    assert any("config.yaml:10: warning: spec.mtls: has no effect here" in line for line in lines)
    place.configure(tracing={"samplingRate": "${RATE}"}, api={"allowed": [{"name": "state", "version": "1"}]})
    code, lines = checked(place.file)
    assert code == 1 and lines == [
        f"{place.file}:9: error: spec.api.allowed[0].version: '1' is no version of an API; write v1 or v1alpha1",
        "0 components fine, 1 error, 0 warnings",
    ]


def test_a_run_file_s_configuration_takes_effect(place: Place) -> None:
    place.configure(features=[{"name": "${FEATURE}", "enabled": True}])
    (place.folder / "shop").mkdir()
    run_file = place.folder / "dapr.yaml"
    run_file.write_text(
        json.dumps(
            {
                "version": 1,
                "common": {"configFilePath": "config.yaml", "resourcesPath": "components"},
                "apps": [{"appDirPath": "shop", "daprdLogDestination": "console"}],
            }
        )
    )
    environment = {"FEATURE": "ActorStateTTL", "HOME": str(place.folder), "XDG_DATA_HOME": str(place.folder)}
    runner = Pannier("run", "-f", run_file, environment=environment)
    place.started.append(runner)
    assert metadata(runner)["enabledFeatures"] == ["ActorStateTTL"]
    assert "without effect" not in runner.out + runner.err
    runner.process.terminate()
    runner.end()
