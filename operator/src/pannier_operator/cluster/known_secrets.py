"""Which Secrets and keys exist, for judging references to them."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping

    from pannier_crds.component import SecretKeyRef
    from pannier_operator.cluster.api import ClusterApi
    from pannier_operator.cluster.cache import ClusterCache


class KnownSecrets:
    """Reads the cache first, and the API server for what the cache lacks."""

    def __init__(self, api: ClusterApi, cache: ClusterCache):
        self._api = api
        self._cache = cache

    async def keys_in(self, namespace: str, references: Iterable[SecretKeyRef]) -> Mapping[str, Collection[str]]:
        """Return the keys of the namespace's Secrets by name. Raises ApiError.

        A Secret or key that is referred to and the cache lacks is read from the API server: the same `kubectl
        apply` may have created it a moment ago, before the watch reports it.
        """
        known: dict[str, Collection[str]] = {
            secret["metadata"]["name"]: tuple(secret["data"]) for secret in self._cache.foreign_secrets(namespace)
        }
        for reference in references:
            if reference.key not in known.get(reference.name, ()):
                found = await self._api.secret(namespace, reference.name)
                if found is not None:
                    known[reference.name] = tuple(found.get("data") or ())
        return known
