"""How long the webhooks take: the requests that an API server sends, sent by us, so that nothing else is measured."""

import asyncio
import ssl
import time
from statistics import median
from typing import Any, NamedTuple

import aiohttp
from bench.process_stats import cpu_seconds
from bench_operator.objects import Size, component, pod

REQUESTS = 1000
AT_ONCE = (1, 8)


class Times(NamedTuple):
    """Of one webhook, with so many requests under way at once; milliseconds."""

    webhook: str
    at_once: int
    p50: float
    p99: float
    cpu: float
    """Of the operator, for each request."""


async def admission_times(address: str, pid: int, size: Size) -> list[Times]:
    trusting = ssl.create_default_context()
    trusting.check_hostname = False
    trusting.verify_mode = ssl.CERT_NONE
    found = []
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(ssl=trusting)) as session:
        for webhook in ("components", "pods"):
            url = f"https://{address}:9443/{webhook}"
            reviews = [_review(webhook, number, size) for number in range(REQUESTS)]
            for at_once in AT_ONCE:
                await _times(session, url, reviews[:50], at_once)
                cpu = cpu_seconds(pid)
                times = await _times(session, url, reviews, at_once)
                cpu = (cpu_seconds(pid) - cpu) / len(times)
                found.append(Times(webhook, at_once, median(times) * 1e3, _percentile(times, 99) * 1e3, cpu * 1e3))
    return found


async def _times(session: aiohttp.ClientSession, url: str, reviews: list[dict[str, Any]], at_once: int) -> list[float]:
    waiting = iter(reviews)
    times: list[float] = []

    async def ask() -> None:
        for review in waiting:
            begun = time.perf_counter()
            async with session.post(url, json=review) as answer:
                response = (await answer.json(content_type=None))["response"]
            times.append(time.perf_counter() - begun)
            assert response["allowed"], response

    await asyncio.gather(*(ask() for _ in range(at_once)))
    return times


def _percentile(times: list[float], percent: int) -> float:
    return sorted(times)[len(times) * percent // 100]


def _review(webhook: str, number: int, size: Size) -> dict[str, Any]:
    """What an API server sends when an object is created. It is judged and nothing is kept."""
    namespace = size.names()[number % size.namespaces]
    is_component = webhook == "components"
    manifest = component(f"new-{number}", namespace) if is_component else pod("app-0", number, namespace)
    group, version, kind = ("dapr.io", "v1alpha1", "Component") if is_component else ("", "v1", "Pod")
    request = {
        "uid": f"bench-{number}",
        "kind": {"group": group, "version": version, "kind": kind},
        "resource": {"group": group, "version": version, "resource": webhook},
        "name": manifest["metadata"]["name"],
        "namespace": namespace,
        "operation": "CREATE",
        "userInfo": {"username": "admin"},
        "object": manifest,
        "oldObject": None,
        "dryRun": True,
        "options": {},
    }
    return {"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "request": request}
