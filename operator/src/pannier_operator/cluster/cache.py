"""A cache of the objects that the operator needs: filled by watches, and repaired by lists.

Of the pods it keeps only those that have a sidecar, ask for one, or have annotations without effect. The cache may be
slightly out of date; decisions made from it are made again when it changes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from pannier_operator.cluster.cached_objects import (
    fingerprint_of_configured,
    fingerprint_of_pod,
    fingerprint_of_secret,
    is_alive,
    is_missed,
    is_ours,
    is_own_secret,
    trim_configured,
    trim_pod,
    trimmed_secret,
)
from pannier_operator.cluster.indexer import Indexer
from pannier_operator.objects.app_ids import app_id_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from pannier_operator.objects.kinds import CachedSecret, Component, Configuration, Object, Resiliency
    from pannier_operator.objects.pod_kinds import CachedPod

KINDS: Final = ("components", "resiliencies", "configurations", "pods", "secrets")


class ClusterCache:
    """The objects of each kind by namespace and name. A `kind` is one of `KINDS`."""

    def __init__(self) -> None:
        self._components: Indexer[Component] = Indexer(trim_configured, fingerprint_of_configured)
        self._resiliencies: Indexer[Resiliency] = Indexer(trim_configured, fingerprint_of_configured)
        self._configurations: Indexer[Configuration] = Indexer(trim_configured, fingerprint_of_configured)
        self._pods: Indexer[CachedPod] = Indexer(trim_pod, fingerprint_of_pod)
        self._secrets: Indexer[CachedSecret] = Indexer(trimmed_secret, fingerprint_of_secret)
        self._kinds: dict[str, Indexer[Any]] = {
            "components": self._components,
            "resiliencies": self._resiliencies,
            "configurations": self._configurations,
            "pods": self._pods,
            "secrets": self._secrets,
        }
        self.is_filled = False
        """Whether a full list has been read once."""

    def observe(self, kind: str, is_gone: bool, manifest: Object) -> bool:
        """Take an object from a watch event; return whether the namespace should be reconciled."""
        return self._kinds[kind].observe(is_gone, manifest)

    def put(self, kind: str, manifest: Object) -> bool:
        """Keep an object, unless a newer version of it is kept; return whether anything that matters has changed."""
        return self._kinds[kind].put(manifest)

    def highest(self, kind: str) -> int:
        """Return the latest version that was reported: a list that begins now cannot be of an earlier one."""
        return self._kinds[kind].highest

    def kept_version(self, kind: str, manifest: Object) -> int:
        """Return the version in which an object is kept; 0 if it is not."""
        return self._kinds[kind].kept_version(manifest)

    def repair(self, kind: str, listed: Mapping[str, int], version: int) -> list[str]:
        """Remove what a full list does not contain, as `Indexer.repair` says."""
        return self._kinds[kind].repair(listed, version)

    def has_reported(self, kind: str, uid: str, version: int) -> bool:
        """Return whether a watch has reported this version of an object, a later one, or its deletion."""
        return self._kinds[kind].has_reported(uid, version)

    def namespaces(self) -> set[str]:
        """Return the namespaces in which something may have to be done."""
        with_secrets = {namespace for namespace in self._secrets.namespaces() if self.own_secrets(namespace)}
        return with_secrets.union(*(self._kinds[kind].namespaces() for kind in KINDS if kind != "secrets"))

    def components(self, namespace: str) -> list[Component]:
        return self._components.items(namespace)

    def resiliencies(self, namespace: str) -> list[Resiliency]:
        return self._resiliencies.items(namespace)

    def configurations(self, namespace: str) -> list[Configuration]:
        return self._configurations.items(namespace)

    def pods(self, namespace: str) -> list[CachedPod]:
        return self._pods.items(namespace)

    def secret(self, namespace: str, name: str) -> CachedSecret | None:
        """Return metadata and, under `data`, the keys of a Secret; of our own Secrets also digests of the values."""
        return self._secrets.find(namespace, name)

    def secrets(self, namespace: str) -> list[CachedSecret]:
        return self._secrets.items(namespace)

    def foreign_secrets(self, namespace: str) -> list[CachedSecret]:
        """Return the Secrets that components may refer to: those that this operator has not written."""
        return [secret for secret in self.secrets(namespace) if not is_own_secret(secret)]

    def own_secrets(self, namespace: str) -> list[CachedSecret]:
        """Return the Secrets that this operator has written for apps."""
        return [secret for secret in self.secrets(namespace) if is_own_secret(secret)]

    def running_apps(self, namespace: str, *, with_ending: bool = True) -> set[str]:
        """Return the apps that have pods with our sidecar that have not ended.

        Without `with_ending`, pods that are being deleted do not count.
        """
        pods = [pod for pod in self.pods(namespace) if is_ours(pod) and is_alive(pod)]
        return {app_id_of(pod) for pod in pods if with_ending or not pod["metadata"].get("deletionTimestamp")}

    def missed_pods(self) -> Iterator[CachedPod]:
        """Yield the pods that ask for a sidecar and have none."""
        for namespace in self._pods.namespaces():
            yield from (pod for pod in self.pods(namespace) if is_missed(pod))
