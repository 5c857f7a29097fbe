"""The one place that joins the operator's parts: makes them, starts and stops them, and passes watch events on."""

from __future__ import annotations

import asyncio
import logging
import socket
from typing import TYPE_CHECKING, Final

from pannier_operator.cluster.cache import ClusterCache
from pannier_operator.cluster.lease import LeaderElection
from pannier_operator.cluster.namespaces import NamespaceCache
from pannier_operator.cluster.probes import SidecarProber
from pannier_operator.cluster.resync import Resync
from pannier_operator.cluster.server_version import read_server_version
from pannier_operator.controller.endpoints import Endpoints
from pannier_operator.controller.health import Health
from pannier_operator.controller.missed_pods import MissedPods
from pannier_operator.controller.reconciler import Reconciler
from pannier_operator.controller.reviews import AdmissionReviews
from pannier_operator.metrics import Metrics
from pannier_operator.webhook.rotation import CertificateRotation

if TYPE_CHECKING:
    from pannier_operator.cluster.api import ClusterApi
    from pannier_operator.objects.kinds import Object, ObjectMeta
    from pannier_operator.settings import OperatorSettings

logger = logging.getLogger(__name__)


_LEAVING: Final = 5.0
"""Seconds for which webhooks are still answered after SIGTERM: API servers may send requests here for that long."""


class ControlPlane:
    """All parts of one replica. kopf's handlers get it as their `memo`."""

    def __init__(self, settings: OperatorSettings, api: ClusterApi):
        own, reconciling = settings.operator, settings.reconciling
        self._settings = settings
        self._api = api
        self._identity = own.pod_name or socket.gethostname()
        self._tasks: list[asyncio.Task[None]] = []
        self._metrics = Metrics()
        self._cache = ClusterCache()
        self._prober = SidecarProber()
        namespaces = NamespaceCache(api, own.namespace_selector)
        self.certificate = CertificateRotation(api, settings, self._metrics)
        self.reviews = AdmissionReviews(api, self._cache, namespaces, settings, self._metrics)
        self._missed_pods = MissedPods(api, self._cache, namespaces, reconciling, self._metrics)
        self._reconciler = Reconciler(
            api,
            self._cache,
            self._prober,
            self._missed_pods,
            namespaces,
            reconciling,
            self._metrics,
            admits_unknown_policies=settings.sidecar.profile == "dapr",
        )
        self._resync = Resync(
            api, self._cache, own.watched_namespaces, reconciling.resync_interval, self._metrics, self._reconcile_all
        )
        self._election = LeaderElection(
            api, settings.election, own.namespace, self._identity, self._lead, self._resync.request
        )
        self._health = Health(self._cache, self._resync, self.certificate, settings.webhook.listen_port)
        self._endpoints = Endpoints(self._metrics, self._health.liveness, self._health.readiness, self._set_gauges)

    def __copy__(self) -> ControlPlane:
        """Return itself: kopf copies its memo for every object, and there is one control plane."""
        return self

    async def prepare(self) -> None:
        """Prepare what the webhooks need before they can answer."""
        await self._endpoints.start(self._settings.observing.health_port, self._settings.observing.metrics_port)
        self.reviews.server_version = await read_server_version(self._api)
        await self.certificate.first()

    def start(self) -> list[asyncio.Task[None]]:
        """Start everything that runs beside kopf. None of these tasks ever ends by itself."""
        parts = (
            self.certificate.run(),
            self.certificate.watch_trust(),
            self._resync.run(),
            self._reconciler.run(),
            self._election.run(),
        )
        self._tasks = [asyncio.create_task(part) for part in parts]
        self._health.tasks = self._tasks
        return self._tasks

    async def leave(self) -> None:
        """Give the Lease back, and go on answering webhooks until API servers send no more."""
        self._health.is_leaving = True
        logger.info("Leaving in %g s", _LEAVING)
        await self._election.release()
        await asyncio.sleep(_LEAVING)

    async def stop(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._endpoints.stop()
        await self._prober.close()
        self.certificate.close()
        await self._api.close()

    def observe(self, kind: str, is_gone: bool, manifest: Object) -> None:
        """Take a watch event: update the cache, and enqueue the namespace if anything that matters has changed."""
        self._notify_of_own_objects(kind, is_gone, manifest["metadata"])
        if self._cache.observe(kind, is_gone, manifest):
            self._reconciler.enqueue(manifest["metadata"]["namespace"])

    def _notify_of_own_objects(self, kind: str, is_gone: bool, metadata: ObjectMeta) -> None:
        """Notify the election of the end of the leader's pod, and the rotation of a change of its Secret."""
        if metadata["namespace"] != self._settings.operator.namespace:
            return
        if kind == "pods" and metadata["name"] == self._election.holder != self._identity:
            if is_gone or metadata.get("deletionTimestamp"):
                self._election.notify()
        if kind == "secrets" and metadata["name"] == self._settings.certificate.secret:
            self.certificate.notify()

    def _lead(self, leads: bool) -> None:
        self._reconciler.lead(leads and self._cache.is_filled)

    def _reconcile_all(self) -> None:
        """Enqueue everything after a resync, and forget what is gone. A scrape does the latter too, but may never
        come.
        """
        self._set_gauges()
        if self._election.leads:
            self._reconciler.lead(True)

    def _set_gauges(self) -> None:
        self._metrics.set("leader", int(self._election.leads))
        self._missed_pods.count()
        self._reconciler.count()
