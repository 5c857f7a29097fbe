"""Answers to admission reviews: reads what a verdict depends on, and has `admission` decide."""

from __future__ import annotations

import logging
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from pannier_operator.admission.components import CLEANERS, concerns_neighbours, judge
from pannier_operator.admission.configurations import judge_configuration, named_by
from pannier_operator.admission.pods import NATIVE_FROM, PodVerdict, asks_for_components, mutate
from pannier_operator.admission.resiliencies import judge_resiliency
from pannier_operator.admission.verdict import Verdict
from pannier_operator.admission.workloads import pod_of, warnings_for
from pannier_operator.cluster.current_components import CurrentComponents
from pannier_operator.cluster.errors import ApiError
from pannier_operator.cluster.known_secrets import KnownSecrets
from pannier_operator.cluster.shared_reads import SharedReads
from pannier_operator.objects.app_ids import DISABLED, INJECTION_LABEL, job_to_look_up, lacks_sidecar
from pannier_operator.objects.namespace_components import component_in, text_of
from pannier_operator.objects.namespace_configurations import judge_alone, missing
from pannier_operator.objects.references import references_in

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence
    from contextlib import AbstractContextManager

    from pannier_crds.component import Component
    from pannier_crds.configuration import Configuration
    from pannier_operator.admission.components import Operation
    from pannier_operator.cluster.api import ClusterApi
    from pannier_operator.cluster.cache import ClusterCache
    from pannier_operator.cluster.namespaces import NamespaceCache, NamespaceFacts
    from pannier_operator.metrics import Metrics
    from pannier_operator.objects import kinds, pod_kinds
    from pannier_operator.settings import OperatorSettings

logger = logging.getLogger(__name__)

_REFUSED: Final = 422
_FAILED: Final = "no sidecar is injected: the operator failed, its log says why"


class AdmissionReviews:
    """Judges Components, Resiliency objects, Configurations, pods and workloads. Every replica does this."""

    def __init__(
        self,
        api: ClusterApi,
        cache: ClusterCache,
        namespaces: NamespaceCache,
        settings: OperatorSettings,
        metrics: Metrics,
    ):
        self._api = api
        self._cache = cache
        self._namespaces = namespaces
        self._settings = settings
        self._metrics = metrics
        self._known_secrets = KnownSecrets(api, cache)
        self._components = SharedReads(CurrentComponents(api, cache).of)
        self.server_version = NATIVE_FROM
        """The API server's version. No webhook is answered before it has been read."""
        self._resiliencies = SharedReads(api.resiliencies_in)
        self.answers = {
            "components": self.review_component,
            "resiliencies": self.review_resiliency,
            "configurations": self.review_configuration,
            "workloads": self.judge_workload,
        }
        """The functions that answer whole reviews, by the path of the webhook."""

    def timed(self, webhook: str) -> AbstractContextManager[object]:
        """Return a context whose duration is counted as that of one answer."""
        return self._metrics.time("admission_duration_seconds", webhook=webhook)

    async def review_component(self, review: kinds.AdmissionReview) -> kinds.AdmissionReview:
        """Answer the AdmissionReview of a Component.

        It does not go through kopf, which keeps something of each object in memory, even if the object no longer
        exists.
        """
        request = review["request"]
        new, old = request.get("object"), request.get("oldObject")
        requester = str(request["userInfo"].get("username"))
        with self.timed("components"):
            verdict = await self.judge_component(
                request["operation"], request.get("namespace") or "", new, old, requester
            )
        return _answering_with(verdict, review)

    async def review_resiliency(self, review: kinds.AdmissionReview) -> kinds.AdmissionReview:
        """Answer the AdmissionReview of a Resiliency."""
        request = review["request"]
        with self.timed("resiliencies"):
            verdict = await self.judge_resiliency(
                request.get("namespace") or "", request.get("object"), request.get("oldObject")
            )
        self._count("resiliencies", verdict.is_admitted)
        return _answering_with(verdict, review)

    async def judge_resiliency(
        self, namespace: str, new: kinds.Resiliency | None, old: kinds.Resiliency | None
    ) -> Verdict:
        """Return the verdict on a Resiliency.

        One that would be refused is judged again with the other objects as they are now: the same `kubectl apply` may
        have created the one that defines a policy a moment ago, before the watch reports it.
        """
        judged = partial(
            judge_resiliency,
            new,
            old,
            components=self._cache.components(namespace),
            admits_unknown_names=self._settings.sidecar.profile == "dapr",
        )
        verdict = judged(self._cache.resiliencies(namespace))
        if verdict.is_admitted:
            return verdict
        try:
            return judged(await self._resiliencies.of(namespace))
        except ApiError as error:
            logger.warning("The Resiliency objects of namespace %s cannot be read: %s", namespace, error)
            return verdict

    async def review_configuration(self, review: kinds.AdmissionReview) -> kinds.AdmissionReview:
        """Answer the AdmissionReview of a Configuration. If its Secrets cannot be read, they are not warned of."""
        request = review["request"]
        namespace, new = request.get("namespace") or "", request.get("object")
        with self.timed("configurations"):
            member = None if new is None else judge_alone(new)
            known_secrets = await self._secrets_for(namespace, None if member is None else member.accepted)
            verdict = judge_configuration(member, request.get("oldObject"), known_secrets)
        self._count("configurations", verdict.is_admitted)
        return _answering_with(verdict, review)

    async def _secrets_for(
        self, namespace: str, configuration: Configuration | None
    ) -> Mapping[str, Collection[str]] | None:
        """Return the keys of the namespace's Secrets; None if those that are referred to cannot be read."""
        references = [] if configuration is None else [reference for _, reference in configuration.secret_references]
        try:
            return await self._known_secrets.keys_in(namespace, references)
        except ApiError as error:
            logger.warning("The Secrets of namespace %s cannot be read: %s", namespace, error)
            return None

    async def _about_configuration(self, pod: pod_kinds.Pod | None, namespace: str) -> tuple[str, ...]:
        """Return a warning if the Configuration that a new pod names does not exist: the pod will wait for it.

        The same `kubectl apply` may have created it a moment ago, so the API server is asked for one that is not in the
        cache.
        """
        name = named_by(pod)
        known = {text_of(each, "name") for each in self._cache.configurations(namespace)}
        try:
            if not name or name in known or await self._api.configuration(namespace, name) is not None:
                return ()
        except ApiError as error:
            logger.warning("The Configurations of namespace %s cannot be read: %s", namespace, error)
            return ()
        return (f"{missing(name, known)}; until then pods do not start",)

    async def judge_component(
        self,
        operation: Operation,
        namespace: str,
        new: kinds.Component | None,
        old: kinds.Component | None,
        requester: str,
    ) -> Verdict:
        """Return the verdict on a Component. A failure of the operator never prevents a deletion."""
        if operation != "DELETE":
            return await self._judge(operation, namespace, new, old, requester)
        if requester in CLEANERS:
            return Verdict()
        try:
            return await self._judge(operation, namespace, new, old, requester)
        except Exception:
            logger.exception("The deletion of a Component in namespace %s is admitted without being checked", namespace)
            return Verdict()

    async def _judge(
        self,
        operation: Operation,
        namespace: str,
        new: kinds.Component | None,
        old: kinds.Component | None,
        requester: str,
    ) -> Verdict:
        """Read what the verdict depends on, and decide. If it cannot be read, only deletions are admitted."""
        try:
            neighbours = await self._components.of(namespace) if concerns_neighbours(new, old) else ()
            known_secrets = await self._known_secrets.keys_in(namespace, references_in(new))
        except ApiError as error:
            logger.warning("A Component of namespace %s cannot be judged: %s", namespace, error)
            if operation == "DELETE":
                return Verdict()
            self._count("components", False)
            return Verdict((f"Pannier cannot read what is in the namespace now ({error}); try again in a moment",))
        verdict = judge(
            operation,
            new,
            old,
            neighbours,
            self._cache.running_apps(namespace, with_ending=operation != "DELETE"),
            known_secrets=known_secrets,
            requester=requester,
            admits_unserved_types=self._settings.webhook.admits_unserved_types,
        )
        self._count("components", verdict.is_admitted)
        return verdict

    async def mutate_pod(self, pod: pod_kinds.Pod, namespace: str) -> PodVerdict:
        """Return the verdict on a new pod, and the pod with its sidecar.

        If the operator fails, the pod is admitted unchanged unless its namespace requires a sidecar. `MissedPods` finds
        it later.
        """
        facts = await self._namespaces.facts_of(namespace)
        verdict = await self._mutate(pod, namespace, facts)
        if verdict is None or (verdict.pod is pod and lacks_sidecar(pod)):
            # It gets no sidecar although it asks for one: check that with the namespace's current labels.
            facts = await self._namespaces.facts_of(namespace, is_current=True)
            verdict = await self._mutate(pod, namespace, facts)
        verdict = verdict or PodVerdict(warnings=(_FAILED,), pod=pod)
        self._count("pods", verdict.is_admitted)
        return verdict

    async def _mutate(self, pod: pod_kinds.Pod, namespace: str, facts: NamespaceFacts) -> PodVerdict | None:
        """Return the verdict; None if the operator fails and the namespace does not require a sidecar."""
        try:
            return mutate(
                pod,
                facts.labels,
                self._settings,
                namespace=namespace,
                server_version=self.server_version,
                cron_job=await self._cron_job_of(pod, namespace),
                bounds=facts.bounds,
                components=await self._components_for(pod, namespace),
            )
        except Exception:
            if facts.labels.get(INJECTION_LABEL) == "required":
                raise
            logger.exception("A pod in namespace %s gets no sidecar: the operator failed", namespace)
            return None

    async def _components_for(self, pod: pod_kinds.Pod, namespace: str) -> Sequence[Component]:
        """Return the namespace's Components if the pod is to get the containers that they describe. Raises ApiError."""
        if not asks_for_components(pod):
            return ()
        read = [component_in(manifest) for manifest in await self._components.of(namespace)]
        return [component for component in read if component is not None]

    async def _cron_job_of(self, pod: pod_kinds.Pod, namespace: str) -> str:
        """Return the name of the CronJob that made the pod's Job; empty if there is none or it cannot be read."""
        job = job_to_look_up(pod)
        try:
            above = await self._api.owner_above(namespace, job) if job is not None else None
        except ApiError as error:
            logger.warning("A Job of namespace %s cannot be read, so its own name is the app id: %s", namespace, error)
            return ""
        return str(above["name"]) if above is not None and above.get("kind") == "CronJob" else ""

    async def judge_workload(self, review: kinds.AdmissionReview) -> kinds.AdmissionReview:
        """Admit a workload, with warnings about its pods' annotations. `review` is an AdmissionReview."""
        request = review["request"]
        namespace = request.get("namespace") or ""
        try:
            facts = await self._namespaces.facts_of(namespace)
            workload: Any = request.get("object") or {}
            warnings = warnings_for(
                workload,
                facts.labels,
                self._settings,
                namespace=namespace,
                server_version=self.server_version,
                bounds=facts.bounds,
            )
            if facts.labels.get(INJECTION_LABEL) != DISABLED:
                warnings += await self._about_configuration(pod_of(workload), namespace)
        except Exception:  # whatever fails here, the workload itself is admitted
            logger.exception("A workload in namespace %s was not judged: the operator failed", namespace)
            warnings = ()
        response: kinds.AdmissionResponse = {"uid": request["uid"], "allowed": True, "warnings": list(warnings)}
        return _answering(review, response)

    def _count(self, webhook: str, is_admitted: bool) -> None:
        self._metrics.count("admissions_total", webhook=webhook, answer="admitted" if is_admitted else "refused")


def _answering_with(verdict: Verdict, review: kinds.AdmissionReview) -> kinds.AdmissionReview:
    response: kinds.AdmissionResponse = {"uid": review["request"]["uid"], "allowed": verdict.is_admitted}
    if verdict.warnings:
        response["warnings"] = list(verdict.warnings)
    if not verdict.is_admitted:
        response["status"] = {"message": verdict.refusal, "code": _REFUSED}
    return _answering(review, response)


def _answering(review: kinds.AdmissionReview, response: kinds.AdmissionResponse) -> kinds.AdmissionReview:
    return {"apiVersion": review["apiVersion"], "kind": "AdmissionReview", "response": response}
