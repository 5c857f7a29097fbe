"""Everything is listed from time to time, which repairs what a watch has missed, and shows that a watch has died."""

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
    from typing import Any

    from pannier_operator.cluster.api import ClusterApi
    from pannier_operator.cluster.cache import ClusterCache
    from pannier_operator.metrics import Metrics

logger = logging.getLogger(__name__)

_RETRY: Final = 2.0
_WATCH_LAG: Final = 15.0
"""Seconds that a watch has to tell of what a list call has found."""
_FAILED_INTERVALS: Final = 3
"""So many intervals without a resync are too many."""


class Resync:
    """Lists all that the operator looks after, at the start and in an interval. Every replica does."""

    def __init__(
        self,
        api: ClusterApi,
        cache: ClusterCache,
        namespaces: Collection[str],
        interval: float,
        metrics: Metrics,
        filled: Callable[[], None],
    ):
        self._api = api
        self._cache = cache
        self._namespaces = namespaces
        self._interval = interval
        self._metrics = metrics
        self._filled = filled
        self._last = time.monotonic()
        self._stale: set[str] = set()
        self._requested = asyncio.Event()

    def request(self) -> None:
        """List everything now: an API server that was away may have been restored from a backup, without some objects
        and with numbers for others that watches have told of before."""
        self._requested.set()

    async def run(self) -> None:
        """Look, until cancelled."""
        while True:
            self._requested.clear()
            try:
                await self._reconcile()
            except ApiError as error:
                self._metrics.count("resync_total", result="failed")
                logger.warning("Looking at everything failed and is tried again: %s", error)
                await asyncio.sleep(_RETRY)
            else:
                self._metrics.count("resync_total", result="completed")
                self._metrics.set("last_resync_timestamp_seconds", time.time())
                self._last = time.monotonic()
                await wait_for_event(self._requested, self._interval)

    def problems(self) -> list[str]:
        """What is wrong, for the liveness probe."""
        since = time.monotonic() - self._last
        found = [f"the watch of {kind} has died" for kind in sorted(self._stale)]
        if since > _FAILED_INTERVALS * self._interval:
            found.append(f"nothing has been listed for {since:.0f} s")
        return found

    async def _reconcile(self) -> None:
        unreported = {kind: await self._repair(kind) for kind in KINDS}
        is_first, self._cache.is_filled = not self._cache.is_filled, True
        self._filled()
        if is_first:
            return  # watches have only begun
        await asyncio.sleep(_WATCH_LAG)
        self._stale = {kind for kind, versions in unreported.items() if self._is_stale(kind, versions)}
        for kind in self._stale:
            logger.error("The watch of %s has not told of what a list call found %g s ago", kind, _WATCH_LAG)

    async def _repair(self, kind: str) -> dict[str, int]:
        """Make what is kept what there is; the uids and versions of what no watch has told of yet.

        Raises ResourceVersionRewoundError where the API server lists less than it has told before.
        """
        listed: dict[str, int] = {}
        highest_before = self._cache.highest(kind)
        later: list[int] = []
        """Versions that are kept of objects of which an earlier one is listed: watches may tell of them meanwhile."""

        def take(item: dict[str, Any]) -> None:
            listed[item["metadata"]["uid"]] = version_of(item)
            if (kept := self._cache.kept_version(kind, item)) > version_of(item):
                later.append(kept)
            self._cache.put(kind, item)

        version = await self._api.everything(kind, self._namespaces, take)
        if version < highest_before or any(kept <= version for kept in later):
            raise ResourceVersionRewoundError(
                f"{kind} were listed at version {version}, after version {max([highest_before, *later])}"
            )
        return {uid: listed[uid] for uid in self._cache.repair(kind, listed, version)}

    def _is_stale(self, kind: str, versions: dict[str, int]) -> bool:
        """Whether a watch still has not told of an object, or of its end."""
        unreported = [uid for uid, version in versions.items() if not self._cache.has_reported(kind, uid, version)]
        self._metrics.count("repairs_total", len(unreported), kind=kind)
        return bool(unreported)
