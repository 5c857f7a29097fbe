"""The pluggable store of examples/pluggable in real pods: beside the app, or added by its Component."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from cluster import ledger_image
from cluster.manifests import SAVE_AND_READ, component, deployment, job

if TYPE_CHECKING:
    from cluster.release import Release
    from cluster.user import User

TYPE = "state.ledger"
FILE = "/data/ledger.db"
RESTRICTED = {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}}
CONTAINER: dict[str, Any] = {
    "name": "ledger",
    "image": ledger_image.IMAGE,
    "imagePullPolicy": "Never",
    "securityContext": RESTRICTED,
    "volumeMounts": [{"name": "data", "mountPath": "/data"}],
}


@pytest.fixture(scope="module", autouse=True)
def ledger(installed: Release) -> None:
    """The image of the example, in the cluster."""
    installed.cluster.load_image(ledger_image.build())


def test_a_container_of_the_pod_serves_its_type_and_again_after_it_was_killed(user: User) -> None:
    manifest = json.loads(deployment("orders", annotations={"dapr.io/pluggable-components": "ledger"}))
    spec = manifest["spec"]["template"]["spec"]
    spec["containers"].append(CONTAINER)
    spec["volumes"] = [{"name": "data", "emptyDir": {}}]
    applied = user.tries("apply", "-f", "-", input=component(type=TYPE, file=FILE))
    assert "a pluggable component must serve it" in applied.stderr and applied.returncode == 0
    user.apply(json.dumps(manifest))
    user.deployed("orders")
    user.is_ready()
    user.saves_and_reads("orders", 1)

    user.kubectl("exec", user.pod("orders")["metadata"]["name"], "-c", "ledger", "--", "python", "-c", KILL)
    user.until(lambda: restarts(user) == 1, "the kubelet starts it again")
    user.until(lambda: user.call("orders", "statestore/k") == (200, "1"), "what was saved is there")
    user.saves_and_reads("orders", 2)


def restarts(user: User) -> int:
    statuses = user.pod("orders")["status"]["containerStatuses"]
    return next(int(each["restartCount"]) for each in statuses if each["name"] == "ledger")


# The kernel gives a container's first process only the signals that it handles; Python handles this one.
KILL = "import os, signal; os.kill(1, signal.SIGINT)"


def test_a_component_brings_its_container_and_a_job_with_it_ends(user: User) -> None:
    described = component(
        type=TYPE, annotations={"dapr.io/component-container": json.dumps(CONTAINER)}, actorStateStore="true", file=FILE
    )
    applied = user.tries("apply", "-f", "-", input=described)
    assert (applied.returncode, applied.stderr) == (0, "")
    run = json.loads(job("once", SAVE_AND_READ))
    run["spec"]["template"]["metadata"]["annotations"]["dapr.io/inject-pluggable-components"] = "true"
    user.apply(json.dumps(run))
    user.kubectl("wait", "--for=condition=Complete", "job/once", "--timeout=180s")
    assert user.kubectl("logs", "job/once", "-c", "app").strip() == '"hello"'
    (pod,) = user.pods("-l", "job-name=once")
    assert {each["name"] for each in pod["spec"]["initContainers"]} == {"ledger", "daprd"}
