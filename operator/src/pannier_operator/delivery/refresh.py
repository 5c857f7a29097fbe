"""When to annotate a pod, so that the kubelet refreshes the volume of a changed Secret at once. Pure.

The kubelet syncs a pod's volumes when the pod changes, and otherwise about once a minute. It may sync before its own
watch has reported the changed Secret. The sidecar then reports that it has read an earlier version, and the pod is
annotated again.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from pannier_operator.delivery.app_secret import version_in

if TYPE_CHECKING:
    from pannier_operator.objects import kinds, pod_kinds

COMPONENTS_ANNOTATION: Final = "pannier.dev/components"
"""On a pod: the version of its app's Secret that it should see and, after a dot, how often the refresh was repeated."""
_MAX_REPEATS: Final = 20
"""Limits how often a pod is annotated whose sidecar never reads the new version."""


def refresh_mark(pod: pod_kinds.Pod, secret: kinds.CachedSecret, unread_probes: int) -> str | None:
    """Return the annotation's next value; None if the pod needs no refresh.

    `secret` is the Secret of its app. `unread_probes` counts the probes since the Secret's change in which the pod's
    sidecar had not yet read this version.
    """
    metadata, version = pod["metadata"], version_in(secret)
    annotated = (metadata.get("annotations") or {}).get(COMPONENTS_ANNOTATION, "")
    if metadata.get("deletionTimestamp"):
        return None
    if unread_probes:
        mark = f"{version}.{min(unread_probes, _MAX_REPEATS)}"
        return mark if mark != annotated else None
    is_annotated = annotated.partition(".")[0] == version
    is_newer = secret["changed"] < metadata["creationTimestamp"]
    return None if is_annotated or is_newer else version
