"""The programs of the measurement: the chart's objects with an operator behind them that is a process of this machine.

It runs in the network of the API server, under the chart's service account, with the environment of the chart's pods.
"""

import json
import os
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from cluster.access import Cluster
from cluster.one_node import node
from cluster.one_node.programs import Layout
from cluster.release import CHART, NAMESPACE, until

SERVICE = "pannier-operator"
NOT_APPLIED = ("Deployment", "PodDisruptionBudget")
STOP_LIMIT_S = 20.0


@dataclass(frozen=True)
class Place:
    """A cluster in which all of Pannier but the operator is installed."""

    cluster: Cluster
    pid: int
    """The pid of a process in the network of the API server."""
    address: str
    """Of that network."""
    environment: dict[str, str]
    """Of the operator, as the chart sets it."""
    folder: Path

    def start(self, *command: str, environment: dict[str, str] | None = None) -> subprocess.Popen[bytes]:
        """Start a program of Python in that network."""
        log = (self.folder / f"{command[1].rpartition('.')[2]}.log").open("ab")
        return subprocess.Popen(
            ["nsenter", f"--target={self.pid}", "--net", sys.executable, *command],
            env=os.environ | (environment or {}),
            stdout=log,
            stderr=log,
        )


class Operator:
    """One replica, for the length of a block."""

    def __init__(self, place: Place):
        self._place = place
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> "Operator":
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    def start(self) -> None:
        """Start it, and wait until it is ready."""
        self._process = self._place.start("-m", "pannier_operator", environment=self._place.environment)
        until(lambda: self._is_ready(), "the operator is ready", pause=0.05)

    def stop(self) -> None:
        if self._process is not None:
            _end(self._process)

    def _is_ready(self) -> bool:
        assert self._process is not None
        log = self._place.folder / "pannier_operator.log"
        assert self._process.poll() is None, f"the operator has ended: {log.read_text()[-2000:]}"
        try:
            urllib.request.urlopen(f"http://{self._place.address}:8080/readyz", timeout=5).close()
        except OSError:
            return False
        return True


def installed(layout: Layout, pid: int) -> Place:
    """Apply the chart's objects; its Service leads to the place where the operator will run."""
    cluster = node.reached_through(layout.folder)
    address = json.loads(layout.kubeconfig.read_text())["clusters"][0]["cluster"]["server"].split("/")[2].split(":")[0]
    rendered = cluster.helm(
        "template", "pannier", str(CHART), "-n", NAMESPACE, "--kube-version", "1.35.0", "--no-hooks"
    )
    objects = [each for each in yaml.safe_load_all(rendered) if each]
    cluster.kubectl("create", "namespace", NAMESPACE)
    applied = [_reached_by_address(each) for each in objects if each["kind"] not in NOT_APPLIED]
    manifests = [*applied, _endpoints(address)]
    cluster.kubectl("apply", "--server-side", "-f", "-", input="\n---\n".join(map(json.dumps, manifests)))
    cluster.kubectl("wait", "--for=condition=Established", "crd/components.dapr.io", "--timeout=60s")
    deployment = next(each for each in objects if each["kind"] == "Deployment")
    environment = {**_environment_of(deployment), "KUBECONFIG": str(_account(cluster, layout))}
    return Place(cluster, pid, address, environment, layout.folder)


@contextmanager
def sidecars(place: Place, stores: int) -> Iterator[None]:
    """Answer for the sidecars of all pods, with this number of stores in each."""
    process = place.start("-m", "bench_operator.sidecars", str(stores))
    try:
        yield
    finally:
        _end(process)


def _reached_by_address(manifest: dict[str, Any]) -> dict[str, Any]:
    """A Service without a selector, whose endpoint is written by hand."""
    if manifest["kind"] == "Service":
        del manifest["spec"]["selector"]
    return manifest


def _endpoints(address: str) -> dict[str, Any]:
    return {
        "apiVersion": "discovery.k8s.io/v1",
        "kind": "EndpointSlice",
        "metadata": {
            "name": SERVICE,
            "namespace": NAMESPACE,
            "labels": {"kubernetes.io/service-name": SERVICE},
        },
        "addressType": "IPv4",
        "ports": [{"name": "webhooks", "port": 9443, "protocol": "TCP"}],
        "endpoints": [{"addresses": [address], "conditions": {"ready": True}}],
    }


def _environment_of(deployment: dict[str, Any]) -> dict[str, str]:
    declared = deployment["spec"]["template"]["spec"]["containers"][0]["env"]
    own = {"PANNIER_OPERATOR_NAMESPACE": NAMESPACE, "PANNIER_OPERATOR_POD_NAME": "bench"}
    return {each["name"]: each["value"] for each in declared if "value" in each} | own


def _account(cluster: Cluster, layout: Layout) -> Path:
    """A kubeconfig of the chart's service account, so the operator has the same permissions as in a pod."""
    token = cluster.kubectl("create", "token", SERVICE, "-n", NAMESPACE, "--duration=6h").strip()
    kubeconfig = json.loads(layout.kubeconfig.read_text())
    kubeconfig["users"][0]["user"] = {"token": token}
    path = layout.folder / "operator.kubeconfig"
    path.touch(mode=0o600)
    path.write_text(json.dumps(kubeconfig))
    return path


def _end(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(STOP_LIMIT_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
