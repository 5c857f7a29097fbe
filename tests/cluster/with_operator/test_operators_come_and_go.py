"""Operators are killed, or are not there at all: apps serve on, nothing stays undone, and no one is locked out."""

from __future__ import annotations

import re
import threading
from typing import TYPE_CHECKING

import pytest
from cluster.manifests import bare_pod, component, deployment
from cluster.release import NAMESPACE, get_one, until

if TYPE_CHECKING:
    from collections.abc import Iterator

    from cluster.release import Release
    from cluster.user import User


@pytest.fixture
def no_operator(pannier: Release) -> Iterator[Release]:
    pannier.scale(0)
    yield pannier
    pannier.scale(2)


def test_sidecars_serve_and_start_while_no_operator_runs(pannier: Release, user: User) -> None:
    user.apply(component(), deployment("orders"))
    user.deployed("orders")
    user.is_ready()
    pannier.scale(0)

    user.saves_and_reads("orders", 1)
    kill_sidecar(user, "orders")
    user.until(lambda: user.call("orders", "statestore/none")[0] == 204, "the sidecar serves again")
    done = user.tries("apply", "-f", "-", input=component("other"))
    assert done.returncode == 1
    assert "components.pannier.dev" in done.stderr
    pannier.scale(2)
    user.apply(component("other"))
    user.until(lambda: user.call("orders", "other/none")[0] == 204, "what is applied then is live", 60)


def test_pods_made_meanwhile_are_found_and_told_of(no_operator: Release, user: User) -> None:
    user.apply(bare_pod("missed"))
    user.kubectl("wait", "--for=condition=Ready", "pod/missed", "--timeout=120s")
    assert "initContainers" not in get_one(user.cluster, "pod", user.namespace, "missed")["spec"]

    no_operator.scale(2)

    event = until(lambda: user.events("SidecarMissing"), "an Event tells of it")[0]
    assert event["involvedObject"]["name"] == "missed"
    assert "delete the pod, so that its owner makes it anew" in event["message"]
    until(lambda: re.search(r"^pannier_operator_missed_pods [1-9]", metrics(no_operator), re.M), "a metric counts it")


def test_a_namespace_that_requires_injection_fails_closed(no_operator: Release, user: User) -> None:
    user.cluster.kubectl("label", "namespace", user.namespace, "pannier.dev/injection=required")

    done = user.tries("apply", "-f", "-", input=bare_pod("strict"))

    assert done.returncode == 1
    assert "pods-required.pannier.dev" in done.stderr


def test_another_replica_acts_when_the_one_that_acts_is_killed(pannier: Release, user: User) -> None:
    user.apply(component(), deployment("orders"))
    user.deployed("orders")
    user.is_ready()
    leader = until(pannier.leader, "a replica acts")

    user.cluster.kubectl("delete", "pod", "-n", NAMESPACE, leader, "--grace-period=0", "--force")
    until(lambda: pannier.leader() not in ("", leader), "another replica acts", 60)

    user.apply(component("late"))
    user.until(lambda: user.call("orders", "late/none")[0] == 204, "what is applied then is live", 60)


def test_no_apply_fails_while_both_replicas_are_replaced(pannier: Release, user: User) -> None:
    failures: list[str] = []
    applied: list[str] = []
    is_over = threading.Event()

    def apply() -> None:
        while not is_over.is_set():
            name = f"store-{len(applied)}"
            for manifest in (component(name), bare_pod(f"pod-{len(applied)}")):
                done = user.tries("apply", "-f", "-", input=manifest)
                if done.returncode:
                    failures.append(done.stderr)
            applied.append(name)
            is_over.wait(1)

    thread = threading.Thread(target=apply)
    thread.start()
    try:
        for pod in pannier.operators():
            user.cluster.kubectl("delete", "pod", "-n", NAMESPACE, pod)
            user.cluster.kubectl("rollout", "status", "-n", NAMESPACE, "deployment/pannier-operator", "--timeout=120s")
    finally:
        is_over.set()
        thread.join()
    assert failures == []
    assert len(applied) > 3
    pods = [pod for pod in user.pods() if "initContainers" not in pod["spec"]]
    assert pods == [], "every pod has got its sidecar"
    for name in applied:
        user.is_ready(name)


def kill_sidecar(user: User, app: str) -> None:
    """End the sidecar's process: the kubelet starts it again."""
    pod = user.pod(app)["metadata"]["name"]
    user.tries("exec", pod, "-c", "daprd", "--", "python", "-c", "import os, signal; os.kill(1, signal.SIGTERM)")


def metrics(pannier: Release) -> str:
    path = f"/api/v1/namespaces/{NAMESPACE}/services/pannier-operator:metrics/proxy/metrics"
    return pannier.cluster.kubectl("get", "--raw", path)
