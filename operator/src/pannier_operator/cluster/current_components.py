"""The Components of a namespace as they are now: those of the cache whose versions the API server confirms."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from pannier_operator.cluster.api import ClusterApi
    from pannier_operator.cluster.cache import ClusterCache
    from pannier_operator.objects import kinds

_MAX_READ: Final = 8
"""If more Components of the cache than this are out of date, all are listed."""


class CurrentComponents:
    """Reads every Component that was written before the read began. Decision 28 says why not from the cache alone."""

    def __init__(self, api: ClusterApi, cache: ClusterCache):
        self._api = api
        self._cache = cache
        self._confirms_versions = True
        """Whether the definition of Components has a column for them. When a release brings it, the operator restarts.
        """

    async def of(self, namespace: str) -> Sequence[kinds.Component]:
        """Return the Components of a namespace; do not change them. Raises ApiError."""
        versions = await self._api.component_versions_in(namespace) if self._confirms_versions else None
        if versions is None:
            self._confirms_versions = False
            return await self._api.components_in(namespace)
        confirmed = self._confirmed(namespace, versions)
        others = versions.keys() - confirmed.keys()
        if len(others) > _MAX_READ:
            return await self._api.components_in(namespace)
        read = await asyncio.gather(*(self._api.component(namespace, name) for name in others))
        return [*confirmed.values(), *(each for each in read if each is not None)]

    def _confirmed(self, namespace: str, versions: Mapping[str, str]) -> dict[str, kinds.Component]:
        """Return the Components of the cache that are in these versions, by name."""
        return {
            name: each
            for each in self._cache.components(namespace)
            if versions.get(name := each["metadata"]["name"]) == each["metadata"]["resourceVersion"]
        }
