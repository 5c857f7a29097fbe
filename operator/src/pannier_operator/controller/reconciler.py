"""The look: what each app's Secret, each Component's status and each Event should be, and the difference applied.

A look at a namespace begins from what exists, so it does not matter what it was that happened, whether it was noticed,
or which replica looks. Events only say where to look again; from time to time everything is looked at.
"""

from __future__ import annotations

import asyncio
import logging
import time
from base64 import b64decode
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from pannier_operator.cluster.cache import is_alive, is_ours, is_own_secret, is_running
from pannier_operator.cluster.errors import ApiError, ApiRefusedError
from pannier_operator.cluster.probes import Expected
from pannier_operator.cluster.waiting import wait_for_event
from pannier_operator.controller.deliverer import Deliverer
from pannier_operator.controller.pod_mistakes import PodMistakes
from pannier_operator.delivery.app_secret import generations_in, secret_name, status_key_in, version_in
from pannier_operator.delivery.plan import what_app_sees
from pannier_operator.objects.app_ids import app_id_of
from pannier_operator.objects.namespace_components import NamespaceComponents
from pannier_operator.objects.references import references_of
from pannier_operator.status.conditions import differs as status_differs
from pannier_operator.status.conditions import events_between, is_current, status_of
from pannier_operator.status.events import event_of_component
from pannier_operator.status.readiness import App

if TYPE_CHECKING:
    from collections.abc import Coroutine, Iterable, Mapping

    from pannier_operator.cluster.api import ClusterApi
    from pannier_operator.cluster.cache import ClusterCache
    from pannier_operator.cluster.namespaces import NamespaceCache
    from pannier_operator.cluster.probes import SidecarProber
    from pannier_operator.controller.deliverer import Delivery
    from pannier_operator.controller.missed_pods import MissedPods
    from pannier_operator.metrics import Metrics
    from pannier_operator.settings import ReconcilingSettings

logger = logging.getLogger(__name__)

Manifest = dict[str, Any]
Secrets = dict[str, dict[str, bytes]]

_DEBOUNCE: Final = 0.05
"""Seconds from the first event to the look, so that a burst of them is one look."""
_AT_ONCE: Final = 4
"""Namespaces looked at together."""
_RETRY: Final = 2.0
_RETRY_AFTER_FAULT: Final = 30.0


class Reconciler:
    """Looks at namespaces when told to, while this replica leads."""

    def __init__(
        self,
        api: ClusterApi,
        state: ClusterCache,
        reports: SidecarProber,
        missed: MissedPods,
        namespaces: NamespaceCache,
        settings: ReconcilingSettings,
        metrics: Metrics,
    ):
        self._api = api
        self._state = state
        self._reports = reports
        self._missed = missed
        self._namespaces = namespaces
        self._metrics = metrics
        self._mistakes = PodMistakes(api, state)
        self._deliverer = Deliverer(api, state, reports, settings.unused_secret_grace, metrics)
        self._due: dict[str, float] = {}
        self._busy: set[str] = set()
        self._asking: set[str] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._changed = asyncio.Event()
        self._secrets: dict[tuple[str, str], tuple[str, dict[str, bytes]]] = {}
        self.leads = False

    def enqueue(self, namespace: str, after: float = _DEBOUNCE) -> None:
        """Look at the namespace in so many seconds, if no earlier look is due."""
        if self.leads:
            due = time.monotonic() + after
            self._due[namespace] = min(due, self._due.get(namespace, due))
            self._changed.set()

    def lead(self, leads: bool) -> None:
        """Begin with everything, or stop."""
        self.leads = leads
        self._due.clear()
        for namespace in self._state.namespaces():
            self.enqueue(namespace)

    def count(self) -> None:
        """Put what exists into the metrics, and forget what is known of pods that have gone."""
        namespaces = self._state.namespaces()
        components = [each for namespace in namespaces for each in self._state.components(namespace)]
        ready = sum(map(_is_ready, components))
        self._metrics.set("components", ready, ready="true")
        self._metrics.set("components", len(components) - ready, ready="false")
        self._metrics.set("apps", sum(len(self._state.running_apps(namespace)) for namespace in namespaces))
        self._deliverer.count()
        self._reports.retain({pod["metadata"]["uid"] for name in namespaces for pod in self._state.pods(name)})

    async def run(self) -> None:
        """Look at what is due, until cancelled."""
        while True:
            self._changed.clear()
            now = time.monotonic()
            for namespace in [name for name, due in self._due.items() if due <= now and name not in self._busy]:
                if len(self._busy) < _AT_ONCE:
                    del self._due[namespace]
                    self._busy.add(namespace)
                    self._start(namespace, self._reconcile(namespace))
            waiting = [due for name, due in self._due.items() if name not in self._busy]
            pause = max(0.0, min(waiting) - now) if waiting and len(self._busy) < _AT_ONCE else None
            await wait_for_event(self._changed, pause)

    def _start(self, namespace: str, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(partial(self._ended, namespace))

    def _ended(self, namespace: str, task: asyncio.Task[None]) -> None:
        """A mistake of ours holds up one namespace, says so, and is tried again: an event may have mended it."""
        self._tasks.discard(task)
        if task.cancelled() or (error := task.exception()) is None:
            return
        self._metrics.count("reconcile_total", result="failed")
        logger.error("Looking at namespace %s ended with a fault of the operator", namespace, exc_info=error)
        self.enqueue(namespace, _RETRY_AFTER_FAULT)

    async def _reconcile(self, namespace: str) -> None:
        try:
            await self._apply_desired_state(namespace)
        except ApiError as error:
            if isinstance(error, ApiRefusedError) and error.is_namespace_terminating:
                return
            self._metrics.count("reconcile_total", result="failed")
            logger.warning("Looking at namespace %s failed and is tried again: %s", namespace, error)
            self.enqueue(namespace, _RETRY)
        else:
            self._metrics.count("reconcile_total", result="completed")
        finally:
            self._busy.discard(namespace)
            self._changed.set()

    async def _apply_desired_state(self, namespace: str) -> None:
        pods = [pod for pod in self._state.pods(namespace) if is_ours(pod) and is_alive(pod)]
        if not pods and not await self._namespaces.is_ours(namespace):
            self._requeue(namespace, [await self._deliverer.remove_unused(namespace, [])])
            return
        apps = sorted({app_id_of(pod) for pod in pods})
        await self._refresh_components_of_new_apps(apps, namespace)
        neighbourhood = NamespaceComponents(self._state.components(namespace))
        secrets = await self._secrets_of(namespace, neighbourhood)
        delivered = {app: await self._deliverer.deliver(app, namespace, neighbourhood, secrets, pods) for app in apps}
        self._deliverer.forget_others(namespace, apps)
        pauses = [delivery.pause for delivery in delivered.values()]
        pauses.append(await self._deliverer.remove_unused(namespace, apps))
        states = {app: self._state_of(app, namespace, delivery) for app, delivery in delivered.items()}
        expected = self._expected(namespace, neighbourhood, pods)
        self._schedule_probes(namespace, expected)
        reports = {app: [self._reports.report_on(each) for each in pods] for app, pods in expected.items()}
        were_probed = all(self._reports.were_probed(pods) for pods in expected.values())
        for member in neighbourhood.members:
            if were_probed or not is_current(member.manifest):
                status = status_of(member.manifest, neighbourhood, secrets, states, reports, datetime.now(UTC))
                pauses.append(await self._write_status(dict(member.manifest), status))
        pauses.append(await self._missed.handle(namespace))
        await self._mistakes.report(namespace)
        self._requeue(namespace, pauses)

    def _requeue(self, namespace: str, pauses: Iterable[float | None]) -> None:
        for pause in pauses:
            if pause is not None:
                self.enqueue(namespace, pause)

    # --- what a look begins from --------------------------------------------------------------------------------------

    async def _refresh_components_of_new_apps(self, apps: Iterable[str], namespace: str) -> None:
        """An app's first pods wait for its Secret, and start with what is in it: nothing that was there before them may
        be missing only because one watch is slower than the other."""
        if any(self._state.secret(namespace, secret_name(app)) is None for app in apps):
            for component in await self._api.components_in(namespace):
                self._state.put("components", component)

    async def _secrets_of(self, namespace: str, neighbourhood: NamespaceComponents) -> Secrets:
        """The keys of the namespace's Secrets, with the values of those that components refer to."""
        secrets: Secrets = {
            secret["metadata"]["name"]: dict.fromkeys(secret["data"], b"")
            for secret in self._state.secrets(namespace)
            if not is_own_secret(secret)
        }
        for name in _referred_to(neighbourhood) & secrets.keys():
            values = await self._values_of(namespace, name)
            if values is not None:
                secrets[name] = values
        return secrets

    async def _values_of(self, namespace: str, name: str) -> dict[str, bytes] | None:
        """The data of a Secret, read again only when its version is another one."""
        kept = self._state.secret(namespace, name)
        known = self._secrets.get((namespace, name))
        if kept is not None and known is not None and known[0] == kept["metadata"]["resourceVersion"]:
            return known[1]
        found = await self._api.secret(namespace, name)
        if found is None:
            self._secrets.pop((namespace, name), None)
            return None
        values = {key: b64decode(value) for key, value in (found.get("data") or {}).items()}
        self._secrets[namespace, name] = (found["metadata"]["resourceVersion"], values)
        self._state.put("secrets", found)
        return values

    def _state_of(self, app: str, namespace: str, delivery: Delivery) -> App:
        refusal = delivery.refusal.message if delivery.refusal is not None else ""
        return App(self._generations(namespace, app), delivery.too_large, refusal)

    def _generations(self, namespace: str, app: str) -> dict[str, int]:
        secret = self._state.secret(namespace, secret_name(app))
        return generations_in(secret) if secret is not None and is_own_secret(secret) else {}

    # --- what sidecars say --------------------------------------------------------------------------------------------

    def _expected(
        self, namespace: str, neighbourhood: NamespaceComponents, pods: Iterable[Manifest]
    ) -> dict[str, list[Expected]]:
        """The running pods of each app and what they should be serving."""
        found: dict[str, list[Expected]] = {}
        for pod in pods:
            app = app_id_of(pod)
            secret = self._state.secret(namespace, secret_name(app))
            if not is_running(pod) or secret is None:
                continue
            delivered = self._generations(namespace, app)
            stores = [each.name for each in what_app_sees(app, namespace, neighbourhood) if each.is_state_store]
            wanted = [name for name in stores if name in delivered]
            expected = Expected(pod, version_in(secret), delivered, wanted, status_key_in(secret))
            found.setdefault(app, []).append(expected)
        return found

    def _schedule_probes(self, namespace: str, expected: Mapping[str, list[Expected]]) -> None:
        if namespace in self._asking:
            return
        dues = [(each, self._reports.due_at(each)) for pods in expected.values() for each in pods]
        now = time.monotonic()
        to_ask = [each for each, due in dues if due is not None and due <= now]
        later = [due for _, due in dues if due is not None and due > now]
        if to_ask:
            self._asking.add(namespace)
            self._start(namespace, self._probe(namespace, to_ask))
        elif later:
            self.enqueue(namespace, min(later) - now)

    async def _probe(self, namespace: str, pods: list[Expected]) -> None:
        try:
            await self._reports.probe(pods)
        finally:
            self._asking.discard(namespace)
            self.enqueue(namespace)

    # --- status and Events --------------------------------------------------------------------------------------------

    async def _write_status(self, component: Manifest, status: Mapping[str, Any]) -> float | None:
        """Write one Component's status; seconds until the next attempt where it is refused, which stops no other."""
        if component["metadata"].get("deletionTimestamp") or not status_differs(dict(status), component):
            return None
        before = component.get("status")
        try:
            written = await self._api.write_status(component, status)
        except ApiRefusedError as error:
            if error.is_namespace_terminating:
                raise
            name, namespace = component["metadata"]["name"], component["metadata"]["namespace"]
            logger.warning("The status of Component %s/%s cannot be written: %s", namespace, name, error)
            return _RETRY_AFTER_FAULT
        if written is None:
            return None
        self._state.put("components", written)
        now = datetime.now(UTC)
        for event in events_between(before, dict(status)):
            await self._api.create_event(event_of_component(component, event, status, now))
        return None


def _referred_to(neighbourhood: NamespaceComponents) -> set[str]:
    components = [member.component for member in neighbourhood.members if member.component is not None]
    return {reference.name for component in components for _, reference in references_of(component)}


def _is_ready(component: Manifest) -> bool:
    conditions = (component.get("status") or {}).get("conditions") or ()
    return any(each["type"] == "Ready" and each["status"] == "True" for each in conditions)
