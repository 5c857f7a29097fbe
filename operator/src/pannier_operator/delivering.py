"""Brings each app what its sidecars should see: writes its Secret, and has the kubelet show it to the app's pods."""

from __future__ import annotations

import asyncio
import logging
import secrets as randomness
import time
from typing import TYPE_CHECKING, Any, Final

from pannier_operator.app_ids import app_id_of
from pannier_operator.app_secret import differs, generations_in, secret_name, version_in, with_version
from pannier_operator.cluster_state import is_own_secret
from pannier_operator.delivery import secret_for
from pannier_operator.touching import COMPONENTS_ANNOTATION, mark_for

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from pannier_operator.app_secret import TooLarge
    from pannier_operator.asking import SidecarReports
    from pannier_operator.cluster_api import ClusterApi
    from pannier_operator.cluster_state import ClusterState
    from pannier_operator.metrics import Metrics
    from pannier_operator.neighbourhood import Neighbourhood

logger = logging.getLogger(__name__)

Manifest = dict[str, Any]

_PODS_AT_ONCE: Final = 16


class Delivering:
    """Writes and removes the Secrets of apps."""

    def __init__(
        self, api: ClusterApi, state: ClusterState, reports: SidecarReports, unused_grace: float, metrics: Metrics
    ):
        """`unused_grace`: seconds that the Secret of an app without pods is kept."""
        self._api = api
        self._state = state
        self._reports = reports
        self._unused_grace = unused_grace
        self._metrics = metrics
        self._gate = asyncio.Semaphore(_PODS_AT_ONCE)
        self._unused_since: dict[str, float] = {}

    async def deliver(
        self,
        app: str,
        namespace: str,
        neighbourhood: Neighbourhood,
        secrets: Mapping[str, Mapping[str, bytes]],
        pods: Iterable[Manifest],
    ) -> list[TooLarge]:
        """See to one app, given all pods of its namespace; what did not fit into its Secret."""
        wanted = secret_for(app, namespace, neighbourhood, secrets)
        existing = self._state.secret(namespace, secret_name(app))
        if existing is not None and not is_own_secret(existing):
            logger.warning("Secret %s/%s is not Pannier's; app %s gets none", namespace, secret_name(app), app)
            return wanted.too_large
        if differs(wanted.manifest, existing):
            written = await self._api.apply_secret(with_version(wanted.manifest, randomness.token_hex(8)))
            self._state.learn("secrets", written)
            self._metrics.count("secrets_written_total")
            logger.info("Delivered %d components to app %s in %s", len(generations_in(written)), app, namespace)
        kept = self._state.secret(namespace, secret_name(app))
        if kept is not None:
            await asyncio.gather(*(self._show(kept, pod) for pod in pods if app_id_of(pod) == app))
        return wanted.too_large

    async def _show(self, secret: Manifest, pod: Manifest) -> None:
        """Have the kubelet refresh the pod's volume now, where it may show an earlier version of the Secret."""
        missed = self._reports.missed(pod, version_in(secret))
        mark = mark_for(pod, secret, missed)
        if mark is None:
            return
        if missed:
            self._metrics.count("late_deliveries_total")
            logger.info("Pod %s has not got its components yet and is touched again", pod["metadata"]["name"])
        async with self._gate:
            touched = await self._api.annotate_pod(pod, {COMPONENTS_ANNOTATION: mark})
        if touched is not None:
            self._state.learn("pods", touched)

    async def remove_unused(self, namespace: str, apps: Iterable[str]) -> float | None:
        """Remove Secrets of other apps, some time after the last pod has gone: it may come back. Seconds until the next
        is due."""
        used = {secret_name(app) for app in apps}
        pauses = []
        for secret in self._state.own_secrets(namespace):
            uid = secret["metadata"]["uid"]
            if secret["metadata"]["name"] in used:
                self._unused_since.pop(uid, None)
                continue
            since = self._unused_since.setdefault(uid, time.monotonic())
            left = since + self._unused_grace - time.monotonic()
            if left > 0:
                pauses.append(left)
                continue
            await self._api.delete_secret(secret)
            del self._unused_since[uid]
            logger.info("Removed Secret %s/%s, which no pod uses", namespace, secret["metadata"]["name"])
        return min(pauses, default=None)
