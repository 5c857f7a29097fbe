"""The file of a Configuration in an app's Secret. Pure."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, NamedTuple

from pannier_crds.component import API_VERSION
from pannier_crds.configuration import KIND, SERVED, Configuration
from pannier_crds.folder import GENERATION
from pannier_crds.problems import InvalidManifestError
from pannier_operator.objects.namespace_components import text_of

if TYPE_CHECKING:
    from pannier_crds.component import SecretKeyRef
    from pannier_operator.objects.namespace_configurations import ConfigurationMember


class ConfigurationFile(NamedTuple):
    """What an app's pods see of a Configuration."""

    generation: int
    content: bytes
    references: tuple[SecretKeyRef, ...] = ()
    """The Secrets that it refers to, whose values are delivered too."""


def file_of(member: ConfigurationMember, configuration: Configuration) -> ConfigurationFile:
    """Return the file of an accepted Configuration, without what has no effect: sidecars would warn of it."""
    spec = member.manifest.get("spec")
    kept = {key: value for key, value in spec.items() if key in SERVED} if isinstance(spec, Mapping) else {}
    identity = {
        "name": member.name,
        "namespace": text_of(member.manifest, "namespace"),
        "annotations": {GENERATION: str(member.generation)},
    }
    manifest = {"apiVersion": API_VERSION, "kind": KIND, "metadata": identity, "spec": kept}
    # Sidecars replace variables in files, which Dapr does not do in a cluster. As an escape, `$` stays what it is; in
    # JSON it can only be a part of a text.
    text = json.dumps(manifest, indent=1).replace("$", "\\u0024")
    return ConfigurationFile(member.generation, text.encode(), _references_of(configuration))


def file_from(content: bytes, generation: int) -> ConfigurationFile:
    """Return a file that was delivered before, of an object that is gone or wrong now."""
    try:
        references = _references_of(Configuration.from_manifest(json.loads(content)))
    except (ValueError, AttributeError, InvalidManifestError):  # another version of the operator wrote it
        references = ()
    return ConfigurationFile(generation, content, references)


def _references_of(configuration: Configuration) -> tuple[SecretKeyRef, ...]:
    return tuple(reference for _, reference in configuration.secret_references)
