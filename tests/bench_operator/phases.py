"""The phases of the measurement, one after the other, and their findings."""

import asyncio
import os
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

from pannier_operator.__main__ import log_in
from pannier_operator.cluster.client import MERGE_PATCH, KubernetesClient

AT_ONCE = 16
QUIET_S = 12.0
LIMIT_S = 900.0
T = TypeVar("T")

NAMESPACES = "/api/v1/namespaces"
COMPONENTS = "/apis/dapr.io/v1alpha1"


def pods(namespace: str) -> str:
    return f"{NAMESPACES}/{namespace}/pods"


def secrets(namespace: str) -> str:
    return f"{NAMESPACES}/{namespace}/secrets"


def components(namespace: str) -> str:
    return f"{COMPONENTS}/namespaces/{namespace}/components"


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
        os.environ["KUBECONFIG"] = str(self._place.cluster.kubeconfig)
        self._client = KubernetesClient(log_in)
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
        await self._all(namespaces, lambda name: self._create(NAMESPACES, {"metadata": {"name": name}}))
        await self._all(namespaces, lambda name: self._create(secrets(name), secret(name)))
        begun = time.monotonic()
        await self._all(self._size.pods_of_all(), self._make_pod)
        self._figures.pods_seconds = time.monotonic() - begun
        await self._until_quiet()

    async def _make_pod(self, manifest: dict[str, Any]) -> None:
        name, namespace = manifest["metadata"]["name"], manifest["metadata"]["namespace"]
        while "initContainers" not in (await self._create(pods(namespace), manifest))["spec"]:
            self._figures.pods_missed += 1
            await self._client.send("DELETE", f"{pods(namespace)}/{name}", {"gracePeriodSeconds": 0})
        await self._patch(f"{pods(namespace)}/{name}/status", running(sidecar_address(namespace)))

    async def _apply_components(self) -> None:
        self._say(f"creating {self._size.components} Components")
        self._audit.mark()
        cpu = cpu_seconds(self._operator.pid)
        begun = time.monotonic()
        await self._all(self._size.components_of_all(), self._apply)
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
            await self._patch(f"{components(namespace)}/store-0", changed)
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
        await self._patch(f"{secrets(namespace)}/redis", data)
        await asyncio.sleep(1.0)
        await self._until_quiet()
        self._figures.secret_calls = self._audit.calls(_is_no_lease)

    async def _measure_admission(self) -> None:
        self._say("asking the webhooks")
        self._figures.admission = await admission_times(self._place.address, self._operator.pid, self._size)

    async def _restart(self) -> None:
        self._say("starting the operator again")
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

    async def _apply(self, manifest: dict[str, Any]) -> None:
        await self._create(components(manifest["metadata"]["namespace"]), manifest)

    async def _create(self, path: str, manifest: dict[str, Any]) -> dict[str, Any]:
        created: dict[str, Any] = await self._client.send("POST", path, manifest)
        return created

    async def _patch(self, path: str, changes: dict[str, Any]) -> None:
        await self._client.send("PATCH", path, changes, content_type=MERGE_PATCH)

    async def _all(self, items: Iterable[T], act: Callable[[T], Awaitable[Any]]) -> None:
        gate = asyncio.Semaphore(AT_ONCE)

        async def one(item: T) -> None:
            async with gate:
                await act(item)

        await asyncio.gather(*(one(item) for item in items))

    async def _all_ready(self) -> bool:
        found = [each async for page in self._client.pages(f"{COMPONENTS}/components", 500) for each in page["items"]]
        return len(found) == self._size.components and all(map(_has_come_true, found))

    async def _is_ready(self, namespace: str, name: str) -> bool:
        return _has_come_true(await self._client.get(f"{components(namespace)}/{name}"))

    async def _until(self, is_so: Callable[[], Awaitable[bool]], what: str) -> None:
        end = time.monotonic() + LIMIT_S
        while not await is_so():
            assert time.monotonic() < end, f"not within {LIMIT_S:g} s: {what}"
            await asyncio.sleep(0.2)

    async def _until_quiet(self) -> None:
        """Wait until the operator has called only for its Lease for a while."""
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
