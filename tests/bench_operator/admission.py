"""How long the webhooks take: we send the requests that an API server sends, so that nothing else is measured."""

import asyncio
import ssl
import time
from collections.abc import Callable
from functools import partial
from statistics import median
from typing import Any, NamedTuple

import aiohttp
from bench.process_stats import cpu_seconds
from bench_operator.objects import Size, component, pod

REQUESTS = 1000
AT_ONCE = (1, 8)


class Times(NamedTuple):
    """Times of one kind of request, in milliseconds, with this many in progress at once."""

    what: str
    at_once: int
    p50: float
    p99: float
    cpu: float
    """CPU time of the operator for each request."""


async def admission_times(address: str, pid: int, size: Size) -> list[Times]:
    trusting = ssl.create_default_context()
    trusting.check_hostname = False
    trusting.verify_mode = ssl.CERT_NONE
    found = []
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(ssl=trusting)) as session:
        for what, review in REVIEWS.items():
            reviews = [review(number, size) for number in range(REQUESTS)]
            url = f"https://{address}:9443/{reviews[0]['request']['resource']['resource']}"
            for at_once in AT_ONCE:
                await _times(session, url, reviews[:50], at_once)
                cpu = cpu_seconds(pid)
                times = await _times(session, url, reviews, at_once)
                cpu = (cpu_seconds(pid) - cpu) / len(times)
                found.append(Times(what, at_once, median(times) * 1e3, _percentile(times, 99) * 1e3, cpu * 1e3))
    return found


async def _times(session: aiohttp.ClientSession, url: str, reviews: list[dict[str, Any]], at_once: int) -> list[float]:
    waiting = iter(reviews)
    times: list[float] = []

    async def probe() -> None:
        for review in waiting:
            begun = time.perf_counter()
            async with session.post(url, json=review) as answer:
                response = (await answer.json(content_type=None))["response"]
            times.append(time.perf_counter() - begun)
            assert response["allowed"], response

    await asyncio.gather(*(probe() for _ in range(at_once)))
    return times


def _percentile(times: list[float], percent: int) -> float:
    return sorted(times)[len(times) * percent // 100]


def _of_component(number: int, size: Size, *, holds_actor_state: bool = False) -> dict[str, Any]:
    manifest = component(f"new-{number}", _namespace(number, size), holds_actor_state=holds_actor_state)
    return _review(manifest, number, "components", "dapr.io", "v1alpha1")


def _of_one_namespace(number: int, size: Size) -> dict[str, Any]:
    """As when one `kubectl apply` creates several."""
    manifest = component(f"new-{number}", size.names()[0], holds_actor_state=True)
    return _review(manifest, number, "components", "dapr.io", "v1alpha1")


def _of_pod(number: int, size: Size) -> dict[str, Any]:
    return _review(pod("app-0", number, _namespace(number, size)), number, "pods", "", "v1")


REVIEWS: dict[str, Callable[[int, Size], dict[str, Any]]] = {
    "components": _of_component,
    "actor state stores": partial(_of_component, holds_actor_state=True),
    "actor state stores of one namespace": _of_one_namespace,
    "pods": _of_pod,
}
"""An actor state store is judged together with the others of its namespace, whose versions are read for that."""


def _namespace(number: int, size: Size) -> str:
    return size.names()[number % size.namespaces]


def _review(manifest: dict[str, Any], number: int, resource: str, group: str, version: str) -> dict[str, Any]:
    """What an API server sends when an object is created. The object is judged, but not stored."""
    request = {
        "uid": f"bench-{number}",
        "kind": {"group": group, "version": version, "kind": manifest["kind"]},
        "resource": {"group": group, "version": version, "resource": resource},
        "name": manifest["metadata"]["name"],
        "namespace": manifest["metadata"]["namespace"],
        "operation": "CREATE",
        "userInfo": {"username": "admin"},
        "object": manifest,
        "oldObject": None,
        "dryRun": True,
        "options": {},
    }
    return {"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "request": request}
