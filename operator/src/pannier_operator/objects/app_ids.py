"""Which app a pod belongs to, whether it asks for a sidecar and has one, and the labels and annotations that show it.

Every part of the operator uses this.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from pannier_crds.values import is_truthy

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pannier_operator.objects.kinds import ObjectMeta, OwnerReference
    from pannier_operator.objects.pod_kinds import Pod

ENABLED_ANNOTATION: Final = "dapr.io/enabled"
APP_ID_ANNOTATION: Final = "dapr.io/app-id"
APP_ID_LABEL: Final = "dapr.io/app-id"
"""Set on every injected pod, to the app id."""
INJECTION_LABEL: Final = "pannier.dev/injection"
"""On a namespace. `required`: an annotated pod never runs there without its sidecar, and the webhook fails closed. On a
namespace or a pod, `disabled`: no sidecar is injected."""
DISABLED: Final = "disabled"
SIDECAR_NAME: Final = "daprd"
"""The container; Dapr's tools look for this name."""
MIRROR_ANNOTATION: Final = "kubernetes.io/config.mirror"
"""On mirror pods, which show a static pod that a kubelet runs from a file: the API server cannot change them."""
MAX_LENGTH: Final = 63
"""Characters of an app id, which is the value of a label. The Secret's name (253) leaves more room."""

HASH_LABELS: Final = ("pod-template-hash", "rollouts-pod-template-hash")
"""Labels that hold the suffix of a Deployment's ReplicaSet, and of an Argo Rollout's."""
_CRON_JOB_RUN: Final = re.compile(r"-(2[5-9]|[3-9]\d)\d{6}\Z", re.ASCII)
"""The suffix that a CronJob's controller adds to its Jobs' names: minutes since 1970.

Only values from 2017 on, so that a date such as 20261123 in a Job's own name does not match.
"""
_SUBDOMAIN: Final = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*", re.ASCII)


def app_id_of(pod: Pod, cron_job: str = "") -> str:
    """Return the app id that a pod has or would get: its annotation, else its owner's name, else its own.

    `cron_job` is the name of the CronJob that made the pod's Job, if that was looked up. A pod that has its sidecar
    keeps the id that the injector wrote, even if it is detached from its owner later. The id is empty only if the pod
    has no name at all. It is not validated here: see `problem_with`.
    """
    metadata = pod.get("metadata") or {}
    labels = metadata.get("labels") or {}
    if labels.get(APP_ID_LABEL) and has_sidecar(pod):
        return str(labels[APP_ID_LABEL])
    given = ((metadata.get("annotations") or {}).get(APP_ID_ANNOTATION) or "").strip()
    if given:
        return str(given)
    owner = controller_of(metadata)
    if owner is not None:
        return cron_job or _name_of_workload(owner, labels)
    return str(metadata.get("name") or (metadata.get("generateName") or "").rstrip("-."))


def problem_with(app_id: str) -> str | None:
    """Return why an app id cannot be the name of a Secret and the value of a label; None if it can."""
    if len(app_id) > MAX_LENGTH:
        return f"has {len(app_id)} characters; write one of {MAX_LENGTH} at most"
    if not _SUBDOMAIN.fullmatch(app_id):
        return "is not a DNS name; write lower-case letters, digits and '-', with a letter or digit at both ends"
    return None


def has_sidecar(pod: Pod) -> bool:
    """Return whether the pod has a container of the sidecar's name, ordinary or init container."""
    spec = pod.get("spec") or {}
    containers = (*(spec.get("initContainers") or ()), *(spec.get("containers") or ()))
    return any(container.get("name") == SIDECAR_NAME for container in containers)


def lacks_sidecar(pod: Pod) -> bool:
    """Return whether the pod asks for a sidecar and has none, and is not labelled to get none."""
    metadata = pod.get("metadata") or {}
    is_disabled = (metadata.get("labels") or {}).get(INJECTION_LABEL) == DISABLED
    return asks_for_sidecar(metadata) and not is_disabled and not has_sidecar(pod)


def asks_for_sidecar(metadata: ObjectMeta) -> bool:
    """Return whether a pod has the annotation, whatever its labels say."""
    return is_truthy((metadata.get("annotations") or {}).get(ENABLED_ANNOTATION))


def job_to_look_up(pod: Pod) -> OwnerReference | None:
    """Return the Job that gives a pod its app id if its name does not show whether a CronJob made it; else None.

    The user chooses the name in `kubectl create job NAME --from=cronjob/X`.
    """
    metadata = pod.get("metadata") or {}
    owner = controller_of(metadata)
    if owner is None or owner.get("kind") != "Job" or not lacks_sidecar(pod):
        return None
    is_named = bool(((metadata.get("annotations") or {}).get(APP_ID_ANNOTATION) or "").strip())
    return None if is_named or _CRON_JOB_RUN.search(str(owner.get("name", ""))) else owner


def owner_kind_of(pod: Pod) -> str:
    """Return the kind of the controller that made the pod; empty for none."""
    owner = controller_of(pod.get("metadata") or {})
    return str(owner.get("kind", "")) if owner is not None else ""


def controller_of(metadata: ObjectMeta) -> OwnerReference | None:
    owners = metadata.get("ownerReferences") or ()
    return next((owner for owner in owners if owner.get("controller")), None)


def _name_of_workload(owner: OwnerReference, labels: Mapping[str, str]) -> str:
    """Return the name that a user chose: the Deployment's, not its ReplicaSet's; the CronJob's, not its Job's."""
    name = str(owner.get("name", ""))
    if owner.get("kind") == "ReplicaSet":
        for label in HASH_LABELS:
            if labels.get(label):
                return name.removesuffix(f"-{labels[label]}")
    if owner.get("kind") == "Job":
        return _CRON_JOB_RUN.sub("", name)
    return name
