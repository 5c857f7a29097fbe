"""Every pod that asks for a sidecar gets one, whoever creates it; the sidecar is up before the app, and ends with
it.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from cluster.manifests import SAVE_AND_READ, SLEEP, bare_pod, component, deployment, job
from cluster.release import get, get_one

if TYPE_CHECKING:
    from cluster.user import User


def test_an_app_that_calls_at_once_is_served_and_named_after_its_deployment(user: User) -> None:
    user.apply(component(), deployment("orders", f"{SAVE_AND_READ}\n{SLEEP}"))
    user.deployed("orders")

    pod = user.pod("orders")
    assert pod["metadata"]["labels"]["dapr.io/app-id"] == "orders"
    assert [each["name"] for each in pod["spec"]["initContainers"]] == ["daprd"]
    assert [each["restartCount"] for each in pod["status"]["containerStatuses"]] == [0]
    user.until(lambda: user.kubectl("logs", "deploy/orders", "-c", "app").strip() == '"hello"', "it has read its key")


def test_a_job_ends(user: User) -> None:
    user.apply(component(), job("import", SAVE_AND_READ))

    user.kubectl("wait", "--for=condition=Complete", "job/import", "--timeout=120s")
    assert user.kubectl("logs", "job/import", "-c", "app").strip() == '"hello"'


def test_a_pod_without_an_owner_is_named_after_itself(user: User) -> None:
    user.apply(component(), bare_pod("alone"))

    user.kubectl("wait", "--for=condition=Ready", "pod/alone", "--timeout=120s")
    assert get_one(user.cluster, "pod", user.namespace, "alone")["metadata"]["labels"]["dapr.io/app-id"] == "alone"
    assert get_one(user.cluster, "secret", user.namespace, "alone-pannier")


def test_the_first_pod_waits_for_its_components(user: User) -> None:
    """Created before any Component, it gets an empty Secret; with a Component, it has the store from its first call."""
    user.apply(deployment("early"))
    user.deployed("early")

    assert user.call("early", "statestore/none")[0] in (400, 500)
    user.apply(component())
    user.until(lambda: user.call("early", "statestore/none")[0] == 204, "the store is live")


@pytest.mark.parametrize(
    ("annotations", "warning"),
    [
        ({"dapr.io/aap-id": "x"}, "annotation dapr.io/aap-id"),
        (
            {"dapr.io/log-level": "loud"},
            "annotation dapr.io/log-level: 'loud' has no effect; write debug, info, warn, error or fatal",
        ),
    ],
    ids=["misspelt", "malformed"],
)
def test_a_doubtful_annotation_gives_a_warning(user: User, annotations: dict[str, str], warning: str) -> None:
    done = user.tries("apply", "--dry-run=server", "-f", "-", input=bare_pod("odd", annotations=annotations))

    assert done.returncode == 0
    assert f"Warning: {warning}" in done.stderr


@pytest.mark.parametrize(
    ("annotations", "refusal"),
    [
        ({"dapr.io/app-id": "Orders"}, "app id 'Orders' is not a DNS name; write lower-case letters, digits and '-'"),
        (
            {"dapr.io/metrics-port": "3501"},
            "annotation dapr.io/metrics-port: 3501 is another port of the sidecar; write one that is free",
        ),
    ],
    ids=["app id", "port"],
)
def test_a_pod_that_could_not_run_is_refused(user: User, annotations: dict[str, str], refusal: str) -> None:
    done = user.tries("apply", "-f", "-", input=bare_pod("wrong", annotations=annotations))

    assert done.returncode == 1
    assert f'admission webhook "pods.pannier.dev" denied the request: {refusal}' in done.stderr


@pytest.mark.parametrize("spelling", ["true", "Yes", "ON", "1"])
def test_any_truthy_spelling_asks_for_a_sidecar(user: User, spelling: str) -> None:
    pod = bare_pod("alone", annotations={"dapr.io/enabled": spelling})

    assert '"daprd"' in user.kubectl("create", "--dry-run=server", "-o", "json", "-f", "-", input=pod)


def test_where_a_sidecar_is_required_a_pod_that_cannot_have_one_is_refused(user: User) -> None:
    pod = json.loads(bare_pod("elsewhere"))
    pod["spec"]["nodeSelector"] = {"kubernetes.io/os": "windows"}
    warned = user.tries("create", "--dry-run=server", "-f", "-", input=json.dumps(pod))
    assert "Warning: no sidecar can be injected: the pod runs on Windows" in warned.stderr
    user.cluster.kubectl("label", "namespace", user.namespace, "pannier.dev/injection=required")

    def refusal() -> str:
        done = user.tries("create", "--dry-run=server", "-f", "-", input=json.dumps(pod))
        return done.stderr if done.returncode else ""

    assert "its namespace requires one (pannier.dev/injection: required)" in user.until(refusal, "it is refused")


def test_a_sidecar_may_be_an_ordinary_container_on_request(user: User) -> None:
    user.apply(component(), deployment("orders", annotations={"dapr.io/enable-native-sidecar": "false"}))
    user.deployed("orders")

    assert [each["name"] for each in user.pod("orders")["spec"]["containers"]] == ["app", "daprd"]
    user.until(lambda: user.call("orders", "statestore/none")[0] == 204, "it serves")
    user.kubectl("delete", "deployment", "orders")
    user.until(lambda: user.pods("-l", "app=orders") == [], "it ends")


def test_a_pod_without_the_annotation_is_left_alone(user: User) -> None:
    pod = json.loads(bare_pod("plain"))
    pod["metadata"]["annotations"] = {}
    user.apply(json.dumps(pod))

    user.kubectl("wait", "--for=condition=Ready", "pod/plain", "--timeout=120s")
    assert "initContainers" not in get_one(user.cluster, "pod", user.namespace, "plain")["spec"]
    assert get(user.cluster, "secrets", user.namespace) == []


def test_scopes_are_kept(user: User) -> None:
    user.apply(component("theirs", scopes=["carts"]), component("ours", scopes=["orders"]), deployment("orders"))
    user.deployed("orders")

    assert user.call("orders", "ours/none")[0] == 204
    assert user.call("orders", "theirs/none")[0] == 400
    user.apply(component("theirs", scopes=["carts", "orders"]))
    user.until(lambda: user.call("orders", "theirs/none")[0] == 204, "the scope is live")
