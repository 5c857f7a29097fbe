"""Annotations of pods that have no effect: Events on the pod and on the workload that created it.

The warning at admission was sent to the controller that created the pod, where no human reads it.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

from pannier_operator.objects.app_ids import controller_of
from pannier_operator.status.events import event_of_mistake

if TYPE_CHECKING:
    from pannier_operator.cluster.api import ClusterApi
    from pannier_operator.cluster.cache import ClusterCache
    from pannier_operator.objects.kinds import OwnerReference
    from pannier_operator.objects.pod_kinds import CachedPod


class PodMistakes:
    """Reports mistakes in annotations, one namespace at a time."""

    def __init__(self, api: ClusterApi, cache: ClusterCache):
        self._api = api
        self._cache = cache
        self._reported: dict[str, dict[str, tuple[str, ...]]] = {}
        """For each namespace and pod uid, the mistakes that Events have been written about."""

    async def report(self, namespace: str) -> None:
        """Create Events for pods that are new or whose mistakes have changed."""
        pods = {pod["metadata"]["uid"]: pod for pod in self._cache.pods(namespace) if pod["mistakes"]}
        before = self._reported.pop(namespace, {})
        for uid, pod in pods.items():
            if before.get(uid) != pod["mistakes"]:
                await self._report(pod)
        if pods:
            self._reported[namespace] = {uid: pod["mistakes"] for uid, pod in pods.items()}

    async def _report(self, pod: CachedPod) -> None:
        """Create the Events of one pod. An Event that exists is not created again, so all pods of one owner cause one
        Event on the owner.
        """
        metadata = pod["metadata"]
        subjects: list[OwnerReference] = [
            {"apiVersion": "v1", "kind": "Pod", "name": metadata["name"], "uid": metadata["uid"]}
        ]
        owner = controller_of(metadata)
        if owner is not None:
            subjects.append(await self._api.owner_above(metadata["namespace"], owner) or owner)
        for subject in subjects:
            for mistake in pod["mistakes"]:
                event = event_of_mistake(subject, metadata["namespace"], mistake, datetime.now(UTC))
                await self._api.create_event(event)
