"""Operators are killed, or do not run at all: apps continue to work, nothing stays undone, and nobody is locked out."""

from __future__ import annotations

import re
import threading
from typing import TYPE_CHECKING

import pytest
from cluster.manifests import bare_pod, component, deployment
from cluster.release import NAMESPACE, get_one, until
from cluster.user import COMPONENTS

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
    user.until(lambda: user.call("orders", "other/none")[0] == 204, "what is applied then is live")


def test_pods_created_meanwhile_are_found_and_reported(no_operator: Release, user: User) -> None:
    user.apply(bare_pod("missed"))
    user.kubectl("wait", "--for=condition=Ready", "pod/missed", "--timeout=120s")
    assert "initContainers" not in get_one(user.cluster, "pod", user.namespace, "missed")["spec"]

    no_operator.scale(2)

    event = until(lambda: user.events("SidecarMissing"), "an Event reports it")[0]
    assert event["involvedObject"]["name"] == "missed"
    assert "delete the pod, so that its owner creates it again" in event["message"]
    until(lambda: re.search(r"^pannier_operator_missed_pods [1-9]", no_operator.metrics(), re.M), "a metric counts it")


def test_a_namespace_that_requires_injection_fails_closed(no_operator: Release, user: User) -> None:
    user.cluster.kubectl("label", "namespace", user.namespace, "pannier.dev/injection=required")

    done = user.tries("apply", "-f", "-", input=bare_pod("strict"))

    assert done.returncode == 1
    assert "pods-required.pannier.dev" in done.stderr


def test_no_label_locks_out_the_operators_own_pods_or_the_clusters(no_operator: Release, user: User) -> None:
    required = "pannier.dev/injection"
    for namespace in (NAMESPACE, "kube-system"):
        user.cluster.kubectl("label", "namespace", namespace, f"{required}=required")
    try:
        for namespace in (NAMESPACE, "kube-system"):
            user.cluster.kubectl("create", "--dry-run=server", "-n", namespace, "-f", "-", input=bare_pod("annotated"))
        no_operator.scale(2)
    finally:
        for namespace in (NAMESPACE, "kube-system"):
            user.cluster.kubectl("label", "namespace", namespace, f"{required}-")


def test_another_replica_leads_when_the_leader_is_killed(pannier: Release, user: User) -> None:
    user.apply(component(), deployment("orders"))
    user.deployed("orders")
    user.is_ready()
    leader = until(pannier.leader, "a replica acts")
    before = get_one(user.cluster, COMPONENTS, user.namespace, "statestore")

    user.cluster.kubectl("delete", "pod", "-n", NAMESPACE, leader, "--grace-period=0", "--force")
    until(lambda: pannier.leader() not in ("", leader), "another replica acts")

    user.apply(component("late"))
    user.until(lambda: user.call("orders", "late/none")[0] == 204, "what is applied then is live")
    user.is_ready("late")
    assert get_one(user.cluster, COMPONENTS, user.namespace, "statestore") == before, "it had nothing to tell"


def test_no_apply_fails_while_both_replicas_are_replaced(pannier: Release, user: User) -> None:
    with Stream(user) as stream:
        kill_each(pannier)

    assert stream.failures == []
    assert len(stream.applied) > 3
    assert without_sidecar(user) == [], "every pod has got its sidecar"
    for name in stream.applied:
        user.is_ready(name)


def test_replicas_that_are_gone_at_once_leave_nothing_undone(pannier: Release, user: User) -> None:
    """A call in progress at that moment may fail, and says so; repeated it succeeds, and every missed pod is found."""
    with Stream(user) as stream:
        kill_each(pannier, "--grace-period=0", "--force")

    assert len(stream.applied) > 3
    assert all("components.pannier.dev" in each for each in stream.failures), stream.failures
    for name in stream.applied:
        user.apply(component(name))
        user.is_ready(name)
    for name in without_sidecar(user):
        until(lambda name=name: name in reported_for(user), f"an Event tells of {name}")


class Stream:
    """A user who applies a Component and a pod every second during the block."""

    def __init__(self, user: User):
        self._user = user
        self._is_over = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self.applied: list[str] = []
        self.failures: list[str] = []

    def __enter__(self) -> Stream:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._is_over.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._is_over.is_set():
            name = f"store-{len(self.applied)}"
            for manifest in (component(name), bare_pod(f"pod-{len(self.applied)}")):
                done = self._user.tries("apply", "-f", "-", input=manifest)
                if done.returncode:
                    self.failures.append(done.stderr)
            self.applied.append(name)
            self._is_over.wait(1)


def kill_each(pannier: Release, *how: str) -> None:
    for pod in pannier.operators():
        pannier.cluster.kubectl("delete", "pod", "-n", NAMESPACE, pod, *how)
        pannier.cluster.kubectl("rollout", "status", "-n", NAMESPACE, "deployment/pannier-operator", "--timeout=120s")


def without_sidecar(user: User) -> list[str]:
    return [pod["metadata"]["name"] for pod in user.pods() if "initContainers" not in pod["spec"]]


def reported_for(user: User) -> list[str]:
    return [each["involvedObject"]["name"] for each in user.events("SidecarMissing")]


def kill_sidecar(user: User, app: str) -> None:
    """End the sidecar's process: the kubelet starts it again."""
    pod = user.pod(app)["metadata"]["name"]
    user.tries("exec", pod, "-c", "daprd", "--", "python", "-c", "import os, signal; os.kill(1, signal.SIGTERM)")
