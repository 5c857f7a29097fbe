"""Lists everything at an interval, which repairs the cache if a watch has missed events, and detects dead watches."""

from __future__ import annotations

import asyncio
import logging
import time
from typing import TYPE_CHECKING, Final

from pannier_operator.cluster.cache import KINDS
from pannier_operator.cluster.errors import ApiError
from pannier_operator.cluster.waiting import wait_for_event
from pannier_operator.objects.resource_versions import ResourceVersionRewoundError, version_of

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

    from pannier_operator.cluster.api import ClusterApi
    from pannier_operator.cluster.cache import ClusterCache
    from pannier_operator.metrics import Metrics
    from pannier_operator.objects.kinds import Object

logger = logging.getLogger(__name__)

_RETRY: Final = 2.0
_WATCH_LAG: Final = 15.0
"""Seconds within which a watch must report what a list has found."""
_DEFINITION_POLL: Final = 15.0
"""Seconds between two looks for definitions that were not installed, where no watch reports them."""
_FAILED_INTERVALS: Final = 3
"""Intervals without a resync until the liveness probe fails."""


class Resync:
    """Lists all objects that the operator handles, at the start and at an interval. Every replica does this."""

    def __init__(
        self,
        api: ClusterApi,
        cache: ClusterCache,
        namespaces: Collection[str],
        interval: float,
        metrics: Metrics,
        listed: Callable[[], None],
    ):
        self._api = api
        self._cache = cache
        self._namespaces = namespaces
        self._interval = interval
        self._metrics = metrics
        self._listed = listed
        self._last = time.monotonic()
        self._stale: set[str] = set()
        self._undefined: set[str] = set()
        """Kinds whose definition was not installed at the latest list."""
        self._late: set[str] = set()
        """Kinds whose definition came after the start, so that they are not watched."""
        self._requested = asyncio.Event()

    def request(self) -> None:
        """List everything now.

        An API server that was unreachable may have been restored from a backup. It then lacks some objects, and gives
        others resourceVersions that watches have already reported.
        """
        self._requested.set()

    async def run(self) -> None:
        """Resync until cancelled."""
        while True:
            self._requested.clear()
            try:
                await self._reconcile()
            except ApiError as error:
                self._metrics.count("resync_total", result="failed")
                logger.warning("Listing everything failed and is tried again: %s", error)
                await asyncio.sleep(_RETRY)
            else:
                self._metrics.count("resync_total", result="completed")
                self._metrics.set("last_resync_timestamp_seconds", time.time())
                self._last = time.monotonic()
                await self._pause()

    async def _pause(self) -> None:
        """Wait until the next list is due. With a list of namespaces the operator may not watch definitions, so it
        looks for those that are missing.
        """
        while self._namespaces and self._undefined and not self._requested.is_set():
            left = self._last + self._interval - time.monotonic()
            await wait_for_event(self._requested, min(max(0.0, left), _DEFINITION_POLL))
            if left <= _DEFINITION_POLL or await self._is_any_defined():
                return
        await wait_for_event(self._requested, self._last + self._interval - time.monotonic())

    async def _is_any_defined(self) -> bool:
        """Return whether a definition was installed that was missing."""
        try:
            found = [await self._api.everything(kind, self._namespaces, _ignore) for kind in self._undefined]
        except ApiError:
            return False  # the next list reports it
        return any(version is not None for version in found)

    def problems(self) -> list[str]:
        """Return the problems for the liveness probe."""
        since = time.monotonic() - self._last
        found = [f"the watch of {kind} has died" for kind in sorted(self._stale - self._late)]
        late = "came after the start; a restart begins its watch"
        found += [f"the definition of {kind} {late}" for kind in sorted(self._late)]
        if since > _FAILED_INTERVALS * self._interval:
            found.append(f"nothing has been listed for {since:.0f} s")
        return found

    async def _reconcile(self) -> None:
        unreported = {kind: await self._repair(kind) for kind in KINDS}
        is_first, self._cache.is_filled = not self._cache.is_filled, True
        self._listed()
        if is_first:
            return  # the watches have only just begun
        await asyncio.sleep(_WATCH_LAG)
        self._stale = {kind for kind, versions in unreported.items() if self._is_stale(kind, versions)}
        for kind in self._stale:
            logger.error("The watch of %s has not reported what a list found %g s ago", kind, _WATCH_LAG)

    async def _repair(self, kind: str) -> dict[str, int]:
        """Reconcile the cache with a full list; return, by uid, the versions that no watch event has reported.

        Raises ResourceVersionRewoundError if the list is of an earlier version than what was reported before.
        """
        listed: dict[str, int] = {}
        highest_before = self._cache.highest(kind)
        later: list[int] = []
        """Cached versions of objects that are listed in an earlier version: a watch may have reported them during the
        list.
        """

        def take(item: Object) -> None:
            listed[item["metadata"]["uid"]] = version_of(item)
            if (kept := self._cache.kept_version(kind, item)) > version_of(item):
                later.append(kept)
            self._cache.put(kind, item)

        version = await self._api.everything(kind, self._namespaces, take)
        if version is None:  # the definition is not installed, or no longer: no object of the kind exists
            self._cache.repair(kind, {}, highest_before)
            self._undefined.add(kind)
            return {}
        if kind in self._undefined:
            self._undefined.remove(kind)
            if self._namespaces:  # else kopf watches definitions
                logger.warning("The definition of %s was installed; the operator restarts to watch it", kind)
                self._late.add(kind)
        if version < highest_before or any(kept <= version for kept in later):
            raise ResourceVersionRewoundError(
                f"{kind} were listed at version {version}, after version {max([highest_before, *later])}"
            )
        return {uid: listed[uid] for uid in self._cache.repair(kind, listed, version)}

    def _is_stale(self, kind: str, versions: dict[str, int]) -> bool:
        """Return whether the watch has missed any of these objects: it has reported neither the version nor a
        deletion.
        """
        unreported = [uid for uid, version in versions.items() if not self._cache.has_reported(kind, uid, version)]
        self._metrics.count("repairs_total", len(unreported), kind=kind)
        return bool(unreported)


def _ignore(item: Object) -> None:
    """Take nothing: only whether the list exists matters."""
