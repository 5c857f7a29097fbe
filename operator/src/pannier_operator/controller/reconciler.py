"""Reconciles namespaces: computes what Secrets, statuses and Events should be, and applies the difference.

A reconcile is level-triggered: it starts from what exists, so it does not matter which event caused it, whether an
event was missed, or which replica runs it. Events only enqueue a namespace; a resync enqueues all of them.
"""

from __future__ import annotations

import asyncio
import logging
import time
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from pannier_operator.cluster.cached_objects import is_alive, is_ours, is_own_secret, is_running
from pannier_operator.cluster.errors import ApiError, ApiRefusedError
from pannier_operator.cluster.probes import Expected
from pannier_operator.cluster.waiting import wait_for_event
from pannier_operator.controller.deliverer import Deliverer
from pannier_operator.controller.named_configurations import NamedConfigurations
from pannier_operator.controller.pod_mistakes import PodMistakes
from pannier_operator.controller.referred_secrets import ReferredSecrets
from pannier_operator.controller.status_writer import StatusWriter
from pannier_operator.delivery.app_secret import (
    app_of_secret_name,
    configuration_key,
    generations_in,
    resiliency_key,
    secret_name,
    status_key_in,
    version_in,
)
from pannier_operator.delivery.plan import NO_CONFIGURATIONS, what_app_sees
from pannier_operator.objects.app_ids import app_id_of
from pannier_operator.objects.namespace_components import NamespaceComponents
from pannier_operator.objects.namespace_resiliencies import NamespaceResiliencies
from pannier_operator.status.conditions import status_of
from pannier_operator.status.configuration_conditions import status_of_configuration
from pannier_operator.status.findings import is_current, is_ready
from pannier_operator.status.readiness import App
from pannier_operator.status.resiliency_conditions import status_of_resiliency

if TYPE_CHECKING:
    from collections.abc import Coroutine, Iterable, Mapping

    from pannier_operator.cluster.api import ClusterApi
    from pannier_operator.cluster.cache import ClusterCache
    from pannier_operator.cluster.namespaces import NamespaceCache
    from pannier_operator.cluster.probes import SidecarProber
    from pannier_operator.controller.deliverer import Delivery
    from pannier_operator.controller.missed_pods import MissedPods
    from pannier_operator.controller.named_configurations import Files
    from pannier_operator.controller.referred_secrets import Secrets
    from pannier_operator.metrics import Metrics
    from pannier_operator.objects.namespace_configurations import ConfigurationMember
    from pannier_operator.objects.pod_kinds import CachedPod
    from pannier_operator.settings import ReconcilingSettings

logger = logging.getLogger(__name__)

_DEBOUNCE: Final = 0.05
"""Seconds from the first event to the reconcile, so that a burst of events causes one."""
_MAX_CONCURRENT: Final = 4
"""Namespaces reconciled at the same time."""
_RETRY: Final = 2.0
_RETRY_AFTER_BUG: Final = 30.0


class _Snapshot(NamedTuple):
    """What a reconcile starts from. Its steps all read this one, so that Secrets and statuses agree."""

    namespace: str
    pods: list[CachedPod]
    """Those that mount an app's components and have not ended."""
    apps: list[str]
    components: NamespaceComponents
    resiliencies: NamespaceResiliencies
    configurations: Mapping[str, ConfigurationMember]
    """The Configurations of the namespace, by name."""
    files: Files
    """What each app gets of them."""
    secrets: Secrets


class Reconciler:
    """Reconciles the namespaces that are enqueued, while this replica leads."""

    def __init__(
        self,
        api: ClusterApi,
        cache: ClusterCache,
        prober: SidecarProber,
        missed_pods: MissedPods,
        namespaces: NamespaceCache,
        settings: ReconcilingSettings,
        metrics: Metrics,
        *,
        admits_unknown_policies: bool = False,
    ):
        """With `admits_unknown_policies` a Resiliency may name policies that nothing defines, as in profile dapr."""
        self._api = api
        self._cache = cache
        self._prober = prober
        self._missed_pods = missed_pods
        self._namespaces = namespaces
        self._metrics = metrics
        self._admits_unknown_policies = admits_unknown_policies
        self._statuses = StatusWriter(api, cache)
        self._mistakes = PodMistakes(api, cache)
        self._secrets = ReferredSecrets(api, cache)
        self._configurations = NamedConfigurations(api, cache, metrics)
        self._deliverer = Deliverer(api, cache, prober, settings.unused_secret_grace, metrics)
        self._due: dict[str, float] = {}
        """Enqueued namespaces, and when to reconcile them (`time.monotonic`)."""
        self._busy: set[str] = set()
        """Namespaces that are being reconciled."""
        self._probing: set[str] = set()
        """Namespaces whose sidecars are being probed."""
        self._tasks: set[asyncio.Task[None]] = set()
        self._changed = asyncio.Event()
        self.leads = False

    def enqueue(self, namespace: str, after: float = _DEBOUNCE) -> None:
        """Reconcile the namespace in `after` seconds, unless it is due earlier."""
        if self.leads:
            due = time.monotonic() + after
            self._due[namespace] = min(due, self._due.get(namespace, due))
            self._changed.set()

    def lead(self, leads: bool) -> None:
        """Enqueue all namespaces, or stop reconciling."""
        self.leads = leads
        self._due.clear()
        for namespace in self._cache.namespaces():
            self.enqueue(namespace)

    def count(self) -> None:
        """Set the gauges of what exists, and forget the probe results of pods that are gone. A replica that has lost
        the Lease forgets what it found as the leader, because nothing would correct it.
        """
        if not self.leads and not self._busy:
            self._secrets.forget()
            self._configurations.forget()
            self._deliverer.stand_by()
        namespaces = self._cache.namespaces()
        components = [each for namespace in namespaces for each in self._cache.components(namespace)]
        ready = sum(map(is_ready, components))
        self._metrics.set("components", ready, ready="true")
        self._metrics.set("components", len(components) - ready, ready="false")
        self._metrics.set("apps", sum(len(self._cache.running_apps(namespace)) for namespace in namespaces))
        self._deliverer.count()
        self._configurations.count()
        self._prober.retain({pod["metadata"]["uid"] for name in namespaces for pod in self._cache.pods(name)})

    async def run(self) -> None:
        """Reconcile what is due, until cancelled; then cancel everything that was started."""
        try:
            while True:
                self._changed.clear()
                await wait_for_event(self._changed, self._start_due(time.monotonic()))
        finally:
            for task in self._tasks:
                task.cancel()
            await asyncio.gather(*self._tasks, return_exceptions=True)

    def _start_due(self, now: float) -> float | None:
        """Start to reconcile what is due; return the seconds until the next is, None if something must end first."""
        for namespace in [name for name, due in self._due.items() if due <= now and name not in self._busy]:
            if len(self._busy) < _MAX_CONCURRENT:
                del self._due[namespace]
                self._busy.add(namespace)
                self._start(namespace, self._reconcile(namespace))
        waiting = [due for name, due in self._due.items() if name not in self._busy]
        return max(0.0, min(waiting) - now) if waiting and len(self._busy) < _MAX_CONCURRENT else None

    def _start(self, namespace: str, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(partial(self._ended, namespace))

    def _ended(self, namespace: str, task: asyncio.Task[None]) -> None:
        """Log a bug in the operator, which affects only this namespace, and retry later."""
        self._tasks.discard(task)
        if task.cancelled() or (error := task.exception()) is None:
            return
        self._metrics.count("reconcile_total", result="failed")
        logger.error("Reconciling namespace %s failed because of a bug in the operator", namespace, exc_info=error)
        self.enqueue(namespace, _RETRY_AFTER_BUG)

    async def _reconcile(self, namespace: str) -> None:
        try:
            with self._metrics.time("reconcile_duration_seconds"):
                await self._apply_desired_state(namespace)
        except ApiError as error:
            if isinstance(error, ApiRefusedError) and error.is_namespace_terminating:
                return
            self._metrics.count("reconcile_total", result="failed")
            logger.warning("Reconciling namespace %s failed and is tried again: %s", namespace, error)
            self.enqueue(namespace, _RETRY)
        else:
            self._metrics.count("reconcile_total", result="completed")
        finally:
            self._busy.discard(namespace)
            self._changed.set()

    async def _apply_desired_state(self, namespace: str) -> None:
        """Apply what the namespace's Secrets, pods, statuses and Events should be, in this order and for these reasons.

        1. Take the snapshot that the other steps read.
        2. Deliver: new pods wait for their app's Secret, so nothing comes before it.
        3. Remove unused Secrets, now that every app with pods has its own. Update the unused Secrets that are not
           removed yet, because the app's next pod, such as a CronJob's, starts with their content.
        4. Probe sidecars: which version they should have read is known since step 2. Probes run in the background, and
           the namespace is enqueued again when they have ended.
        5. Write statuses, which say what steps 2 and 4 have found.
        6. Report missed pods, missing Configurations and mistakes in annotations. Eviction comes last, so that a new
           pod finds its Secret.

        The first ApiError ends a reconcile; the retry begins at step 1. If the API server refuses a call for one
        object, the step handles that and returns the seconds until the next attempt.
        """
        pods = [pod for pod in self._cache.pods(namespace) if is_ours(pod) and is_alive(pod)]
        if not pods and not await self._namespaces.is_ours(namespace):
            self._enqueue_retries(namespace, [await self._deliverer.remove_unused(namespace, [])])
            return
        snapshot = await self._take_snapshot(namespace, pods)
        deliveries = await self._deliver(snapshot)
        retries = [delivery.retry_after for delivery in deliveries.values()]
        retries.append(await self._deliverer.remove_unused(namespace, snapshot.apps))
        retries += await self._deliver_to_apps_without_pods(snapshot)
        expected = self._expected(snapshot)
        self._schedule_probes(namespace, expected)
        retries += await self._write_statuses(snapshot, deliveries, expected)
        retries.append(await self._missed_pods.handle(namespace))
        await self._configurations.report(namespace, pods, snapshot.files, snapshot.configurations)
        await self._mistakes.report(namespace)
        self._enqueue_retries(namespace, retries)

    def _enqueue_retries(self, namespace: str, retries: Iterable[float | None]) -> None:
        for seconds in retries:
            if seconds is not None:
                self.enqueue(namespace, seconds)

    # --- 1. the snapshot ----------------------------------------------------------------------------------------------

    async def _take_snapshot(self, namespace: str, pods: list[CachedPod]) -> _Snapshot:
        apps = sorted({app_id_of(pod) for pod in pods})
        await self._refresh_components_of_new_apps(apps, namespace)
        components = NamespaceComponents(self._cache.components(namespace))
        resiliencies = NamespaceResiliencies(
            self._cache.resiliencies(namespace), admits_unknown_names=self._admits_unknown_policies
        )
        configurations = self._configurations.known_in(namespace)
        files = await self._configurations.of(namespace, pods, configurations)
        references = [reference for given in files.values() for file in given.values() for reference in file.references]
        secrets = await self._secrets.of(namespace, components, references)
        return _Snapshot(namespace, pods, apps, components, resiliencies, configurations, files, secrets)

    async def _refresh_components_of_new_apps(self, apps: Iterable[str], namespace: str) -> None:
        """List the Components if an app has no Secret yet.

        An app's first pods start with the first Secret that they see. A Component that was created before them must be
        in it, even if the watch of Components is behind the watch of pods.
        """
        if any(self._cache.secret(namespace, secret_name(app)) is None for app in apps):
            for component in await self._api.components_in(namespace):
                self._cache.put("components", component)

    # --- 2. delivery --------------------------------------------------------------------------------------------------

    async def _deliver(self, snapshot: _Snapshot) -> dict[str, Delivery]:
        return {app: await self._deliver_to(app, snapshot, snapshot.pods) for app in snapshot.apps}

    async def _deliver_to(self, app: str, snapshot: _Snapshot, pods: Iterable[CachedPod]) -> Delivery:
        return await self._deliverer.deliver(
            app,
            snapshot.namespace,
            snapshot.components,
            snapshot.secrets,
            pods,
            snapshot.resiliencies,
            snapshot.files.get(app, NO_CONFIGURATIONS),
        )

    # --- 3. Secrets of apps without pods ------------------------------------------------------------------------------

    async def _deliver_to_apps_without_pods(self, snapshot: _Snapshot) -> list[float | None]:
        """Update the Secrets of apps without pods; return the seconds until the next attempt for each."""
        secrets = self._cache.own_secrets(snapshot.namespace)
        kept = {app_of_secret_name(secret["metadata"]["name"]) for secret in secrets}
        apps = sorted(kept.difference(snapshot.apps, ("",)))
        deliveries = [await self._deliver_to(app, snapshot, ()) for app in apps]
        self._deliverer.forget_others(snapshot.namespace, [*snapshot.apps, *apps])
        return [delivery.retry_after for delivery in deliveries]

    # --- 4. probes of sidecars ----------------------------------------------------------------------------------------

    def _generations(self, namespace: str, app: str) -> dict[str, int]:
        """Return the generations of what is in an app's Secret now."""
        secret = self._cache.secret(namespace, secret_name(app))
        return generations_in(secret) if secret is not None and is_own_secret(secret) else {}

    def _expected(self, snapshot: _Snapshot) -> dict[str, list[Expected]]:
        """Return the running pods of each app and what they should be serving."""
        namespace = snapshot.namespace
        running: dict[str, list[CachedPod]] = {}
        for pod in filter(is_running, snapshot.pods):
            running.setdefault(app_id_of(pod), []).append(pod)
        found: dict[str, list[Expected]] = {}
        for app, pods in running.items():
            secret = self._cache.secret(namespace, secret_name(app))
            if secret is None:
                continue
            delivered = self._generations(namespace, app)
            stores = [each.name for each in what_app_sees(app, namespace, snapshot.components) if each.is_state_store]
            wanted = [name for name in stores if name in delivered]
            named = [each.name for each in snapshot.resiliencies.visible_to(app)]
            policies = [name for name in named if resiliency_key(name) in delivered]
            version, status_key = version_in(secret), status_key_in(secret)
            found[app] = [
                Expected(
                    pod,
                    version,
                    delivered,
                    wanted,
                    status_key,
                    policies,
                    name if configuration_key(name := pod["configuration"]) in delivered else "",
                )
                for pod in pods
            ]
        return found

    def _schedule_probes(self, namespace: str, expected: Mapping[str, list[Expected]]) -> None:
        """Start the probes that are due, or enqueue the namespace for the next one."""
        if namespace in self._probing:
            return
        dues = [(each, self._prober.due_at(each)) for pods in expected.values() for each in pods]
        now = time.monotonic()
        to_probe = [each for each, due in dues if due is not None and due <= now]
        later = [due for _, due in dues if due is not None and due > now]
        if to_probe:
            self._probing.add(namespace)
            self._start(namespace, self._probe(namespace, to_probe))
        elif later:
            self.enqueue(namespace, min(later) - now)

    async def _probe(self, namespace: str, pods: list[Expected]) -> None:
        try:
            await self._prober.probe(pods)
        finally:
            self._probing.discard(namespace)
            self.enqueue(namespace)

    # --- 5. statuses and their Events ---------------------------------------------------------------------------------

    async def _write_statuses(
        self, snapshot: _Snapshot, deliveries: Mapping[str, Delivery], expected: Mapping[str, list[Expected]]
    ) -> list[float | None]:
        """Write the statuses that differ; return the seconds until the next attempt for each that was refused.

        Until every sidecar has been probed once, only objects whose status is about an earlier generation get a new
        status. The others keep the previous leader's, so a change of leader changes no status.
        """
        namespace, components = snapshot.namespace, snapshot.components
        apps = {app: self._app(app, namespace, delivery) for app, delivery in deliveries.items()}
        reports = {app: [self._prober.report_on(each) for each in pods] for app, pods in expected.items()}
        were_probed = all(self._prober.were_probed(pods) for pods in expected.values())
        now = datetime.now(UTC)
        retries = []
        for member in components.members:
            if were_probed or not is_current(member.manifest):
                status = status_of(member.manifest, components, snapshot.secrets, apps, reports, now)
                retries.append(await self._statuses.write("components", member.manifest, status))
        for named in snapshot.resiliencies.members:
            if were_probed or not is_current(named.manifest):
                found = status_of_resiliency(named, snapshot.resiliencies, components, apps, reports, now)
                retries.append(await self._statuses.write("resiliencies", named.manifest, found))
        for name, configuration in snapshot.configurations.items():
            if were_probed or not is_current(configuration.manifest):
                using = {app_id_of(pod): apps[app_id_of(pod)] for pod in snapshot.pods if pod["configuration"] == name}
                theirs = {
                    app: [self._prober.report_on(each) for each in expected.get(app, ()) if each.configuration == name]
                    for app in using
                }
                state = status_of_configuration(configuration, snapshot.secrets, using, theirs, now)
                retries.append(await self._statuses.write("configurations", configuration.manifest, state))
        return retries

    def _app(self, app: str, namespace: str, delivery: Delivery) -> App:
        refusal = delivery.refusal.message if delivery.refusal is not None else ""
        return App(self._generations(namespace, app), delivery.too_large, refusal)
