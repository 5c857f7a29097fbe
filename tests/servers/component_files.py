"""Component files as users write them."""

from __future__ import annotations

from typing import Any

import yaml
from servers.database import Settings


def component(name: str, kind: str, settings: Settings, scopes: list[str] | None = None, version: str = "v1") -> str:
    """A component file."""
    fields = [{"name": field, "value": value} for field, value in settings.items()]
    manifest: dict[str, Any] = {
        "apiVersion": "dapr.io/v1alpha1",
        "kind": "Component",
        "metadata": {"name": name},
        "spec": {"type": kind, "version": version, "metadata": fields},
    }
    if scopes:
        manifest["scopes"] = scopes
    return yaml.safe_dump(manifest)
