"""The one place that joins the operator's parts, and what its handlers call."""

from __future__ import annotations

import asyncio
import logging
import socket
import ssl
from typing import TYPE_CHECKING, Any, Final

from pannier_operator.admission.components import CLEANERS, concerns_neighbours, judge
from pannier_operator.admission.pods import PodVerdict, mutate, server_version_of
from pannier_operator.admission.verdict import Verdict
from pannier_operator.admission.workloads import warnings_for
from pannier_operator.cluster.cache import ClusterCache, is_own_secret
from pannier_operator.cluster.errors import ApiError
from pannier_operator.cluster.lease import LeaderElection
from pannier_operator.cluster.namespaces import NamespaceCache
from pannier_operator.cluster.probes import SidecarProber
from pannier_operator.cluster.resync import Resync
from pannier_operator.controller.health import HealthServers
from pannier_operator.controller.missed_pods import MissedPods
from pannier_operator.controller.reconciler import Reconciler
from pannier_operator.metrics import Metrics
from pannier_operator.objects.app_ids import INJECTION_LABEL, job_to_look_up
from pannier_operator.objects.namespace_components import component_in
from pannier_operator.objects.references import references_of
from pannier_operator.webhook.rotation import CertificateRotation

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from pannier_operator.admission.components import Operation
    from pannier_operator.cluster.api import ClusterApi
    from pannier_operator.settings import OperatorSettings

logger = logging.getLogger(__name__)

Manifest = dict[str, Any]

_RETRY: Final = 2.0
_LEAVING: Final = 5.0
"""Seconds that webhooks are answered after SIGTERM: so long may others still send requests to this replica."""


class ControlPlane:
    """What one replica does. kopf's handlers get it as their `memo`."""

    def __init__(self, settings: OperatorSettings, api: ClusterApi):
        own = settings.operator
        self._settings = settings
        self._api = api
        self._identity = own.pod_name or socket.gethostname()
        self._namespaces = NamespaceCache(api, own.namespace_selector)
        self._version = (1, 29)
        self._is_leaving = False
        self._tasks: list[asyncio.Task[None]] = []
        self.metrics = Metrics()
        self.state = ClusterCache()
        self.certificate = CertificateRotation(api, settings, self.metrics)
        self._reports = SidecarProber()
        self._missed = MissedPods(api, self.state, self._namespaces, settings.reconciling, self.metrics)
        self._reconciler = Reconciler(
            api, self.state, self._reports, self._missed, self._namespaces, settings.reconciling, self.metrics
        )
        self._resync = Resync(
            api,
            self.state,
            own.watched_namespaces,
            settings.reconciling.resync_interval,
            self.metrics,
            self._reconcile_all,
        )
        self._election = LeaderElection(
            api, settings.election, own.namespace, self._identity, self._lead, self._resync.request
        )
        self._servers = HealthServers(self.metrics, self.liveness, self.readiness, self._set_gauges)

    def __copy__(self) -> ControlPlane:
        """kopf copies its memo for every object; there is one control plane."""
        return self

    # --- its life -----------------------------------------------------------------------------------------------------

    async def prepare(self) -> None:
        """What must be there before the webhooks answer."""
        await self._servers.start(self._settings.observing.health_port, self._settings.observing.metrics_port)
        await self._find_version()
        await self.certificate.first()

    def start(self) -> list[asyncio.Task[None]]:
        """Everything that goes on beside kopf. None of these tasks ever ends by itself."""
        parts = (
            self.certificate.run(),
            self.certificate.watch_trust(),
            self._resync.run(),
            self._reconciler.run(),
            self._election.run(),
        )
        self._tasks = [asyncio.create_task(part) for part in parts]
        return self._tasks

    async def leave(self) -> None:
        """Give the Lease back, and answer webhooks until nobody sends any more."""
        self._is_leaving = True
        logger.info("Leaving in %g s", _LEAVING)
        await self._election.release()
        await asyncio.sleep(_LEAVING)

    async def stop(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._servers.stop()
        await self._reports.close()
        self.certificate.close()
        await self._api.close()

    async def _find_version(self) -> None:
        while True:
            try:
                self._version = server_version_of(await self._api.server_info())
            except (ApiError, ValueError) as error:
                logger.warning("The API server does not tell its version: %s", error)
                await asyncio.sleep(_RETRY)
            else:
                return

    # --- what handlers call -------------------------------------------------------------------------------------------

    def observe(self, kind: str, is_gone: bool, manifest: Manifest) -> None:
        """A watch tells of an object."""
        metadata = manifest["metadata"]
        own = self._settings.operator
        if metadata["namespace"] == own.namespace:
            if kind == "pods" and metadata["name"] == self._election.holder != self._identity:
                if is_gone or metadata.get("deletionTimestamp"):
                    self._election.notify()
            if kind == "secrets" and metadata["name"] == self._settings.certificate.secret:
                self.certificate.notify()
        if self.state.observe(kind, is_gone, manifest):
            self._reconciler.enqueue(metadata["namespace"])

    async def judge_component(
        self, operation: Operation, namespace: str, new: Manifest | None, old: Manifest | None, requester: str
    ) -> Verdict:
        """The verdict. No fault of ours keeps anybody from deleting."""
        if operation != "DELETE":
            return await self._judge(operation, namespace, new, old, requester)
        if requester in CLEANERS:
            return Verdict()
        try:
            return await self._judge(operation, namespace, new, old, requester)
        except Exception:
            logger.exception("The deletion of a Component in namespace %s is admitted unjudged", namespace)
            return Verdict()

    async def _judge(
        self, operation: Operation, namespace: str, new: Manifest | None, old: Manifest | None, requester: str
    ) -> Verdict:
        """Where the neighbours cannot be read, nothing is admitted but deletions."""
        try:
            neighbours = await self._api.components_in(namespace) if concerns_neighbours(new, old) else ()
            known_secrets = await self._known_secrets(namespace, new)
        except ApiError as error:
            logger.warning("A Component of namespace %s cannot be judged: %s", namespace, error)
            if operation == "DELETE":
                return Verdict()
            return Verdict((f"Pannier cannot read what is in the namespace now ({error}); try again in a moment",))
        verdict = judge(
            operation,
            new,
            old,
            neighbours,
            self.state.running_apps(namespace, with_ending=operation != "DELETE"),
            known_secrets=known_secrets,
            requester=requester,
            admits_unserved_types=self._settings.webhook.admits_unserved_types,
        )
        self._count_admission("components", verdict.is_admitted)
        return verdict

    async def mutate_pod(self, pod: Manifest, namespace: str) -> PodVerdict:
        """A fault of ours lets the pod through as it is, unless its namespace requires a sidecar; it is found later."""
        facts = await self._namespaces.facts_of(namespace)
        try:
            verdict = mutate(
                pod,
                facts.labels,
                self._settings,
                namespace=namespace,
                server_version=self._version,
                cron_job=await self._cron_job_of(pod, namespace),
                bounds=facts.bounds,
            )
        except Exception:
            if facts.labels.get(INJECTION_LABEL) == "required":
                raise
            logger.exception("A pod in namespace %s gets no sidecar, by a fault of the operator", namespace)
            verdict = PodVerdict(warnings=("no sidecar is injected: the operator failed, its log says why",), pod=pod)
        self._count_admission("pods", verdict.is_admitted)
        return verdict

    async def _cron_job_of(self, pod: Manifest, namespace: str) -> str:
        """The name of the CronJob that the pod's Job was made from; empty where there is none, or nobody answers."""
        job = job_to_look_up(pod)
        try:
            above = await self._api.owner_above(namespace, job) if job is not None else None
        except ApiError as error:
            logger.warning("A Job of namespace %s cannot be read, so its own name is the app id: %s", namespace, error)
            return ""
        return str(above["name"]) if above is not None and above.get("kind") == "CronJob" else ""

    async def judge_workload(self, review: Manifest) -> Manifest:
        """Admit a workload, with warnings about what its pods' annotations say. `review` is an AdmissionReview."""
        request = review["request"]
        namespace = request.get("namespace") or ""
        try:
            facts = await self._namespaces.facts_of(namespace)
            warnings = warnings_for(
                request.get("object") or {},
                facts.labels,
                self._settings,
                namespace=namespace,
                server_version=self._version,
                bounds=facts.bounds,
            )
        except Exception:  # nothing that we could not read may hold up a workload
            logger.exception("A workload in namespace %s was not judged, by a fault of the operator", namespace)
            warnings = ()
        response = {"uid": request["uid"], "allowed": True, "warnings": list(warnings)}
        return {"apiVersion": review["apiVersion"], "kind": "AdmissionReview", "response": response}

    async def _known_secrets(self, namespace: str, new: Manifest | None) -> Mapping[str, Collection[str]] | None:
        """The keys of the namespace's Secrets. One that is referred to and not known yet is asked for: it may have been
        made a moment ago, by the same `kubectl apply`."""
        known: dict[str, Collection[str]] = {
            secret["metadata"]["name"]: tuple(secret["data"])
            for secret in self.state.secrets(namespace)
            if not is_own_secret(secret)
        }
        for name, key in _references_in(new):
            if key not in known.get(name, ()):
                found = await self._api.secret(namespace, name)
                if found is not None:
                    known[name] = tuple(found.get("data") or ())
        return known

    def _count_admission(self, webhook: str, is_admitted: bool) -> None:
        self.metrics.count("admissions_total", webhook=webhook, answer="admitted" if is_admitted else "refused")

    # --- health -------------------------------------------------------------------------------------------------------

    async def liveness(self) -> list[str]:
        """What only a restart could mend."""
        problems = self._resync.problems()
        problems += [f"a part has ended: {task.exception()!r}" for task in self._tasks if _has_failed(task)]
        if self._tasks and not self._is_leaving:
            problems += await self._webhook_problems()
        return problems

    async def readiness(self) -> list[str]:
        """What keeps this replica from answering webhooks."""
        if self._is_leaving:
            return ["leaving"]
        problems = [] if self.certificate.is_valid() else ["there is no valid certificate"]
        problems += [] if self.state.is_filled else ["the cluster has not been looked at yet"]
        return problems + await self._webhook_problems()

    async def _webhook_problems(self) -> list[str]:
        """A handshake with our own server, as the API server would make it."""
        trusting = ssl.create_default_context()
        trusting.check_hostname = False
        trusting.verify_mode = ssl.CERT_NONE
        port = self._settings.webhook.listen_port
        try:
            async with asyncio.timeout(3):
                _, writer = await asyncio.open_connection("127.0.0.1", port, ssl=trusting)
                writer.close()
                await writer.wait_closed()
        except (OSError, TimeoutError) as error:
            return [f"the webhook server on port {port} does not answer: {error or 'no answer in 3 s'}"]
        return []

    # --- what its parts call ------------------------------------------------------------------------------------------

    def _lead(self, leads: bool) -> None:
        self._reconciler.lead(leads and self.state.is_filled)

    def _reconcile_all(self) -> None:
        if self._election.leads:
            self._reconciler.lead(True)

    def _set_gauges(self) -> None:
        self.metrics.set("leader", int(self._election.leads))
        self._missed.count()
        self._reconciler.count()


def _references_in(manifest: Manifest | None) -> list[tuple[str, str]]:
    component = None if manifest is None else component_in(manifest)
    if component is None:
        return []
    return [(reference.name, reference.key) for _, reference in references_of(component)]


def _has_failed(task: asyncio.Task[None]) -> bool:
    return task.done() and not task.cancelled() and task.exception() is not None
