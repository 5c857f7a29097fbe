"""The folder of a pod: what the operator delivers to an app, as its sidecar sees it."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from pathlib import Path

import yaml
from servers.component_files import component
from servers.database import Settings

from pannier_operator.delivery.plan import secret_for
from pannier_operator.objects.namespace_resiliencies import NamespaceResiliencies


def deliver(
    folder: Path, name: str, kind: str, settings: Settings, *, app_id: str = "shop", policies: Sequence[str] = ()
) -> None:
    """Write one component into an empty folder, and Resiliency objects."""
    manifest = yaml.safe_load(component(name, kind, settings))
    resiliencies = NamespaceResiliencies(list(map(yaml.safe_load, policies)))
    secret = secret_for(app_id, "default", [manifest], {}, resiliencies)
    for file, content in secret.manifest["data"].items():
        (folder / file).write_bytes(base64.b64decode(content))
