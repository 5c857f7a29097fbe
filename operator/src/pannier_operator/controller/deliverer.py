"""Writes the Secret of each app, and has the kubelet show it to the app's pods.

A Secret that cannot be written affects only its own app: the others get theirs.
"""

from __future__ import annotations

import asyncio
import logging
import secrets as randomness
import time
from collections import Counter
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final, NamedTuple

from pannier_operator.cluster.cached_objects import is_own_secret, is_running, trimmed_secret
from pannier_operator.cluster.errors import ApiRefusedError
from pannier_operator.delivery.app_secret import (
    differs,
    fingerprint_of,
    generations_in,
    in_place_of,
    secret_name,
    status_key_in,
    version_in,
    with_version,
)
from pannier_operator.delivery.backoff import Attempts
from pannier_operator.delivery.plan import NO_CONFIGURATIONS, NO_RESILIENCIES, secret_for
from pannier_operator.delivery.refresh import COMPONENTS_ANNOTATION, refresh_mark
from pannier_operator.delivery.refusals import (
    Refusal,
    is_transient,
    refusal_of_changed,
    refusal_of_foreign,
    refusal_of_write,
)
from pannier_operator.objects.app_ids import app_id_of
from pannier_operator.status.events import event_of_undelivered_pod

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from pannier_operator.cluster.api import ClusterApi
    from pannier_operator.cluster.cache import ClusterCache
    from pannier_operator.cluster.probes import SidecarProber
    from pannier_operator.delivery.app_secret import TooLarge
    from pannier_operator.delivery.configurations import ConfigurationFile
    from pannier_operator.metrics import Metrics
    from pannier_operator.objects import kinds, pod_kinds
    from pannier_operator.objects.namespace_components import NamespaceComponents
    from pannier_operator.objects.namespace_resiliencies import NamespaceResiliencies

logger = logging.getLogger(__name__)


_MAX_CONCURRENT_PODS: Final = 16
_CONFLICT_PAUSE: Final = 0.5
"""Seconds until the next attempt after a conflict."""
_DELETION_PAUSE: Final = 60.0


class Delivery(NamedTuple):
    """The result of delivering to one app."""

    too_large: list[TooLarge]
    """What did not fit into the Secret."""
    refusal: Refusal | None = None
    retry_after: float | None = None
    """Seconds until the next attempt; None if none is needed."""


class Deliverer:
    """Writes and removes the Secrets of apps."""

    def __init__(
        self, api: ClusterApi, cache: ClusterCache, prober: SidecarProber, unused_grace: float, metrics: Metrics
    ):
        """`unused_grace`: seconds that the Secret of an app without pods is kept."""
        self._api = api
        self._cache = cache
        self._prober = prober
        self._unused_grace = unused_grace
        self._metrics = metrics
        self._gate = asyncio.Semaphore(_MAX_CONCURRENT_PODS)
        self._unused_since: dict[str, float] = {}
        self._attempts = Attempts()
        self._refused: dict[tuple[str, str], Refusal] = {}
        self._reported: dict[tuple[str, str], set[str]] = {}
        """For each app whose Secret is refused, the uids of the pods on which an Event says so."""
        self._marks: dict[tuple[str, str], dict[str, str]] = {}
        """For each app, the uids of its pods and the mark that each was last annotated with."""

    async def deliver(
        self,
        app: str,
        namespace: str,
        components: NamespaceComponents,
        secrets: Mapping[str, Mapping[str, bytes]],
        pods: Iterable[pod_kinds.CachedPod],
        resiliencies: NamespaceResiliencies = NO_RESILIENCIES,
        configurations: Mapping[str, ConfigurationFile] = NO_CONFIGURATIONS,
    ) -> Delivery:
        """Deliver to one app: write its Secret if it differs, and refresh the volumes of its pods.

        `pods` are all pods of the namespace, and `configurations` what the app's name, by name.
        """
        wanted = secret_for(app, namespace, components, secrets, resiliencies, configurations)
        refusal, pause = await self._apply(app, namespace, wanted.manifest)
        own_pods = [pod for pod in pods if app_id_of(pod) == app]
        kept = self._cache.secret(namespace, secret_name(app))
        if kept is not None and is_own_secret(kept):
            before = self._marks.get((namespace, app), {})
            marks = await asyncio.gather(
                *(self._refresh_pod(kept, pod, before.get(pod["metadata"]["uid"])) for pod in own_pods)
            )
            uids = [pod["metadata"]["uid"] for pod in own_pods]
            self._marks[namespace, app] = {uid: mark for uid, mark in zip(uids, marks, strict=True) if mark}
        await self._report_refusal(app, namespace, refusal, own_pods)
        return Delivery(wanted.too_large, refusal, pause)

    def forget_others(self, namespace: str, apps: Iterable[str]) -> None:
        """Forget the refusals and attempts of apps that the namespace no longer has."""
        known = set(apps)
        self._attempts.retain(namespace, known)
        for key in [key for key in self._refused if key[0] == namespace and key[1] not in known]:
            del self._refused[key]
            self._reported.pop(key, None)
        for key in [key for key in self._marks if key[0] == namespace and key[1] not in known]:
            del self._marks[key]

    def stand_by(self) -> None:
        """Forget what only the leader knows: another replica may have delivered since."""
        self._attempts = Attempts()
        self._refused.clear()
        self._reported.clear()
        self._marks.clear()
        self._unused_since.clear()

    def count(self) -> None:
        """Set the gauge of apps whose Secrets cannot be written."""
        causes = Counter(refusal.cause for refusal in self._refused.values())
        self._metrics.set_all("undelivered_apps", "cause", causes)

    # --- writing ------------------------------------------------------------------------------------------------------

    async def _apply(self, app: str, namespace: str, wanted: kinds.Secret) -> tuple[Refusal | None, float | None]:
        """Apply the wanted Secret; return what refuses it, and the seconds until the next attempt."""
        existing = self._cache.secret(namespace, secret_name(app))
        if existing is not None and not is_own_secret(existing):
            return refusal_of_foreign(existing), None
        if not differs(wanted, existing):
            return None, None
        key, now = (namespace, app), time.monotonic()
        fingerprint, seen = fingerprint_of(wanted), existing["metadata"]["resourceVersion"] if existing else ""
        pause = self._attempts.pause(key, fingerprint, seen, now)
        if pause > 0:
            return self._attempts.refusal(key), pause
        try:
            written = await self._write(in_place_of(existing, wanted), namespace, secret_name(app))
        except ApiRefusedError as error:
            if error.is_namespace_terminating:
                raise
            status = error.status
            refusal = refusal_of_write(status, error.message, namespace, secret_name(app))
            self._attempts.record(key, fingerprint, seen, refusal, now)
            is_reported = not is_transient(status) or self._attempts.is_repeated(key)
            return refusal if is_reported else None, self._attempts.pause(key, fingerprint, seen, now)
        if written is None:
            return None, _CONFLICT_PAUSE
        altered = refusal_of_changed(namespace, secret_name(app)) if _is_altered(wanted, written) else None
        self._attempts.record(key, fingerprint, written["metadata"]["resourceVersion"], altered, now)
        logger.info(
            "Delivered %d components and policies to app %s in %s", len(generations_in(written)), app, namespace
        )
        return altered, None

    async def _write(self, manifest: kinds.Secret, namespace: str, name: str) -> kinds.Secret | None:
        """Write the Secret and return it; None after a conflict, with the current version put into the cache."""
        status_key = status_key_in(self._cache.secret(namespace, name)) or randomness.token_hex(16)
        written = await self._api.write(with_version(manifest, randomness.token_hex(8), status_key))
        if written is None:
            found = await self._api.secret(namespace, name)
            kept = self._cache.secret(namespace, name)
            if found is not None:
                self._cache.put("secrets", found)
            elif kept is not None:
                self._cache.observe("secrets", True, kept)  # it is deleted, which a watch has not reported yet
            return None
        self._cache.put("secrets", written)
        self._metrics.count("secrets_written_total")
        return written

    async def _report_refusal(
        self, app: str, namespace: str, refusal: Refusal | None, pods: list[pod_kinds.CachedPod]
    ) -> None:
        """Report what refuses the Secret, once: in the log, and as Events on pods that wait for it."""
        key = (namespace, app)
        before = self._refused.pop(key, None)
        if refusal is None:
            self._reported.pop(key, None)
            return
        self._refused[key] = refusal
        if before != refusal:
            logger.warning("App %s in %s does not get its components: %s", app, namespace, refusal.message)
            self._reported.pop(key, None)
        reported = self._reported.setdefault(key, set())
        waiting = {pod["metadata"]["uid"]: pod for pod in pods if not is_running(pod)}
        reported.intersection_update(waiting)
        for uid in waiting.keys() - reported:
            reported.add(uid)
            await self._api.create_event(event_of_undelivered_pod(waiting[uid], refusal.message, datetime.now(UTC)))

    # --- refreshing pods ----------------------------------------------------------------------------------------------

    async def _refresh_pod(
        self, secret: kinds.CachedSecret, pod: pod_kinds.CachedPod, before: str | None
    ) -> str | None:
        """Annotate the pod if its volume may show an earlier version, so that the kubelet refreshes it; return the
        latest mark.

        A mark takes effect once, so it is not written again if another party removes it.
        """
        unread_probes = self._prober.unread_probes(pod, version_in(secret))
        mark = refresh_mark(pod, secret, unread_probes)
        if mark is None or mark == before:
            return before
        if unread_probes:
            self._metrics.count("late_deliveries_total")
            logger.info("Pod %s does not have its components yet and is annotated again", pod["metadata"]["name"])
        try:
            async with self._gate:
                annotated = await self._api.annotate_pod(pod, {COMPONENTS_ANNOTATION: mark})
        except ApiRefusedError as error:  # the kubelet refreshes the volume anyway, within about a minute
            logger.warning("Pod %s cannot be annotated (HTTP status %d)", pod["metadata"]["name"], error.status)
            return before
        if annotated is None:
            return before
        self._cache.put("pods", annotated)
        return mark

    # --- removing -----------------------------------------------------------------------------------------------------

    async def remove_unused(self, namespace: str, apps: Iterable[str]) -> float | None:
        """Delete the Secrets of other apps once their grace period is over; return the seconds until the next is due.

        The grace period begins when the last pod has gone: the app may come back.
        """
        used = {secret_name(app) for app in apps}
        pauses = []
        for secret in self._cache.own_secrets(namespace):
            uid = secret["metadata"]["uid"]
            if secret["metadata"]["name"] in used:
                self._unused_since.pop(uid, None)
                continue
            since = self._unused_since.setdefault(uid, time.monotonic())
            left = since + self._unused_grace - time.monotonic()
            pause = left if left > 0 else await self._remove(secret)
            if pause is not None:
                pauses.append(pause)
        return min(pauses, default=None)

    async def _remove(self, secret: kinds.CachedSecret) -> float | None:
        """Delete a Secret in the version that was read; return the seconds until the next attempt if that fails."""
        name, namespace = secret["metadata"]["name"], secret["metadata"]["namespace"]
        try:
            if not await self._api.delete_secret(secret):
                return _CONFLICT_PAUSE  # it was changed, which a watch reports
        except ApiRefusedError as error:
            logger.warning("Secret %s/%s cannot be removed (HTTP status %d)", namespace, name, error.status)
            return _DELETION_PAUSE
        self._unused_since.pop(secret["metadata"]["uid"], None)
        self._cache.observe("secrets", True, secret)
        logger.info("Removed Secret %s/%s, which no pod uses", namespace, name)
        return None


def _is_altered(wanted: kinds.Secret, written: kinds.Secret) -> bool:
    """Return whether the API server stored something other than what was sent."""
    return differs(wanted, trimmed_secret(written))
