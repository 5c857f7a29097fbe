"""When a pod's annotation is touched, so that the kubelet shows it a changed Secret at once. Pure.

The kubelet looks at a pod's volumes when the pod changes, and otherwise once a minute. It may look before it has heard
of the Secret's change itself; then a sidecar says that it has read an earlier version, and its pod is touched again.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from pannier_operator.delivery.app_secret import version_in

if TYPE_CHECKING:
    from collections.abc import Mapping

COMPONENTS_ANNOTATION: Final = "pannier.dev/components"
"""On a pod: which version of its app's Secret it should see, and how often that had to be said again."""
_MAX_REPEATS: Final = 20
"""A pod that never follows is not touched for ever."""


def refresh_mark(pod: Mapping[str, Any], secret: Mapping[str, Any], missed: int) -> str | None:
    """What the annotation should become; None when there is no need to touch the pod.

    `secret` is its app's, with `changed` among its metadata. `missed` says how often the pod's sidecar was asked since
    and had not read this version.
    """
    metadata, version = pod["metadata"], version_in(secret)
    told = (metadata.get("annotations") or {}).get(COMPONENTS_ANNOTATION, "")
    if metadata.get("deletionTimestamp"):
        return None
    if missed:
        mark = f"{version}.{min(missed, _MAX_REPEATS)}"
        return mark if mark != told else None
    is_told = told.partition(".")[0] == version
    is_newer = secret["metadata"]["changed"] < metadata["creationTimestamp"]
    return None if is_told or is_newer else version
