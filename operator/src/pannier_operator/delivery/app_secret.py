"""The Secret that holds an app's components: its name, its labels, and what is read from an existing one."""

from __future__ import annotations

import base64
import hashlib
import json
from typing import TYPE_CHECKING, Final, NamedTuple

from pannier_crds.folder import CONFIGURATION_PREFIX, VERSION_FILE
from pannier_operator.objects.namespace_components import annotation_of, metadata_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pannier_operator.objects.kinds import ObjectMeta, Secret

SUFFIX: Final = "-pannier"
APP_ID_LABEL: Final = "pannier.dev/app-id"
MANAGED_BY_LABEL: Final = "app.kubernetes.io/managed-by"
MANAGER: Final = "pannier-operator"
OUTLIVES_RELEASE_LABEL: Final = "pannier.dev/outlives-release"
"""On every object that stays after the chart is uninstalled, so that one command finds them all."""
GENERATIONS: Final = "pannier.dev/generations"
"""On the Secret: the generation of each object in it, so that its data need not be read."""


_CONFIGURATION: Final = "configuration/"
MAX_BYTES: Final = 1024 * 1024
"""Kubernetes' limit for all values of a Secret together."""


class TooLarge(NamedTuple):
    """An object that was left out, because those of an app may hold 1 MiB together."""

    key: str
    """The component's name, the `resiliency_key` or the `configuration_key`."""
    size: int
    """Bytes, including those of its secrets."""
    total: int
    """Bytes of all that the app should have."""


def resiliency_key(name: str) -> str:
    """Return what a Resiliency is called among components: a component's name has no slash."""
    return f"resiliency/{name}"


def configuration_key(name: str) -> str:
    """Return what a Configuration is called among components."""
    return f"{_CONFIGURATION}{name}"


def configuration_file(name: str) -> str:
    """Return the key of the Secret that holds a Configuration."""
    return f"{CONFIGURATION_PREFIX}{name}"


def configuration_in(file: str) -> str:
    """Return the name of the Configuration that a key of the Secret holds."""
    return file.removeprefix(CONFIGURATION_PREFIX)


def configurations_in(secret: Secret | None) -> set[str]:
    """Return the names of the Configurations that an app's Secret holds."""
    return {key.removeprefix(_CONFIGURATION) for key in generations_in(secret) if key.startswith(_CONFIGURATION)}


def secret_name(app_id: str) -> str:
    return f"{app_id}{SUFFIX}"


def app_of_secret_name(name: str) -> str:
    """Return the app whose Secret has this name; empty for none."""
    return name.removesuffix(SUFFIX) if name.endswith(SUFFIX) else ""


def labels(app_id: str) -> dict[str, str]:
    return {MANAGED_BY_LABEL: MANAGER, APP_ID_LABEL: app_id, OUTLIVES_RELEASE_LABEL: "true"}


def generations_in(secret: Secret | None) -> dict[str, int]:
    """Return the generations of what is in an app's Secret; empty if it does not exist or is not ours."""
    text = annotation_of(secret, GENERATIONS) if secret is not None else None
    try:
        found = json.loads(text) if text else {}
    except ValueError:
        return {}
    if not isinstance(found, dict):
        return {}
    return {name: number for name, number in found.items() if isinstance(number, int)}


def with_version(manifest: Secret, version: str, status_key: str) -> Secret:
    """Return the Secret with a new version, which is a random word.

    `status_key` is a secret that the operator shares with the app's sidecars, the same in every version: they report on
    their stores only to callers that send it.
    """
    content = f"{version}\n{status_key}\n".encode()
    return {**manifest, "data": {**_data_of(manifest), VERSION_FILE: base64.b64encode(content).decode()}}


def version_in(secret: Secret) -> str:
    """Return the version that the Secret states; empty if it states none."""
    return _line_of_version(secret, 0)


def status_key_in(secret: Secret | None) -> str:
    """Return the key by which the app's sidecars recognise the operator; empty if there is none."""
    return _line_of_version(secret, 1) if secret is not None else ""


def _line_of_version(secret: Secret, number: int) -> str:
    try:
        lines = base64.b64decode(_data_of(secret).get(VERSION_FILE, ""), validate=True).decode().split("\n")
    except ValueError:
        return ""
    return lines[number].strip() if number < len(lines) else ""


def in_place_of(existing: Secret | None, wanted: Secret) -> Secret:
    """Return what to write so that the existing Secret becomes the wanted one.

    The data is replaced as a whole. Labels, annotations and other metadata that others have added stay. It carries the
    resourceVersion that was read, so a concurrent change causes a conflict and is read first.
    """
    if existing is None:
        return wanted
    there, needed = existing["metadata"], wanted["metadata"]
    metadata: ObjectMeta = {**there, **needed}
    metadata["labels"] = {**(there.get("labels") or {}), **needed["labels"]}
    metadata["annotations"] = {**(there.get("annotations") or {}), **needed["annotations"]}
    return {**wanted, "metadata": metadata}


def fingerprint_of(manifest: Secret) -> str:
    """Return a digest of everything that is wanted of a Secret."""
    parts = json.dumps([digests(manifest), metadata_of(manifest).get("annotations")], sort_keys=True)
    return hashlib.sha256(parts.encode()).hexdigest()


def digests(secret: Secret) -> dict[str, str]:
    """Return the Secret's data with each value but the version replaced by its digest: enough to see a difference."""
    return {
        name: content if name == VERSION_FILE else hashlib.sha256(content.encode()).hexdigest()[:32]
        for name, content in _data_of(secret).items()
    }


def differs(wanted: Secret, existing: Secret | None) -> bool:
    """Return whether the Secret must be written; `existing` has digests for data.

    Labels and annotations that others have added are ignored.
    """
    if existing is None or not version_in(existing) or not status_key_in(existing):
        return True
    if {name: digest for name, digest in _data_of(existing).items() if name != VERSION_FILE} != digests(wanted):
        return True
    there, needed = existing["metadata"], wanted["metadata"]
    has_labels = _holds(there.get("labels"), needed.get("labels"))
    return not has_labels or not _holds(there.get("annotations"), needed.get("annotations"))


def _data_of(secret: Secret) -> dict[str, str]:
    return dict(secret.get("data") or {})


def _holds(there: Mapping[str, str] | None, needed: Mapping[str, str] | None) -> bool:
    return (needed or {}).items() <= (there or {}).items()
