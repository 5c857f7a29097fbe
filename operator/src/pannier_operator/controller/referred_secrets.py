"""The values of the Secrets that components refer to, read again only when their versions change."""

from __future__ import annotations

from base64 import b64decode
from typing import TYPE_CHECKING

from pannier_operator.objects.references import references_of

if TYPE_CHECKING:
    from collections.abc import Iterable

    from pannier_crds.component import SecretKeyRef
    from pannier_operator.cluster.api import ClusterApi
    from pannier_operator.cluster.cache import ClusterCache
    from pannier_operator.objects.namespace_components import NamespaceComponents

Secrets = dict[str, dict[str, bytes]]
"""Secrets of a namespace by their names, each with its values by key."""


class ReferredSecrets:
    """Reads Secrets, and keeps the values of those that are referred to."""

    def __init__(self, api: ClusterApi, cache: ClusterCache):
        self._api = api
        self._cache = cache
        self._known: dict[tuple[str, str], tuple[str, dict[str, bytes]]] = {}
        """The version and values of each Secret that components refer to, by its namespace and name."""

    def forget(self) -> None:
        """Keep no values any more."""
        self._known.clear()

    async def of(self, namespace: str, components: NamespaceComponents, others: Iterable[SecretKeyRef] = ()) -> Secrets:
        """Return the keys of the namespace's Secrets, with the values of those that components and `others` refer to;
        the values of the rest are empty. Raises ApiError.
        """
        secrets: Secrets = {
            secret["metadata"]["name"]: dict.fromkeys(secret["data"], b"")
            for secret in self._cache.foreign_secrets(namespace)
        }
        referred = {*_referred_to(components), *(reference.name for reference in others)} & secrets.keys()
        for key in [key for key in self._known if key[0] == namespace and key[1] not in referred]:
            del self._known[key]
        for name in referred:
            values = await self._values_of(namespace, name)
            if values is not None:
                secrets[name] = values
        return secrets

    async def _values_of(self, namespace: str, name: str) -> dict[str, bytes] | None:
        """Return the data of a Secret, read again only when its version has changed."""
        kept = self._cache.secret(namespace, name)
        known = self._known.get((namespace, name))
        if kept is not None and known is not None and known[0] == kept["metadata"]["resourceVersion"]:
            return known[1]
        found = await self._api.secret(namespace, name)
        if found is None:
            self._known.pop((namespace, name), None)
            return None
        values = {key: b64decode(value) for key, value in (found.get("data") or {}).items()}
        self._known[namespace, name] = (found["metadata"]["resourceVersion"], values)
        self._cache.put("secrets", found)
        return values


def _referred_to(components: NamespaceComponents) -> set[str]:
    """Return the names of the Secrets that components refer to."""
    readable = [member.component for member in components.members if member.component is not None]
    return {reference.name for component in readable for _, reference in references_of(component)}
