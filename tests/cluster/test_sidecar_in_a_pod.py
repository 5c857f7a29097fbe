"""The sidecar's image in a pod written by hand, without an operator."""

from __future__ import annotations

import json
from pathlib import Path
from string import Template
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from cluster.access import Cluster

POD = Template(Path(__file__).with_name("sidecar-by-hand.yaml").read_text())
WRITE_OUTSIDE = "open('/opt/pannier/written', 'w')"
FIND_TOOLS = "import importlib.util as i, shutil; print(i.find_spec('pip'), *map(shutil.which, ('sh', 'apt', 'gcc')))"


@pytest.fixture
def pod(cluster: Cluster, namespace: str, sidecar_image: str) -> str:
    """A pod with the sidecar as a native one and an app that saves a number and reads it back, until it is ready."""
    cluster.kubectl("apply", "-n", namespace, "-f", "-", input=POD.substitute(image=sidecar_image))
    cluster.kubectl("wait", "-n", namespace, "--for=condition=Ready", "pod/counter", "--timeout=120s")
    return namespace


def test_an_app_that_calls_at_once_finds_its_state_served(cluster: Cluster, pod: str) -> None:
    # The app ends at the first call that fails, so without a restart there was no failure.
    status = json.loads(cluster.kubectl("get", "pod", "-n", pod, "counter", "-o", "json"))["status"]
    assert [container["restartCount"] for container in status["containerStatuses"]] == [0]
    assert cluster.kubectl("logs", "-n", pod, "counter", "-c", "app").splitlines() == ["0", "1", "2"]


def test_a_pod_is_reached_through_its_service_by_name(cluster: Cluster, pod: str) -> None:
    call = f"import urllib.request as u; print(u.urlopen('http://counter.{pod}.svc:3501/v1.0/healthz').status)"

    assert _python(cluster, pod, call) == "204"


def test_nothing_in_the_image_can_be_written(cluster: Cluster, pod: str) -> None:
    done = cluster.try_kubectl("exec", "-n", pod, "counter", "-c", "daprd", "--", "python", "-c", WRITE_OUTSIDE)

    assert done.returncode == 1
    assert "Read-only file system" in done.stderr


def test_the_image_holds_no_shell_pip_or_compiler(cluster: Cluster, pod: str) -> None:
    assert _python(cluster, pod, FIND_TOOLS) == "None None None None"


def _python(cluster: Cluster, namespace: str, code: str) -> str:
    """Return what a line of Python prints in the sidecar's container."""
    return cluster.kubectl("exec", "-n", namespace, "counter", "-c", "daprd", "--", "python", "-c", code).strip()
