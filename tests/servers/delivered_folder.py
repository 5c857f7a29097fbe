"""The folder of a pod: what the operator delivers to an app, as its sidecar sees it."""

from __future__ import annotations

import base64
from pathlib import Path

import yaml
from servers.component_files import component
from servers.database import Settings

from pannier_operator.delivery.plan import secret_for


def deliver(folder: Path, name: str, kind: str, settings: Settings, *, app_id: str = "shop") -> None:
    """Write one component into an empty folder."""
    manifest = yaml.safe_load(component(name, kind, settings))
    secret = secret_for(app_id, "default", [manifest], {})
    for file, content in secret.manifest["data"].items():
        (folder / file).write_bytes(base64.b64decode(content))
