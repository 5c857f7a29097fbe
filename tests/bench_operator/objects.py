"""The cluster's content: namespaces with Components that refer to one Secret, and apps of five pods each."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

PODS_OF_AN_APP = 5
SECRET = "redis"
Manifest = dict[str, Any]


@dataclass(frozen=True)
class Size:
    """The number of each, over all namespaces."""

    namespaces: int
    components: int
    pods: int

    def names(self) -> list[str]:
        """The namespaces."""
        return [f"bench-{number}" for number in range(self.namespaces)]

    def components_of_all(self) -> Iterator[Manifest]:
        """The Components: every app of a namespace sees each of them."""
        for number in range(self.components):
            yield component(f"store-{number // self.namespaces}", self._namespace(number))

    def pods_of_all(self) -> Iterator[Manifest]:
        """The pods, a fixed number for each app."""
        for number in range(self.pods):
            own = number // self.namespaces
            yield pod(f"app-{own // PODS_OF_AN_APP}", own % PODS_OF_AN_APP, self._namespace(number))

    def _namespace(self, number: int) -> str:
        return f"bench-{number % self.namespaces}"


def component(name: str, namespace: str, database: int = 0, *, holds_actor_state: bool = False) -> Manifest:
    settings = [
        {"name": "redisHost", "value": f"{name}.redis:6379"},
        {"name": "redisDB", "value": str(database)},
        {"name": "redisPassword", "secretKeyRef": {"name": SECRET, "key": "password"}},
    ]
    if holds_actor_state:
        settings.append({"name": "actorStateStore", "value": "true"})
    spec = {"type": "state.redis", "version": "v1", "metadata": settings}
    return {**_named("dapr.io/v1alpha1", "Component", name, namespace), "spec": spec}


def secret(namespace: str) -> Manifest:
    return {**_named("v1", "Secret", SECRET, namespace), "stringData": {"password": "change-me"}}


def pod(app: str, number: int, namespace: str) -> Manifest:
    manifest = _named("v1", "Pod", f"{app}-{number}", namespace)
    manifest["metadata"]["annotations"] = {"dapr.io/enabled": "true", "dapr.io/app-id": app}
    manifest["spec"] = {"containers": [{"name": "app", "image": "app:1", "ports": [{"containerPort": 8080}]}]}
    return manifest


def running(address: str) -> Manifest:
    """The status of a pod that runs, as a kubelet would write it."""
    conditions = [{"type": "Ready", "status": "True"}]
    return {"status": {"phase": "Running", "podIP": address, "podIPs": [{"ip": address}], "conditions": conditions}}


def sidecar_address(namespace: str) -> str:
    """Where the sidecars of a namespace answer: on the loopback of the operator's network, one address for all."""
    number = int(namespace.rpartition("-")[2])
    return f"127.1.{number // 250}.{number % 250 + 1}"


def _named(version: str, kind: str, name: str, namespace: str) -> Manifest:
    return {"apiVersion": version, "kind": kind, "metadata": {"name": name, "namespace": namespace}}
