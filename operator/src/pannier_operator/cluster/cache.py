"""A cache of the objects that the operator needs: filled by watches, and repaired by lists.

Objects are kept trimmed. Of pods only those are kept that have a sidecar, ask for one, or have annotations without
effect. The cache may be a moment old; decisions made from it are made again when it changes.
"""

from __future__ import annotations

import json
from collections import deque
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final

from pannier_crds.values import is_truthy
from pannier_operator.delivery.app_secret import APP_ID_LABEL as APP_ID_OF_SECRET
from pannier_operator.delivery.app_secret import MANAGED_BY_LABEL, MANAGER, digests
from pannier_operator.delivery.refresh import COMPONENTS_ANNOTATION
from pannier_operator.injection.annotations import PREFIXES
from pannier_operator.injection.annotations import read as read_annotations
from pannier_operator.injection.plan import COMPONENTS_VOLUME
from pannier_operator.objects.app_ids import (
    APP_ID_ANNOTATION,
    APP_ID_LABEL,
    DISABLED,
    HASH_LABELS,
    INJECTION_LABEL,
    MIRROR_ANNOTATION,
    app_id_of,
    has_sidecar,
)
from pannier_operator.objects.resource_versions import version_of
from pannier_operator.status.conditions import STATUS_ANNOTATION

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

Manifest = dict[str, Any]

KINDS: Final = ("components", "pods", "secrets")
_GONE_KEPT: Final = 10_000
_ENABLED: Final = "dapr.io/enabled"
_OVER: Final = ("Succeeded", "Failed")
_KEPT_OF_PODS: Final = frozenset(
    {
        *("name", "namespace", "generateName", "uid", "resourceVersion"),
        *("creationTimestamp", "deletionTimestamp", "ownerReferences"),
    }
)
_KEPT_LABELS: Final = frozenset({APP_ID_LABEL, INJECTION_LABEL, *HASH_LABELS})
_KEPT_ANNOTATIONS: Final = frozenset({_ENABLED, APP_ID_ANNOTATION, COMPONENTS_ANNOTATION, MIRROR_ANNOTATION})


class ClusterCache:
    """Components, pods and Secrets by namespace and name."""

    def __init__(self) -> None:
        self._kept: dict[str, dict[str, dict[str, Manifest]]] = {kind: {} for kind in KINDS}
        self._watched: dict[str, dict[str, int]] = {kind: {} for kind in KINDS}
        """By kind, the uid and latest version of each object that a watch has reported, kept or not."""
        self._gone: dict[str, deque[str]] = {kind: deque(maxlen=_GONE_KEPT) for kind in KINDS}
        """By kind, the uids of the objects whose deletion a watch has reported last."""
        self._highest = dict.fromkeys(KINDS, 0)
        self.is_filled = False
        """Whether a full list has been read once."""

    def observe(self, kind: str, is_gone: bool, manifest: Manifest) -> bool:
        """Take an object from a watch event; return whether the namespace should be reconciled."""
        metadata = manifest["metadata"]
        self._highest[kind] = max(self._highest[kind], version_of(manifest))
        if is_gone:
            self._watched[kind].pop(metadata["uid"], None)
            self._gone[kind].append(metadata["uid"])
            return self._forget(kind, metadata)
        self._watched[kind][metadata["uid"]] = version_of(manifest)
        return self.put(kind, manifest)

    def put(self, kind: str, manifest: Manifest) -> bool:
        """Keep an object, unless a newer version of it is kept; return whether anything that matters has changed."""
        metadata = manifest["metadata"]
        kept = self._kept[kind].setdefault(metadata["namespace"], {})
        before = kept.get(metadata["name"])
        if before is not None and version_of(before) >= version_of(manifest):
            return False
        after = _TRIMS[kind](manifest)
        if after is None:
            return self._forget(kind, metadata)
        kept[metadata["name"]] = after
        return before is None or _FINGERPRINTS[kind](before) != _FINGERPRINTS[kind](after)

    def _forget(self, kind: str, metadata: Manifest) -> bool:
        kept = self._kept[kind].get(metadata["namespace"], {})
        before = kept.get(metadata["name"])
        if before is None or before["metadata"]["uid"] != metadata["uid"]:
            return False
        del kept[metadata["name"]]
        if not kept:
            del self._kept[kind][metadata["namespace"]]
        return True

    def highest(self, kind: str) -> int:
        """Return the latest version that was reported: a list that begins now cannot be of an earlier one."""
        return self._highest[kind]

    def kept_version(self, kind: str, manifest: Manifest) -> int:
        """Return the version in which an object is kept; 0 if it is not."""
        metadata = manifest["metadata"]
        before = self._kept[kind].get(metadata["namespace"], {}).get(metadata["name"])
        return 0 if before is None else version_of(before)

    def repair(self, kind: str, listed: Mapping[str, int], version: int) -> list[str]:
        """Remove what a full list does not contain; return the uids of listed objects no watch has reported in that
        version.

        `listed` has the uids and versions of the listed objects, which have been put into the cache; `version` is that
        of the list.
        """
        self._highest[kind] = max(self._highest[kind], version)
        for kept in list(self._kept[kind].values()):
            for each in list(kept.values()):
                if each["metadata"]["uid"] not in listed and version_of(each) <= version:
                    self._forget(kind, each["metadata"])
        return [uid for uid, its_version in listed.items() if not self.has_reported(kind, uid, its_version)]

    def has_reported(self, kind: str, uid: str, version: int) -> bool:
        """Return whether a watch has reported this version of an object, a later one, or its deletion."""
        return self._watched[kind].get(uid, 0) >= version or uid in self._gone[kind]

    def namespaces(self) -> set[str]:
        """Return the namespaces in which something may have to be done."""
        with_secrets = {namespace for namespace in self._kept["secrets"] if self.own_secrets(namespace)}
        return with_secrets.union(self._kept["components"], self._kept["pods"])

    def components(self, namespace: str) -> list[Manifest]:
        return list(self._kept["components"].get(namespace, {}).values())

    def pods(self, namespace: str) -> list[Manifest]:
        return list(self._kept["pods"].get(namespace, {}).values())

    def secret(self, namespace: str, name: str) -> Manifest | None:
        """Return metadata and, under `data`, the keys of a Secret; of our own Secrets also digests of the values."""
        return self._kept["secrets"].get(namespace, {}).get(name)

    def secrets(self, namespace: str) -> list[Manifest]:
        return list(self._kept["secrets"].get(namespace, {}).values())

    def foreign_secrets(self, namespace: str) -> list[Manifest]:
        """Return the Secrets that components may refer to: those that this operator has not written."""
        return [secret for secret in self.secrets(namespace) if not is_own_secret(secret)]

    def own_secrets(self, namespace: str) -> list[Manifest]:
        """Return the Secrets that this operator has written for apps."""
        return [secret for secret in self.secrets(namespace) if is_own_secret(secret)]

    def running_apps(self, namespace: str, *, with_ending: bool = True) -> set[str]:
        """Return the apps that have pods with our sidecar which have not ended; without `with_ending`, which are not
        being deleted either.
        """
        pods = [pod for pod in self.pods(namespace) if is_ours(pod) and is_alive(pod)]
        return {app_id_of(pod) for pod in pods if with_ending or not pod["metadata"].get("deletionTimestamp")}

    def missed_pods(self) -> Iterator[Manifest]:
        """Yield the pods that ask for a sidecar and have none."""
        for namespace in self._kept["pods"]:
            yield from (pod for pod in self.pods(namespace) if is_missed(pod))


def is_own_secret(secret: Manifest) -> bool:
    return bool((secret["metadata"].get("labels") or {}).get(MANAGED_BY_LABEL) == MANAGER) and _names_app(secret)


def _names_app(secret: Manifest) -> bool:
    return APP_ID_OF_SECRET in (secret["metadata"].get("labels") or {})


def is_ours(pod: Manifest) -> bool:
    """Return whether the pod mounts an app's components: a pod that Dapr has injected does not."""
    return any(volume.get("name") == COMPONENTS_VOLUME for volume in pod["spec"]["volumes"])


def is_alive(pod: Manifest) -> bool:
    return pod["status"].get("phase") not in _OVER


def is_missed(pod: Manifest) -> bool:
    is_ending = not is_alive(pod) or pod["metadata"].get("deletionTimestamp")
    is_meant = (pod["metadata"].get("labels") or {}).get(INJECTION_LABEL) == DISABLED
    return _asks_for_sidecar(pod["metadata"]) and not has_sidecar(pod) and not is_ending and not is_meant


def is_running(pod: Manifest) -> bool:
    """Return whether its sidecar can be probed."""
    status = pod["status"]
    return (
        status.get("phase") == "Running" and bool(status.get("podIP")) and not pod["metadata"].get("deletionTimestamp")
    )


def _without_managers(metadata: Manifest) -> Manifest:
    return {key: value for key, value in metadata.items() if key != "managedFields"}


def _trim_component(component: Manifest) -> Manifest:
    trimmed = dict(component)
    metadata = trimmed["metadata"] = _without_managers(component["metadata"])
    if STATUS_ANNOTATION in (metadata.get("annotations") or {}):
        metadata["annotations"] = dict(metadata["annotations"])
        trimmed.setdefault("status", _decoded(metadata["annotations"].pop(STATUS_ANNOTATION)))
    return trimmed


def _decoded(text: str) -> Manifest:
    """Decode the status that an annotation holds; empty if it is not valid JSON."""
    try:
        status = json.loads(text)
    except ValueError:
        return {}
    return status if isinstance(status, dict) else {}


def _trim_pod(pod: Manifest) -> Manifest | None:
    metadata, spec, status = pod["metadata"], pod.get("spec") or {}, pod.get("status") or {}
    mistakes = _mistakes_in(metadata.get("annotations") or {})
    if not _asks_for_sidecar(metadata) and not has_sidecar(pod) and not mistakes:
        return None
    conditions = {each["type"]: each["status"] for each in status.get("conditions") or ()}
    return {
        "metadata": _metadata_of_pod(metadata),
        "spec": {
            "containers": _names(spec.get("containers")),
            "initContainers": _names(spec.get("initContainers")),
            "volumes": _names(spec.get("volumes"), "pannier-"),
        },
        "status": {"phase": status.get("phase"), "podIP": status.get("podIP"), "ready": conditions.get("Ready")},
        "mistakes": mistakes,
    }


def _mistakes_in(annotations: Mapping[str, str]) -> tuple[str, ...]:
    """Return the mistakes in a pod's annotations."""
    if not any(name.startswith(PREFIXES) for name in annotations):
        return ()
    _, warnings = read_annotations(annotations)
    return tuple(warnings)


def _asks_for_sidecar(metadata: Manifest) -> bool:
    return is_truthy((metadata.get("annotations") or {}).get(_ENABLED))


def _metadata_of_pod(metadata: Manifest) -> Manifest:
    """Return what is needed of a pod's metadata: there are thousands, and other tools write much into them."""
    kept = {key: value for key, value in metadata.items() if key in _KEPT_OF_PODS}
    for part, names in (("labels", _KEPT_LABELS), ("annotations", _KEPT_ANNOTATIONS)):
        kept[part] = {name: value for name, value in (metadata.get(part) or {}).items() if name in names}
    return kept


def _names(entries: Iterable[Manifest] | None, prefix: str = "") -> tuple[Manifest, ...]:
    return tuple(_named(entry["name"]) for entry in entries or () if entry["name"].startswith(prefix))


@lru_cache(maxsize=1024)
def _named(name: str) -> Manifest:
    """Return one shared dictionary for all containers of one name. Never modify it."""
    return {"name": name}


def trimmed_secret(secret: Manifest) -> Manifest:
    data = secret.get("data") or {}
    own = is_own_secret(secret)
    metadata = secret["metadata"]
    if own:
        return {"metadata": {**_without_managers(metadata), "changed": _last_change(metadata)}, "data": digests(secret)}
    kept = {key: metadata[key] for key in ("name", "namespace", "uid", "resourceVersion")}
    if _names_app(secret):
        kept["labels"] = {APP_ID_OF_SECRET: metadata["labels"][APP_ID_OF_SECRET]}
    return {"metadata": kept, "data": dict.fromkeys(data, "")}


def _last_change(metadata: Manifest) -> str:
    """Return when the object was last written, in whole seconds."""
    times = [entry.get("time") or "" for entry in metadata.get("managedFields") or ()]
    return max([metadata.get("creationTimestamp") or "", *times])


def _fingerprint_of_component(component: Manifest) -> object:
    """Return what a reconcile depends on, and the status, which a reconcile writes."""
    metadata = component["metadata"]
    return metadata["uid"], metadata.get("generation"), metadata.get("deletionTimestamp"), component.get("status")


def _fingerprint_of_pod(pod: Manifest) -> object:
    metadata = pod["metadata"]
    return metadata["uid"], metadata.get("deletionTimestamp"), metadata.get("annotations"), pod["status"], pod["spec"]


def _fingerprint_of_secret(secret: Manifest) -> object:
    metadata = secret["metadata"]
    return secret["data"] if is_own_secret(secret) else (metadata["uid"], metadata["resourceVersion"])


_TRIMS: Final[dict[str, Any]] = {"components": _trim_component, "pods": _trim_pod, "secrets": trimmed_secret}
_FINGERPRINTS: Final[dict[str, Any]] = {
    "components": _fingerprint_of_component,
    "pods": _fingerprint_of_pod,
    "secrets": _fingerprint_of_secret,
}
