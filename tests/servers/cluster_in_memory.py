"""A cluster's API in memory, in the operator's own terms, for faults that a real API server cannot produce on request.

Its calls are in `calls`, in order. `fail` and `then` affect calls whose lines begin with a given text.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Mapping
from copy import deepcopy
from typing import Any

PLURALS = {
    "Component": "components",
    "Resiliency": "resiliencies",
    "Configuration": "configurations",
    "Pod": "pods",
    "Secret": "secrets",
    "Lease": "leases",
}
WATCHED = ("Component", "Resiliency", "Configuration", "Pod", "Secret")


class ClusterInMemory:
    """Objects by kind, namespace and name. A write must be of the latest version, as in an API server."""

    def __init__(self) -> None:
        self.calls: list[str] = []
        self.events: list[Any] = []
        self.objects: dict[tuple[str, str, str], Any] = {}
        self.watchers: list[Callable[[str, bool, Any], object]] = []
        """Called with each change: the kind, whether the object was deleted, and the object."""
        self.is_closed = False
        self._version = 100
        self._errors: dict[str, Exception] = {}
        self._hooks: dict[str, Callable[[str], Awaitable[object] | None]] = {}

    def fail(self, call: str, error: Exception | None) -> None:
        """Fail these calls from now on; None: no longer."""
        self._errors.pop(call, None)
        if error is not None:
            self._errors[call] = error

    def then(self, call: str, hook: Callable[[str], Awaitable[object] | None]) -> None:
        """Do something at each of these calls, before it takes effect."""
        self._hooks[call] = hook

    def called(self, call: str) -> list[str]:
        return [each for each in self.calls if each.startswith(call)]

    def put(self, manifest: Any) -> Any:
        """Write an object as another client, so that watches report it."""
        self._version += 1
        metadata = manifest["metadata"]
        place = manifest["kind"], metadata["namespace"], metadata["name"]
        uid = self.objects[place]["metadata"]["uid"] if place in self.objects else f"uid-{self._version}"
        metadata = {"creationTimestamp": "2026-01-01T00:00:00Z", **metadata, "uid": uid}
        stored = {**deepcopy(manifest), "metadata": {**metadata, "resourceVersion": str(self._version)}}
        self.objects[place] = stored
        self._report(stored, is_gone=False)
        return deepcopy(stored)

    def remove(self, kind: str, namespace: str, name: str) -> None:
        self._report(self.objects.pop((kind, namespace, name)), is_gone=True)

    def find(self, kind: str, namespace: str, name: str) -> Any:
        return deepcopy(self.objects.get((kind, namespace, name)))

    def all(self, kind: str, namespace: str = "") -> list[Any]:
        return [deepcopy(found) for place, found in self.objects.items() if place[0] == kind and namespace in place[1]]

    # --- the calls of ClusterApi --------------------------------------------------------------------------------------

    async def close(self) -> None:
        self.is_closed = True

    async def server_info(self) -> Any:
        await self._call("version")
        return {"major": "1", "minor": "35"}

    async def everything(self, plural: str, namespaces: Collection[str], take: Callable[[Any], object]) -> int | None:
        await self._call(f"list {plural}")
        kind = next(kind for kind, its_plural in PLURALS.items() if its_plural == plural)
        for each in self.all(kind):
            take(each)
        return self._version

    async def components_in(self, namespace: str) -> list[Any]:
        await self._call(f"list Components of {namespace}")
        return self.all("Component", namespace)

    async def resiliencies_in(self, namespace: str) -> list[Any]:
        await self._call(f"list Resiliencies of {namespace}")
        return self.all("Resiliency", namespace)

    async def component_versions_in(self, namespace: str) -> Mapping[str, str] | None:
        await self._call(f"list Components of {namespace}")
        found = self.all("Component", namespace)
        return {each["metadata"]["name"]: each["metadata"]["resourceVersion"] for each in found}

    async def component(self, namespace: str, name: str) -> Any:
        await self._call(f"get Component {namespace}/{name}")
        return self.find("Component", namespace, name)

    async def configuration(self, namespace: str, name: str) -> Any:
        await self._call(f"get Configuration {namespace}/{name}")
        return self.find("Configuration", namespace, name)

    async def namespace_labels(self, name: str) -> Mapping[str, str]:
        await self._call(f"get Namespace {name}")
        return {"kubernetes.io/metadata.name": name}

    async def bounds_of(self, namespace: str) -> tuple[list[Any], list[Any]]:
        return [], []

    async def secret(self, namespace: str, name: str) -> Any:
        await self._call(f"get Secret {namespace}/{name}")
        return self.find("Secret", namespace, name)

    async def pod(self, namespace: str, name: str) -> Any:
        await self._call(f"get Pod {namespace}/{name}")
        return self.find("Pod", namespace, name)

    async def lease(self, namespace: str, name: str) -> Any:
        await self._call(f"get Lease {namespace}/{name}")
        return self.find("Lease", namespace, name)

    async def owner_above(self, namespace: str, owner: Any) -> Any:
        return None

    async def write(self, manifest: Any) -> Any:
        metadata, kind = manifest["metadata"], manifest["kind"]
        await self._call(f"write {kind} {metadata['namespace']}/{metadata['name']}")
        before = self.find(kind, metadata["namespace"], metadata["name"])
        if metadata.get("resourceVersion") != (before["metadata"]["resourceVersion"] if before else None):
            return None
        return self.put(manifest)

    async def delete_secret(self, secret: Any) -> bool:
        metadata = secret["metadata"]
        await self._call(f"delete Secret {metadata['namespace']}/{metadata['name']}")
        before = self.find("Secret", metadata["namespace"], metadata["name"])
        if before is None or before["metadata"]["resourceVersion"] != metadata["resourceVersion"]:
            return before is None
        self.remove("Secret", metadata["namespace"], metadata["name"])
        return True

    async def write_status(self, plural: str, manifest: Any, status: Any) -> Any:
        kind = next(kind for kind, its_plural in PLURALS.items() if its_plural == plural)
        metadata = manifest["metadata"]
        await self._call(f"write status {metadata['namespace']}/{metadata['name']}")
        before = self.find(kind, metadata["namespace"], metadata["name"])
        return None if before is None else self.put({**before, "status": deepcopy(status)})

    async def annotate_pod(self, pod: Any, annotations: Mapping[str, str]) -> Any:
        metadata = pod["metadata"]
        await self._call(f"annotate Pod {metadata['namespace']}/{metadata['name']}")
        before = self.find("Pod", metadata["namespace"], metadata["name"])
        if before is None:
            return None
        before["metadata"]["annotations"] = {**before["metadata"].get("annotations", {}), **annotations}
        return self.put(before)

    async def create_event(self, event: Any) -> None:
        about = event["involvedObject"]
        await self._call(f"event {event['reason']} on {about['kind']} {about['namespace']}/{about['name']}")
        self.events.append(event)

    async def evict(self, pod: Any) -> bool:
        await self._call(f"evict Pod {pod['metadata']['namespace']}/{pod['metadata']['name']}")
        self.remove("Pod", pod["metadata"]["namespace"], pod["metadata"]["name"])
        return True

    async def ca_bundles(self, plural: str, configuration: str) -> AsyncIterator[list[str]]:
        await asyncio.Event().wait()
        yield []

    async def trust(self, configuration: str, ca_bundle: str) -> None:
        await self._call(f"trust {configuration}")

    async def _call(self, line: str) -> None:
        assert not self.is_closed, f"a call after the client has been closed: {line}"
        self.calls.append(line)
        await asyncio.sleep(0)
        for begin, hook in list(self._hooks.items()):
            if line.startswith(begin) and (waiting := hook(line)) is not None:
                await waiting
        for begin, error in self._errors.items():
            if line.startswith(begin):
                raise error

    def _report(self, manifest: Any, *, is_gone: bool) -> None:
        if manifest["kind"] in WATCHED:
            for watcher in self.watchers:
                watcher(PLURALS[manifest["kind"]], is_gone, deepcopy(manifest))
