"""Versions of objects, as the API server counts them. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping


class ResourceVersionRewoundError(Exception):
    """The API server tells of an earlier time than before: it was restored from a backup. All that is known is void."""


def version_of(manifest: Mapping[str, Any]) -> int:
    """Versions of one object grow; since Kubernetes 1.35 clients may rely on it."""
    text = manifest["metadata"].get("resourceVersion") or "0"
    return int(text) if text.isdigit() else 0
