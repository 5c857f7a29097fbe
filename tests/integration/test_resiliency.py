"""A Resiliency beside the components: timeouts, retries and breakers on a real Redis that is slow or cut off."""

from __future__ import annotations

import json
import signal
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import grpc
import pytest
import yaml
from servers.component_files import component
from servers.grpc_calls import ask, outcome, unary
from servers.pannier_process import PATIENCE, Pannier
from servers.redis_server import RedisServer, single
from servers.threaded_proxy import ThreadedProxy

DAPR = "dapr.proto.runtime.v1.Dapr"


@pytest.fixture(scope="module")
def redis(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    with single(tmp_path_factory.mktemp("redis")) as server:
        yield server


@pytest.fixture
def proxy(redis: RedisServer) -> Iterator[ThreadedProxy]:
    with ThreadedProxy(redis.port) as between:
        yield between


def resiliency(scopes: list[str] | None = None, **policies: Any) -> str:
    """The file of a Resiliency whose policies, one of each sort at most, are for the store `orders`."""
    sections = {"timeout": "timeouts", "retry": "retries", "circuitBreaker": "circuitBreakers"}
    manifest: dict[str, Any] = {
        "apiVersion": "dapr.io/v1alpha1",
        "kind": "Resiliency",
        "metadata": {"name": "brownout"},
        "spec": {
            "policies": {sections[sort]: {"p": policy} for sort, policy in policies.items()},
            "targets": {"components": {"orders": {"outbound": dict.fromkeys(policies, "p")}}},
        },
    }
    return yaml.safe_dump({**manifest, **({"scopes": scopes} if scopes else {})})


@pytest.fixture
def serve(tmp_path: Path, proxy: ThreadedProxy) -> Callable[..., Any]:
    """Serve the store `orders` through the proxy, with policies."""
    folder = tmp_path / "components"
    folder.mkdir()
    # A long timeout of its own, and no retries: what the tests see comes from the policies.
    settings = {"redisHost": proxy.address, "readTimeout": "60s", "dialTimeout": "200ms", "redisMaxRetries": "0"}
    store = component("orders", "state.redis", settings)

    @contextmanager
    def serving(*flags: object, **policies: Any) -> Iterator[Pannier]:
        # The Resiliency is the second document of the component's file: Dapr would not see it there.
        (folder / "orders.yaml").write_text(store + "---\n" + resiliency(**policies))
        ports = ("--http-port", 0, "--grpc-port", 0, "--metrics-port", 0)
        pannier = Pannier("serve", "--app-id", "shop", "--components", folder, *ports, *flags)
        try:
            pannier.until_says("store orders (state.redis/v1) is ready")
            yield pannier
        finally:
            pannier.close()

    return serving


def save(pannier: Pannier, key: str, **item: object) -> tuple[int, str]:
    return pannier.call("/v1.0/state/orders", "POST", json.dumps([{"key": key, "value": 1, **item}]))


def read(pannier: Pannier, key: str) -> tuple[int, str, str]:
    """Status, body and Retry-After of a get."""
    url = f"http://127.0.0.1:{pannier.port()}/v1.0/state/orders/{key}"
    try:
        with urllib.request.urlopen(url, timeout=PATIENCE) as answer:
            return answer.status, answer.read().decode(), ""
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read().decode(), error.headers.get("Retry-After", "")


def metrics(pannier: Pannier, name: str) -> dict[str, float]:
    """The samples of a metric by their labels."""
    with urllib.request.urlopen(f"http://127.0.0.1:{pannier.metrics_port()}/", timeout=PATIENCE) as page:
        lines = page.read().decode().splitlines()
    samples = (line.removeprefix(name).rsplit(" ", 1) for line in lines if line.startswith(name + "{"))
    return {labels: float(value) for labels, value in samples}


def labels(policy: str, status: str = "") -> str:
    shown = f'status="{status}",' if status else ""
    origin = 'app_id="shop",flow_direction="outbound",name="brownout"'
    return f'{{{origin},policy="{policy}",{shown}target="Statestore_orders"}}'


def test_a_slow_store_runs_into_the_timeout(serve: Any, proxy: ThreadedProxy) -> None:
    with serve(timeout="300ms") as pannier:
        assert save(pannier, "k")[0] < 300
        proxy.go_away("silent")
        status, body, retry_after = read(pannier, "k")
        assert (status, retry_after) == (503, "1")
        assert "it did not answer within 300ms, its timeout" in body
        status, body = save(pannier, "k")
        assert status == 500 and json.loads(body)["errorCode"] == "ERR_STATE_OUTCOME_UNKNOWN"
        assert outcome(pannier.grpc_port(), DAPR, "GetState", store_name="orders", key="k")[0] is (
            grpc.StatusCode.UNAVAILABLE
        )
        activated = metrics(pannier, "dapr_resiliency_activations_total")
        assert activated[labels("timeout")] == 3
        assert metrics(pannier, "dapr_resiliency_loaded") == {'{app_id="shop",name="brownout"}': 1}


def test_retries_bridge_an_outage(serve: Any, proxy: ThreadedProxy) -> None:
    with serve(retry={"duration": "50ms"}) as pannier:
        assert save(pannier, "k")[0] < 300
        pannier.grpc_port()
        proxy.go_away("refused")
        answers: list[object] = []
        calls = [
            lambda: answers.append(read(pannier, "k")[0] == 200),
            lambda: answers.append(save(pannier, "other")[0] < 300),
            lambda: answers.append(
                outcome(pannier.grpc_port(), DAPR, "DeleteState", store_name="orders", key="other")[0]
                is grpc.StatusCode.OK
            ),
        ]
        threads = [threading.Thread(target=call) for call in calls]
        for thread in threads:
            thread.start()
        pannier.until(lambda: metrics(pannier, "dapr_resiliency_activations_total").get(labels("retry"), 0) >= 3)
        pannier.until_says("calls fail at once until it answers")  # the sidecar's own breaker: retries outlast it
        assert not answers
        proxy.come_back()
        for thread in threads:
            thread.join(PATIENCE)
        assert answers == [True] * 3
        pannier.until_says("store orders: calls succeed again")


def test_retries_without_a_limit_end_with_the_deadline_of_the_client(serve: Any, proxy: ThreadedProxy) -> None:
    with (
        serve(retry={"duration": "20ms"}, timeout="10s") as pannier,
        grpc.insecure_channel(f"127.0.0.1:{pannier.grpc_port()}") as channel,
    ):
        proxy.go_away("refused")
        request, call = unary(channel, DAPR, "GetState")
        with pytest.raises(grpc.RpcError) as ended:
            call(request(store_name="orders", key="k"), timeout=1.0)
        assert ended.value.code() is grpc.StatusCode.DEADLINE_EXCEEDED  # type: ignore[attr-defined]

        def attempts() -> float:
            return metrics(pannier, "dapr_resiliency_count")[labels("timeout")]

        def has_ended() -> bool:
            before = attempts()
            time.sleep(0.3)
            return attempts() == before

        pannier.until(has_ended, "an end of the attempts")


def test_a_request_s_own_retry_policy_goes_before(serve: Any, proxy: ThreadedProxy) -> None:
    with serve(retry={"duration": "1h"}, timeout="10s") as pannier:
        proxy.go_away("refused")
        own = {"retryPolicy": {"interval": 1, "threshold": 2, "pattern": "linear"}}
        assert save(pannier, "k", options=own)[0] == 503
        assert metrics(pannier, "dapr_resiliency_count")[labels("timeout")] == 3
        assert labels("retry") not in metrics(pannier, "dapr_resiliency_count")


BREAKER = {"maxRequests": 1, "timeout": "1s", "trip": "consecutiveFailures >= 2"}


def test_an_open_breaker_answers_at_once_and_closes_when_the_store_is_back(serve: Any, proxy: ThreadedProxy) -> None:
    with serve(timeout="200ms", circuitBreaker={**BREAKER, "timeout": "30s"}) as pannier:
        assert save(pannier, "k")[0] < 300
        proxy.go_away("silent")
        assert [read(pannier, "k")[0] for _ in range(2)] == [503, 503]
        status, body, retry_after = read(pannier, "k")
        assert status == 503 and 1 < int(retry_after) <= 30
        assert "its circuit breaker is open, because too many calls failed" in body
        code, said = outcome(pannier.grpc_port(), DAPR, "GetState", store_name="orders", key="k")
        assert code is grpc.StatusCode.UNAVAILABLE and "its circuit breaker is open" in said
        assert metrics(pannier, "dapr_resiliency_cb_state") == {
            labels("circuitbreaker", state): float(state == "open")
            for state in ("closed", "half-open", "open", "unknown")
        }
    proxy.come_back()
    with serve(timeout="200ms", circuitBreaker=BREAKER) as pannier:
        proxy.go_away("silent")
        pannier.until(lambda: "its circuit breaker is open" in read(pannier, "k")[1])
        proxy.come_back()
        pannier.until(lambda: read(pannier, "k")[0] == 200, "a closed breaker")
        pannier.until_says("its circuit breaker p is closed")


def test_profile_dapr_has_dapr_s_words(serve: Any, proxy: ThreadedProxy) -> None:
    with serve("--profile", "dapr", timeout="200ms", circuitBreaker=BREAKER | {"timeout": "60s"}) as pannier:
        proxy.go_away("silent")
        begin = "fail to get k from state store orders: "
        for said in ("context deadline exceeded", "context deadline exceeded", "circuit breaker is open"):
            status, body, _ = read(pannier, "k")
            assert (status, json.loads(body)) == (500, {"errorCode": "ERR_STATE_GET", "message": begin + said})
        code, said = outcome(pannier.grpc_port(), DAPR, "GetState", store_name="orders", key="k")
        assert (code, said) == (grpc.StatusCode.INTERNAL, begin + "circuit breaker is open")


def test_policies_change_while_calls_go_on(serve: Any, tmp_path: Path) -> None:
    file = tmp_path / "components" / "policies.yaml"

    def put(text: str) -> None:
        fresh = file.with_name(".policies")
        fresh.write_text(text)
        fresh.replace(file)

    with serve(timeout="10s") as pannier:
        statuses: list[int] = []
        ended = threading.Event()

        def keep_calling() -> None:
            while not ended.is_set():
                statuses.append(save(pannier, "k")[0])

        caller = threading.Thread(target=keep_calling)
        caller.start()
        try:
            for n in range(1, 5):  # its name is the same, so the later file's policies count
                put(resiliency(timeout=f"{n}0s", circuitBreaker={"interval": f"{n}s"}))
                pannier.until(lambda n=n: sum(metrics(pannier, "dapr_resiliency_loaded").values()) == n + 1)  # type: ignore[misc]
            pannier.until(lambda: metrics(pannier, "dapr_resiliency_cb_state"))
            assert pannier.err.count("resiliency brownout is in effect") == 5
            assert json.loads(pannier.call("/v1.0/metadata")[1])["resiliencies"] == [{"name": "brownout"}]
            described = ask(pannier.grpc_port(), DAPR, "GetMetadata")
            assert [each.name for each in described.resiliencies] == ["brownout"]
            put(resiliency(timeout="1 s"))
            pannier.until_says("policies.yaml:8: spec.policies.timeouts.p: '1 s' is not a duration")
            assert metrics(pannier, "dapr_resiliency_cb_state")  # the earlier version stays
            state = json.loads(pannier.call("/v1.0/healthz?verbose")[1])["resiliencies"]["brownout"]
            assert state["state"] == "ready"
            assert state["why"].startswith("its latest version is refused: spec.policies.timeouts.p: '1 s' is not a ")
            put(resiliency(scopes=["another"], timeout="5s"))
            pannier.until(lambda: not metrics(pannier, "dapr_resiliency_cb_state"))
        finally:
            ended.set()
            caller.join(PATIENCE)
        assert statuses and all(status < 300 for status in statuses)


def test_check_and_run_refuse_in_the_same_words(tmp_path: Path) -> None:
    text = resiliency(timeout="5s").replace("timeout: p", "timeout: politely").replace("p: 5s", "polite: 5s")
    file = tmp_path / "policies.yaml"
    file.write_text(component("orders", "state.in-memory", {}) + "---\n" + text)
    wrong = (
        f"{file}:22: %sspec.targets.components.orders.outbound.timeout: there is no policy 'politely'; write 'polite'"
    )
    for arguments, expected in (
        (("check", file), [wrong % "error: ", "1 component fine, 1 error, 0 warnings"]),
        (("run", "--app-id", "shop", "--components", tmp_path, "--", "true"), ["pannier: " + wrong % ""]),
    ):
        pannier = Pannier(*arguments)
        try:
            assert pannier.end() == 1
            assert (pannier.out + pannier.err).splitlines() == expected
        finally:
            pannier.close()


def test_retries_without_a_limit_do_not_outlast_the_sidecar(serve: Any, proxy: ThreadedProxy) -> None:
    with serve("--dapr-graceful-shutdown-seconds", 1, retry={"duration": "1h", "policy": "exponential"}) as pannier:
        proxy.go_away("refused")
        call = threading.Thread(target=lambda: pytest.raises(OSError, read, pannier, "k"))
        call.start()
        pannier.until(lambda: metrics(pannier, "dapr_resiliency_activations_total").get(labels("retry")))
        pannier.send(signal.SIGTERM)
        assert pannier.end() == 0
        call.join(PATIENCE)
        assert "Traceback" not in pannier.err and "never retrieved" not in pannier.err
