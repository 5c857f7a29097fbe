"""python webhooks_alone.py PORT CERTIFICATE: the operator's webhooks as a process, on a cluster in memory."""

from __future__ import annotations

import asyncio
import ssl
import sys
from typing import Any

from servers.cluster_in_memory import ClusterInMemory

from pannier_operator.cluster.cache import ClusterCache
from pannier_operator.cluster.namespaces import NamespaceCache
from pannier_operator.controller.reviews import AdmissionReviews
from pannier_operator.metrics import Metrics
from pannier_operator.objects.label_selectors import LabelSelector
from pannier_operator.settings import OperatorSettings
from pannier_operator.webhook.server import WebhookServer


async def main(port: int, certificate: str) -> None:
    api: Any = ClusterInMemory()
    reviews = AdmissionReviews(api, ClusterCache(), NamespaceCache(api, LabelSelector()), OperatorSettings(), Metrics())
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificate)

    async def judge_pod(review: Any, **_: Any) -> Any:
        verdict = await reviews.mutate_pod(review["request"]["object"], review["request"].get("namespace") or "")
        return {"response": {"allowed": verdict.is_admitted, "pod": verdict.pod}}

    async for _ in WebhookServer(port, context, reviews.answers)(judge_pod):
        print("it listens", flush=True)


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]), sys.argv[2]))
