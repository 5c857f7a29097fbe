"""Pods that ask for a sidecar and have none, because no webhook answered when they were created.

They are reported, and evicted if that is enabled.
"""

from __future__ import annotations

import logging
import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

from pannier_operator.cluster.cached_objects import is_missed
from pannier_operator.controller.eviction import EvictionRate, is_recreated
from pannier_operator.objects.app_ids import MIRROR_ANNOTATION
from pannier_operator.status.events import event_of_eviction, event_of_missed_pod

if TYPE_CHECKING:
    from pannier_operator.cluster.api import ClusterApi
    from pannier_operator.cluster.cache import ClusterCache
    from pannier_operator.cluster.namespaces import NamespaceCache
    from pannier_operator.metrics import Metrics
    from pannier_operator.objects.pod_kinds import CachedPod
    from pannier_operator.settings import ReconcilingSettings

logger = logging.getLogger(__name__)

_SYSTEM_NAMESPACES: Final = ("kube-system", "kube-public", "kube-node-lease")
_RETRY: Final = 5.0
"""Seconds until an eviction that was not allowed is tried again."""


class MissedPods:
    """Reports and evicts missed pods, one namespace at a time."""

    def __init__(
        self,
        api: ClusterApi,
        cache: ClusterCache,
        namespaces: NamespaceCache,
        settings: ReconcilingSettings,
        metrics: Metrics,
    ):
        self._api = api
        self._cache = cache
        self._namespaces = namespaces
        self._settings = settings
        self._metrics = metrics
        self._rate = EvictionRate(settings.evictions_per_minute)
        self._reported: set[str] = set()

    async def handle(self, namespace: str) -> float | None:
        """Report the missed pods of a namespace, and evict those that may be; return the seconds until the next
        attempt, if any.
        """
        missed = {pod["metadata"]["uid"]: pod for pod in self._cache.pods(namespace) if _counts(pod)}
        if missed and await self._namespaces.expects_no_sidecars(namespace):
            return None
        for uid in missed.keys() - self._reported:
            pod = missed[uid]
            await self._api.create_event(event_of_missed_pod(pod, datetime.now(UTC)))
            logger.warning("Pod %s/%s asks for a sidecar and has none", namespace, pod["metadata"]["name"])
            self._reported.add(uid)
        if not self._settings.evicts_missed_pods:
            return None
        waiting = [pod for pod in missed.values() if is_recreated(pod) and not await self._evict(pod)]
        return _RETRY if waiting else None

    def count(self) -> None:
        """Set the gauge of missed pods, and forget those that are gone."""
        missed = {pod["metadata"]["uid"] for pod in self._cache.missed_pods() if _counts(pod)}
        self._metrics.set("missed_pods", len(missed))
        self._reported &= missed

    async def _evict(self, pod: CachedPod) -> bool:
        now = time.monotonic()
        if not self._rate.allows(now) or not await self._api.evict(pod):
            return False
        self._rate.record(now)
        self._metrics.count("evictions_total")
        await self._api.create_event(event_of_eviction(pod, datetime.now(UTC)))
        logger.info("Evicted pod %s/%s", pod["metadata"]["namespace"], pod["metadata"]["name"])
        return True


def _counts(pod: CachedPod) -> bool:
    metadata = pod["metadata"]
    is_exempt = metadata["namespace"] in _SYSTEM_NAMESPACES or MIRROR_ANNOTATION in (metadata.get("annotations") or {})
    return is_missed(pod) and not is_exempt
