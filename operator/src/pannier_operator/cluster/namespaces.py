"""What admission needs to know of a namespace: its labels, and its bounds on containers. Cached for seconds."""

from __future__ import annotations

import logging
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from pannier_operator.admission.namespace_bounds import NO_BOUNDS, NamespaceBounds
from pannier_operator.cluster.errors import ApiError
from pannier_operator.objects.app_ids import DISABLED, INJECTION_LABEL

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pannier_operator.cluster.api import ClusterApi
    from pannier_operator.objects.label_selectors import LabelSelector

logger = logging.getLogger(__name__)

TTL: Final = 5.0
"""TTL of the namespace cache, in seconds: pods are created in bursts."""


@dataclass(frozen=True)
class NamespaceFacts:
    """Labels and bounds. If they could not be read they are empty, and no pod is refused because of that."""

    labels: Mapping[str, str] = field(default_factory=dict)
    bounds: NamespaceBounds = NO_BOUNDS


class NamespaceCache:
    """Facts of namespaces by name.

    Namespaces with bounds are not cached, because quotas change with each pod. Namespaces that get no sidecars are not
    cached either: when such a namespace gets another label, or is created again, its next pod must get a sidecar.
    """

    def __init__(self, api: ClusterApi, selector: LabelSelector):
        """`selector` selects the namespaces that this installation handles; an empty one selects all."""
        self._api = api
        self._selector = selector
        self._kept: dict[str, tuple[float, NamespaceFacts]] = {}

    async def facts_of(self, namespace: str, *, is_current: bool = False) -> NamespaceFacts:
        """Return the namespace's facts; with `is_current` they are read now."""
        now = time.monotonic()
        known = self._kept.get(namespace)
        if known is not None and now - known[0] < TTL and not is_current:
            return known[1]
        facts = await self._read(namespace)
        self._kept = {name: kept for name, kept in self._kept.items() if now - kept[0] < TTL}
        if facts.labels and not facts.bounds.are_any and not self._keeps_out(facts.labels):
            self._kept[namespace] = (now, facts)
        return facts

    async def is_ours(self, namespace: str) -> bool:
        """Return whether this installation handles the namespace; yes if its labels cannot be read."""
        if not self._selector.requirements:
            return True
        return self._is_selected((await self.facts_of(namespace)).labels)

    def _is_selected(self, labels: Mapping[str, str]) -> bool:
        return not labels or self._selector.matches(labels)

    async def expects_no_sidecars(self, namespace: str) -> bool:
        """Return whether pods of the namespace need no sidecar of ours."""
        if not await self.is_ours(namespace):
            return True
        return (await self.facts_of(namespace)).labels.get(INJECTION_LABEL) == DISABLED

    def _keeps_out(self, labels: Mapping[str, str]) -> bool:
        return labels.get(INJECTION_LABEL) == DISABLED or not self._is_selected(labels)

    async def _read(self, namespace: str) -> NamespaceFacts:
        labels: Mapping[str, str] = {}
        bounds = NO_BOUNDS
        try:
            labels = await self._api.namespace_labels(namespace)
            bounds = NamespaceBounds(*await self._api.bounds_of(namespace))
        except ApiError as error:
            logger.warning("Labels or bounds of namespace %s cannot be read: %s", namespace, error)
        return NamespaceFacts(labels, bounds)
