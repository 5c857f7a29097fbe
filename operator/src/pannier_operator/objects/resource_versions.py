"""The resourceVersions of objects. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pannier_operator.objects.kinds import Object


class ResourceVersionRewoundError(Exception):
    """The API server's versions went back: it was restored from a backup. Everything that is cached is invalid."""


def version_of(manifest: Object) -> int:
    """Return an object's resourceVersion as a number.

    The versions of an object grow. Since Kubernetes 1.35 clients may compare them.
    """
    text = manifest["metadata"].get("resourceVersion") or "0"
    return int(text) if text.isdigit() else 0
