"""The phases of the measurement, one after the other, and what each has found."""

import asyncio
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable
from functools import partial
from statistics import median
from typing import Any, TypeVar

from bench.process_stats import cpu_seconds, memory
from bench_operator.admission import admission_times
from bench_operator.audit import AuditLog
from bench_operator.objects import Size, component, running, secret, sidecar_address
from bench_operator.processes import Operator, Place
from bench_operator.report import CHANGES, Figures, text
from lightkube import AsyncClient, KubeConfig
from lightkube.generic_resource import create_namespaced_resource
from lightkube.resources.core_v1 import Namespace
from lightkube.types import PatchType

AT_ONCE = 16
QUIET_S = 12.0
LIMIT_S = 900.0
T = TypeVar("T")

Component: Any = create_namespaced_resource("dapr.io", "v1alpha1", "Component", "components")
Pod: Any = create_namespaced_resource("", "v1", "Pod", "pods")
Secret: Any = create_namespaced_resource("", "v1", "Secret", "secrets")


class Bench:
    """One run."""

    def __init__(self, place: Place, size: Size, operator: Operator, audit: AuditLog, say: Callable[[str], None]):
        self._place = place
        self._size = size
        self._operator = operator
        self._audit = audit
        self._say = say
        self._figures = Figures(size)

    def report(self) -> str:
        return text(self._figures)

    async def run(self, rest: int) -> None:
        self._client = AsyncClient(KubeConfig.from_file(self._place.cluster.kubeconfig))
        try:
            await self._make_pods()
            await self._apply_components()
            await self._change_components()
            await self._change_a_secret()
            await self._measure_admission()
            await self._restart()
            await self._rest(rest)
        finally:
            await self._client.close()

    async def _make_pods(self) -> None:
        self._say(f"creating {self._size.pods} annotated pods in {self._size.namespaces} namespaces")
        namespaces = self._size.names()
        await self._all(namespaces, lambda name: self._client.create(Namespace.from_dict({"metadata": {"name": name}})))
        await self._all(namespaces, lambda name: self._client.create(Secret(secret(name))))
        begun = time.monotonic()
        await self._all(self._size.pods_of_all(), self._make_pod)
        self._figures.pods_seconds = time.monotonic() - begun
        await self._until_quiet()

    async def _make_pod(self, manifest: dict[str, Any]) -> None:
        name, namespace = manifest["metadata"]["name"], manifest["metadata"]["namespace"]
        while "initContainers" not in (await self._client.create(Pod(manifest)))["spec"]:
            self._figures.pods_missed += 1
            await self._client.delete(Pod, name, namespace=namespace, grace_period=0)
        status = running(sidecar_address(namespace))
        await self._client.patch(Pod.Status, name, status, namespace=namespace, patch_type=PatchType.MERGE)

    async def _apply_components(self) -> None:
        self._say(f"creating {self._size.components} Components")
        self._audit.mark()
        cpu = cpu_seconds(self._operator.pid)
        begun = time.monotonic()
        await self._all(self._size.components_of_all(), lambda each: self._client.create(Component(each)))
        self._figures.components_seconds = time.monotonic() - begun
        await self._until(self._all_ready, "every Component is ready")
        self._figures.ready_seconds = time.monotonic() - begun
        self._figures.ready_cpu = cpu_seconds(self._operator.pid) - cpu
        await self._until_quiet()
        self._figures.ready_calls = self._audit.calls()

    async def _change_components(self) -> None:
        self._say(f"changing {CHANGES} Components, one after the other")
        self._audit.mark()
        times = []
        for number in range(CHANGES):
            namespace = self._size.names()[number % self._size.namespaces]
            begun = time.monotonic()
            changed = component("store-0", namespace, database=1 + number)
            await self._client.patch(Component, "store-0", changed, namespace=namespace, patch_type=PatchType.MERGE)
            await self._until(partial(self._is_ready, namespace, "store-0"), "it is ready again")
            times.append(time.monotonic() - begun)
        await self._until_quiet()
        self._figures.change_seconds = median(times)
        self._figures.change_calls = self._audit.calls(_is_no_lease)

    async def _change_a_secret(self) -> None:
        self._say("changing a Secret")
        self._audit.mark()
        namespace = self._size.names()[-1]
        data = {"stringData": {"password": "changed-since"}}
        await self._client.patch(Secret, "redis", data, namespace=namespace, patch_type=PatchType.MERGE)
        await asyncio.sleep(1.0)
        await self._until_quiet()
        self._figures.secret_calls = self._audit.calls(_is_no_lease)

    async def _measure_admission(self) -> None:
        self._say("asking the webhooks")
        self._figures.admission = await admission_times(self._place.address, self._operator.pid, self._size)

    async def _restart(self) -> None:
        self._say("starting the operator anew")
        await asyncio.to_thread(self._operator.stop)
        begun = time.monotonic()
        await asyncio.to_thread(self._operator.start)
        self._figures.start_seconds = time.monotonic() - begun
        await self._until_quiet()

    async def _rest(self, seconds: int) -> None:
        self._say(f"watching the operator at rest for {seconds} s")
        self._audit.mark()
        cpu = cpu_seconds(self._operator.pid)
        await asyncio.sleep(seconds)
        self._figures.rest_seconds = seconds
        self._figures.rest_cpu = cpu_seconds(self._operator.pid) - cpu
        self._figures.rest_calls = self._audit.calls()
        self._figures.memory = memory(self._operator.pid)

    async def _all(self, items: Iterable[T], act: Callable[[T], Awaitable[Any]]) -> None:
        gate = asyncio.Semaphore(AT_ONCE)

        async def one(item: T) -> None:
            async with gate:
                await act(item)

        await asyncio.gather(*(one(item) for item in items))

    async def _all_ready(self) -> bool:
        found = [dict(each) async for each in self._client.list(Component, namespace="*")]
        return len(found) == self._size.components and all(map(_has_come_true, found))

    async def _is_ready(self, namespace: str, name: str) -> bool:
        return _has_come_true(dict(await self._client.get(Component, name, namespace=namespace)))

    async def _until(self, is_so: Callable[[], Awaitable[bool]], what: str) -> None:
        end = time.monotonic() + LIMIT_S
        while not await is_so():
            assert time.monotonic() < end, f"not within {LIMIT_S:g} s: {what}"
            await asyncio.sleep(0.2)

    async def _until_quiet(self) -> None:
        """Until the operator has called nothing but for its Lease for a while."""
        last, since = Counter[str](), time.monotonic()
        while time.monotonic() - since < QUIET_S:
            await asyncio.sleep(0.5)
            calls = self._audit.calls(_is_no_lease)
            if calls != last:
                last, since = calls, time.monotonic()


def _is_no_lease(entry: dict[str, Any]) -> bool:
    return bool(entry["objectRef"]["resource"] != "leases")


def _has_come_true(found: dict[str, Any]) -> bool:
    """Whether each condition is true, of the Component as it is now."""
    conditions = (found.get("status") or {}).get("conditions") or ()
    return bool(conditions) and all(
        each["status"] == "True" and each["observedGeneration"] == found["metadata"]["generation"]
        for each in conditions
    )
