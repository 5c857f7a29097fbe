"""Who asks for a sidecar gets one, whoever makes the pod; it is up before the app, and ends with it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

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


def test_a_pod_of_nobody_is_named_after_itself(user: User) -> None:
    user.apply(component(), bare_pod("alone"))

    user.kubectl("wait", "--for=condition=Ready", "pod/alone", "--timeout=120s")
    assert get_one(user.cluster, "pod", user.namespace, "alone")["metadata"]["labels"]["dapr.io/app-id"] == "alone"
    assert get_one(user.cluster, "secret", user.namespace, "alone-pannier")


def test_the_first_pod_waits_for_its_components(user: User) -> None:
    """Made before any Component, it gets an empty Secret; with one, it has it from its first call on."""
    user.apply(deployment("early"))
    user.deployed("early")

    assert user.call("early", "statestore/none")[0] in (400, 500)
    user.apply(component())
    user.until(lambda: user.call("early", "statestore/none")[0] == 204, "the store is live", 60)


def test_a_misspelt_annotation_gives_a_warning(user: User) -> None:
    done = user.tries("apply", "-f", "-", input=bare_pod("odd", annotations={"dapr.io/aap-id": "x"}))

    assert done.returncode == 0
    assert "Warning: annotation dapr.io/aap-id" in done.stderr


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
    user.until(lambda: user.call("orders", "theirs/none")[0] == 204, "the scope is live", 60)
