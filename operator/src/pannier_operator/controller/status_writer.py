"""Writes the statuses of objects, and the Events about their changes."""

from __future__ import annotations

import logging
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

from pannier_operator.cluster.errors import ApiRefusedError
from pannier_operator.status.events import event_of_transition
from pannier_operator.status.findings import differs, events_between

if TYPE_CHECKING:
    from pannier_operator.cluster.api import ClusterApi
    from pannier_operator.cluster.cache import ClusterCache
    from pannier_operator.objects.kinds import Configured, Status

logger = logging.getLogger(__name__)

_RETRY: Final = 30.0
"""Seconds until a status that the API server refuses is written again."""
_KINDS: Final = {"components": "Component", "resiliencies": "Resiliency", "configurations": "Configuration"}


class StatusWriter:
    """Writes statuses that differ, one object at a time."""

    def __init__(self, api: ClusterApi, cache: ClusterCache):
        self._api = api
        self._cache = cache

    async def write(self, plural: str, manifest: Configured, status: Status) -> float | None:
        """Write one object's status and its Events; return the seconds until the next attempt if it is refused.

        A refusal does not stop the statuses of other objects. Raises ApiError.
        """
        if manifest["metadata"].get("deletionTimestamp") or not differs(status, manifest):
            return None
        before = manifest.get("status")
        try:
            written = await self._api.write_status(plural, manifest, status)
        except ApiRefusedError as error:
            if error.is_namespace_terminating:
                raise
            name, namespace = manifest["metadata"]["name"], manifest["metadata"]["namespace"]
            logger.warning("The status of %s %s/%s cannot be written: %s", _KINDS[plural], namespace, name, error)
            return _RETRY
        if written is None:
            return None
        self._cache.put(plural, written)
        now = datetime.now(UTC)
        for event in events_between(before, status):
            await self._api.create_event(event_of_transition(_KINDS[plural], manifest, event, status, now))
        return None
