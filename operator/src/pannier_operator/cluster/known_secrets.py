"""Which Secrets and keys exist, for judging a Component's references to them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pannier_operator.objects.namespace_components import component_in
from pannier_operator.objects.references import references_of

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from pannier_operator.cluster.api import ClusterApi
    from pannier_operator.cluster.cache import ClusterCache
    from pannier_operator.objects import kinds


class KnownSecrets:
    """Reads the cache first, and the API server for what the cache lacks."""

    def __init__(self, api: ClusterApi, cache: ClusterCache):
        self._api = api
        self._cache = cache

    async def keys_in(self, namespace: str, component: kinds.Component | None) -> Mapping[str, Collection[str]]:
        """Return the keys of the namespace's Secrets by name. Raises ApiError.

        A Secret or key that the component refers to and the cache lacks is read from the API server: the same `kubectl
        apply` may have created it a moment ago, before the watch reports it.
        """
        known: dict[str, Collection[str]] = {
            secret["metadata"]["name"]: tuple(secret["data"]) for secret in self._cache.foreign_secrets(namespace)
        }
        for name, key in _references_in(component):
            if key not in known.get(name, ()):
                found = await self._api.secret(namespace, name)
                if found is not None:
                    known[name] = tuple(found.get("data") or ())
        return known


def _references_in(manifest: kinds.Component | None) -> list[tuple[str, str]]:
    component = None if manifest is None else component_in(manifest)
    if component is None:
        return []
    return [(reference.name, reference.key) for _, reference in references_of(component)]
