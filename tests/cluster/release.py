"""Pannier installed in a cluster by its chart, as a user would, with the images that are built from this tree."""

from __future__ import annotations

import json
import re
import time
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from cluster import redis_image, tools
from cluster.access import CommandFailed

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from cluster.access import Cluster

NAMESPACE = "pannier-system"
CHART = tools.ROOT / "charts" / "pannier"
EXAMPLE = tools.ROOT / "examples" / "kubernetes"
SIDECAR_IMAGE = "localhost/pannier-sidecar:dev"
OPERATOR_IMAGE = "localhost/pannier-operator:dev"
OPERATORS = "app.kubernetes.io/name=pannier"
DEADLINE_S = 150.0
"""Timeout for a busy machine: a sidecar that requests little CPU then gets little."""


_PROBED_COMPONENT = json.dumps(
    {
        "apiVersion": "dapr.io/v1alpha1",
        "kind": "Component",
        "metadata": {"name": "probe"},
        "spec": {"type": "state.in-memory", "version": "v1"},
    }
)
_PROBED_POD = json.dumps(
    {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "probe", "annotations": {"dapr.io/enabled": "true"}},
        "spec": {
            "securityContext": {"runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}},
            "containers": [
                {
                    "name": "app",
                    "image": SIDECAR_IMAGE,
                    "securityContext": {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}},
                }
            ],
        },
    }
)


@dataclass(frozen=True)
class Release:
    """An installed release."""

    cluster: Cluster
    name: str = "pannier"
    values: dict[str, Any] = field(default_factory=dict)
    """The latest values besides the defaults."""

    def install(self, **values: Any) -> str:
        """Install or upgrade, and wait until the operator is ready. `a__b=c` sets a.b to c; all else has its
        default.
        """
        self.values.clear()
        self.values.update(values)
        with self._telling_why():
            said = self.cluster.helm(*self.install_command(**values))
        self._wait_for_earlier_operators()
        self._wait_for_webhooks()
        return said

    def install_command(self, **values: Any) -> list[str]:
        """The arguments for helm."""
        chosen = {**_images(), **{name.replace("__", "."): value for name, value in values.items()}}
        settings = [part for name, value in chosen.items() for part in ("--set-json", f"{name}={_json(value)}")]
        return [
            *("upgrade", "--install", self.name, str(CHART), "-n", NAMESPACE, "--create-namespace"),
            *("--wait", "--timeout", "180s", *settings),
        ]

    def uninstall(self) -> None:
        self.cluster.helm("uninstall", self.name, "-n", NAMESPACE, "--wait", "--timeout", "120s")

    def operators(self) -> list[str]:
        """The names of the operator's pods that are not ending."""
        pods = get(self.cluster, "pods", NAMESPACE, "-l", OPERATORS)
        return [pod["metadata"]["name"] for pod in pods if "deletionTimestamp" not in pod["metadata"]]

    def leader(self) -> str:
        lease = get_one(self.cluster, "lease", NAMESPACE, "pannier-operator")
        return str(lease["spec"].get("holderIdentity") or "")

    def metrics(self) -> str:
        """The metrics of one of the replicas."""
        path = f"/api/v1/namespaces/{NAMESPACE}/services/pannier-operator:metrics/proxy/metrics"
        return self.cluster.kubectl("get", "--raw", path)

    def scale(self, replicas: int) -> None:
        """Run this many operators, and wait until they run."""
        self.cluster.kubectl(
            "scale", "-n", NAMESPACE, "deployment/pannier-operator", f"--replicas={replicas}", "--timeout=60s"
        )
        until(lambda: len(get(self.cluster, "pods", NAMESPACE, "-l", OPERATORS)) == replicas, "operators are scaled")
        if replicas:
            rollout = ("rollout", "status", "deployment/pannier-operator", "--timeout=180s")
            with self._telling_why():
                self.cluster.kubectl("-n", NAMESPACE, *rollout)
            self._wait_for_webhooks()

    @contextmanager
    def _telling_why(self) -> Iterator[None]:
        """Add the state of the operator's pods to a failure: later they are gone."""
        try:
            yield
        except CommandFailed as failed:
            lines = [str(failed)]
            for name in self.operators():
                for question in (("describe", "pod", name), ("logs", name), ("logs", "--previous", name)):
                    done = self.cluster.try_kubectl("-n", NAMESPACE, *question)
                    lines.append(f"{' '.join(question)}:\n{(done.stdout or done.stderr)[-4000:]}")
            raise AssertionError("\n".join(lines)) from failed

    def _wait_for_earlier_operators(self) -> None:
        """Wait until pods of another version or with other settings have ended: they serve webhooks while they end."""
        until(
            lambda: len(get(self.cluster, "pods", NAMESPACE, "-l", OPERATORS)) == len(self.operators()),
            "operators from before have ended",
        )

    def _wait_for_webhooks(self) -> None:
        """Wait until the API server knows their addresses, a moment after the operator is ready."""
        namespace = (self.values.get("watchedNamespaces") or ["default"])[0]
        create = ("create", "--dry-run=server", "-n", namespace, "-o", "json", "-f", "-")
        until(lambda: self.cluster.kubectl(*create, input=_PROBED_COMPONENT), "Components are judged")
        until(lambda: "daprd" in self.cluster.kubectl(*create, input=_PROBED_POD), "sidecars are injected")


def load_images(cluster: Cluster) -> None:
    for image in (SIDECAR_IMAGE, OPERATOR_IMAGE, redis_image.build()):
        cluster.load_image(image)


def example(file: str) -> str:
    """A file of examples/kubernetes, with images that need no registry."""
    text = (EXAMPLE / file).read_text()
    text = re.sub(r"image: docker.io/library/python:\S+", f"image: {SIDECAR_IMAGE}", text)
    return re.sub(r"image: docker.io/library/redis:\S+", f"image: {redis_image.IMAGE}", text)


def get(cluster: Cluster, kind: str, namespace: str, *arguments: str) -> list[Any]:
    items: list[Any] = json.loads(cluster.kubectl("get", kind, "-n", namespace, "-o", "json", *arguments))["items"]
    return items


def get_one(cluster: Cluster, kind: str, namespace: str, name: str) -> Any:
    return json.loads(cluster.kubectl("get", kind, "-n", namespace, name, "-o", "json"))


def until(is_so: Callable[[], object], what: str, seconds: float = DEADLINE_S, pause: float = 0.3) -> Any:
    """Wait until something is true, and return it. An AssertionError means that it is not true yet."""
    end, last = time.monotonic() + seconds, ""
    while time.monotonic() < end:
        try:
            found = is_so()
        except AssertionError as error:
            found, last = None, str(error)
        if found:
            return found
        time.sleep(pause)
    raise AssertionError(f"{seconds:g} s have gone, and still not: {what}\n{last}")


def _images() -> dict[str, Any]:
    found: dict[str, Any] = {}
    for part, image in (("operator", OPERATOR_IMAGE), ("sidecar", SIDECAR_IMAGE)):
        repository, tag = image.rsplit(":", 1)
        found |= {f"{part}.image.repository": repository, f"{part}.image.tag": tag, f"{part}.image.pullPolicy": "Never"}
    return found


def _json(value: Any) -> str:
    return json.dumps(value)
