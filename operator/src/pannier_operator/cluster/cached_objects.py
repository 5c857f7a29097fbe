"""What the cache keeps of an object, and what the operator asks of it. Pure.

Objects are trimmed, because a cluster has thousands, and other tools write a lot into them.
"""

from __future__ import annotations

import json
from functools import lru_cache
from sys import intern
from typing import TYPE_CHECKING, Final, TypeVar

from pannier_crds.component import CONTAINER_ANNOTATION
from pannier_operator.delivery.app_secret import APP_ID_LABEL as APP_ID_OF_SECRET
from pannier_operator.delivery.app_secret import (
    MANAGED_BY_LABEL,
    MANAGER,
    app_of_secret_name,
    configuration_in,
    digests,
)
from pannier_operator.delivery.refresh import COMPONENTS_ANNOTATION
from pannier_operator.injection.annotations import PREFIXES
from pannier_operator.injection.annotations import read as read_annotations
from pannier_operator.injection.plan import COMPONENTS_VOLUME, CONFIGURATION_VOLUME
from pannier_operator.objects.app_ids import (
    APP_ID_ANNOTATION,
    APP_ID_LABEL,
    ENABLED_ANNOTATION,
    HASH_LABELS,
    INJECTION_LABEL,
    MIRROR_ANNOTATION,
    asks_for_sidecar,
    has_sidecar,
    lacks_sidecar,
)
from pannier_operator.objects.namespace_components import annotation_of
from pannier_operator.status.findings import STATUS_ANNOTATION

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from pannier_operator.objects.kinds import CachedSecret, Configured, ObjectMeta, Secret
    from pannier_operator.objects.pod_kinds import CachedPod, Container, Pod, Volume

C = TypeVar("C", bound="Configured")
_OVER: Final = ("Succeeded", "Failed")
_KEPT_LABELS: Final = frozenset({APP_ID_LABEL, INJECTION_LABEL, *HASH_LABELS})
_KEPT_ANNOTATIONS: Final = frozenset({ENABLED_ANNOTATION, APP_ID_ANNOTATION, COMPONENTS_ANNOTATION, MIRROR_ANNOTATION})


# --- Components, Resiliency objects and Configurations ----------------------------------------------------------------


def trim_configured(manifest: C) -> C:
    trimmed, metadata = manifest.copy(), _without_managers(manifest["metadata"])
    trimmed["metadata"] = metadata
    annotations = dict(metadata.get("annotations") or {})
    status = annotations.pop(STATUS_ANNOTATION, None)
    if status is not None:
        metadata["annotations"] = annotations
        trimmed["status"] = trimmed.get("status", _decoded(status))
    return trimmed


def _decoded(text: str) -> object:
    """Decode the status that an annotation holds; empty if it is not valid JSON."""
    try:
        status: object = json.loads(text)
    except ValueError:
        return {}
    return status if isinstance(status, dict) else {}


def fingerprint_of_configured(manifest: Configured) -> object:
    """Return what a reconcile depends on, and the status, which a reconcile writes."""
    metadata = manifest["metadata"]
    container = annotation_of(manifest, CONTAINER_ANNOTATION)  # of a Component; it changes without a new generation
    return (
        metadata["uid"],
        metadata.get("generation"),
        metadata.get("deletionTimestamp"),
        container,
        manifest.get("status"),
    )


# --- pods -------------------------------------------------------------------------------------------------------------


def is_ours(pod: Pod) -> bool:
    """Return whether the pod mounts an app's components: a pod that Dapr has injected does not."""
    return any(volume.get("name") == COMPONENTS_VOLUME for volume in pod["spec"]["volumes"])


def is_alive(pod: Pod) -> bool:
    return pod["status"].get("phase") not in _OVER


def is_missed(pod: Pod) -> bool:
    is_ending = not is_alive(pod) or pod["metadata"].get("deletionTimestamp")
    return lacks_sidecar(pod) and not is_ending


def is_running(pod: Pod) -> bool:
    """Return whether its sidecar can be probed."""
    status = pod["status"]
    return (
        status.get("phase") == "Running" and bool(status.get("podIP")) and not pod["metadata"].get("deletionTimestamp")
    )


def trim_pod(pod: Pod) -> CachedPod | None:
    metadata, spec, status = pod["metadata"], pod.get("spec") or {}, pod.get("status") or {}
    mistakes = _mistakes_in(metadata.get("annotations") or {})
    if not asks_for_sidecar(metadata) and not has_sidecar(pod) and not mistakes:
        return None
    conditions = {each["type"]: each["status"] for each in status.get("conditions") or ()}
    kept = _metadata_of_pod(metadata)
    if app := _mounted_app(spec.get("volumes") or ()):
        kept["labels"] = {**(kept.get("labels") or {}), APP_ID_LABEL: app}
    return {
        "metadata": kept,
        "spec": {
            "containers": tuple(_container(each["name"]) for each in spec.get("containers") or ()),
            "initContainers": tuple(_container(each["name"]) for each in spec.get("initContainers") or ()),
            "volumes": tuple(_volume(name) for each in spec.get("volumes") or () if _is_own(name := each["name"])),
        },
        "status": {"phase": status.get("phase"), "podIP": status.get("podIP")},
        "ready": conditions.get("Ready"),
        "mistakes": mistakes,
        "configuration": _mounted_configuration(spec.get("volumes") or ()),
    }


def fingerprint_of_pod(pod: CachedPod) -> object:
    metadata = pod["metadata"]
    what_it_is = metadata["uid"], metadata.get("deletionTimestamp"), metadata.get("annotations")
    return what_it_is, pod["status"], pod["ready"], pod["spec"]


def _mounted_app(volumes: Iterable[Volume]) -> str:
    """Return the app whose components a pod mounts; empty for none.

    The pod counts as that app's, whatever its labels say: `kubectl debug --copy-to` makes a copy without them.
    """
    names = [(each.get("secret") or {}).get("secretName", "") for each in volumes if each["name"] == COMPONENTS_VOLUME]
    return app_of_secret_name(names[0]) if names else ""


def _mounted_configuration(volumes: Iterable[Volume]) -> str:
    """Return the name of the Configuration that a pod mounts, whatever its annotation says now; empty for none."""
    items = [(each.get("secret") or {}).get("items") or () for each in volumes if each["name"] == CONFIGURATION_VOLUME]
    return intern(configuration_in(items[0][0]["key"])) if items and items[0] else ""


def _mistakes_in(annotations: Mapping[str, str]) -> tuple[str, ...]:
    """Return the mistakes in a pod's annotations."""
    if not any(name.startswith(PREFIXES) for name in annotations):
        return ()
    _, warnings = read_annotations(annotations)
    return tuple(warnings)


def _metadata_of_pod(metadata: ObjectMeta) -> ObjectMeta:
    labels, annotations = metadata.get("labels") or {}, metadata.get("annotations") or {}
    kept: ObjectMeta = {
        "name": metadata["name"],
        "namespace": metadata["namespace"],
        "uid": metadata["uid"],
        "resourceVersion": metadata.get("resourceVersion", ""),
        "creationTimestamp": metadata.get("creationTimestamp", ""),
        "ownerReferences": metadata.get("ownerReferences") or (),
        "labels": {name: value for name, value in labels.items() if name in _KEPT_LABELS},
        "annotations": {name: value for name, value in annotations.items() if name in _KEPT_ANNOTATIONS},
    }
    if "deletionTimestamp" in metadata:
        kept["deletionTimestamp"] = metadata["deletionTimestamp"]
    return kept


def _is_own(volume: str) -> bool:
    return volume.startswith("pannier-")


@lru_cache(maxsize=1024)
def _container(name: str) -> Container:
    """Return one shared dictionary for all containers of one name. Never modify it."""
    return {"name": name}


@lru_cache(maxsize=64)
def _volume(name: str) -> Volume:
    """Return one shared dictionary for all volumes of one name. Never modify it."""
    return {"name": name}


# --- Secrets ----------------------------------------------------------------------------------------------------------


def is_own_secret(secret: Secret) -> bool:
    return (secret["metadata"].get("labels") or {}).get(MANAGED_BY_LABEL) == MANAGER and _names_app(secret)


def trimmed_secret(secret: Secret) -> CachedSecret:
    metadata = secret["metadata"]
    if is_own_secret(secret):
        return {"metadata": _without_managers(metadata), "changed": _last_change(metadata), "data": digests(secret)}
    kept: ObjectMeta = {
        "name": metadata["name"],
        "namespace": metadata["namespace"],
        "uid": metadata["uid"],
        "resourceVersion": metadata["resourceVersion"],
    }
    if _names_app(secret):
        kept["labels"] = {APP_ID_OF_SECRET: metadata["labels"][APP_ID_OF_SECRET]}
    return {"metadata": kept, "data": dict.fromkeys(secret.get("data") or (), "")}


def fingerprint_of_secret(secret: CachedSecret) -> object:
    metadata = secret["metadata"]
    return secret["data"] if is_own_secret(secret) else (metadata["uid"], metadata["resourceVersion"])


def _names_app(secret: Secret) -> bool:
    return APP_ID_OF_SECRET in (secret["metadata"].get("labels") or {})


def _last_change(metadata: ObjectMeta) -> str:
    """Return when the object was last written, in whole seconds."""
    times = [entry.get("time") or "" for entry in metadata.get("managedFields") or ()]
    return max([metadata.get("creationTimestamp") or "", *times])


def _without_managers(metadata: ObjectMeta) -> ObjectMeta:
    kept = metadata.copy()
    kept.pop("managedFields", None)
    return kept
