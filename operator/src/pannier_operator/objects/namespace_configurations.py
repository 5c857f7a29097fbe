"""The Configurations of one namespace with their verdicts. Pure."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from pannier_crds.configuration import Configuration
from pannier_crds.problems import InvalidManifestError, error, quoted
from pannier_crds.suggestions import closest
from pannier_operator.objects.namespace_components import JudgedObject, generation_of, text_of, unjudged

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping

    from pannier_crds.problems import Problem
    from pannier_operator.objects import kinds

CONFIG_ANNOTATION: Final = "dapr.io/config"
"""On a pod: the name of its Configuration."""
MAX_NAME_LENGTH: Final = 230
"""Characters of a Configuration's name, which is a part of a Secret's key."""
MAX_BYTES: Final = 256 * 1024
"""Bytes of one Configuration as JSON: it shares a Secret with the components of the app."""
_NAME: Final = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*", re.ASCII)


@dataclass(frozen=True, slots=True)
class ConfigurationMember(JudgedObject):
    """One Configuration and the verdict on it."""

    manifest: kinds.Configuration
    configuration: Configuration | None
    """None if the manifest cannot be read as a Configuration; then there are problems."""
    problems: tuple[Problem, ...] = ()

    @property
    def errors(self) -> tuple[Problem, ...]:
        return tuple(problem for problem in self.problems if problem.is_error)

    @property
    def accepted(self) -> Configuration | None:
        """The object if it may be delivered, else None."""
        return None if self.errors else self.configuration


def judged(
    manifests: Iterable[kinds.Configuration], before: Mapping[str, ConfigurationMember] | None = None
) -> dict[str, ConfigurationMember]:
    """Return the Configurations of a namespace by name, each with its verdict. `before` are those of an earlier time:
    the same generation of an object has the same verdict, and compiling its patterns takes long.
    """
    found = {}
    for manifest in manifests:
        name = text_of(manifest, "name")
        known = (before or {}).get(name)
        is_same = known is not None and _version_of(known.manifest) == _version_of(manifest)
        found[name] = replace(known, manifest=manifest) if known is not None and is_same else judge_alone(manifest)
    return found


def _version_of(manifest: kinds.Configuration) -> tuple[str, int]:
    return text_of(manifest, "uid"), generation_of(manifest)


def judge_alone(manifest: kinds.Configuration) -> ConfigurationMember:
    """Return the verdict on one Configuration: it does not depend on others."""
    if (size := size_of(manifest)) > MAX_BYTES:
        message = f"the object has {size // 1024} KiB, and may have {MAX_BYTES // 1024} KiB"
        return ConfigurationMember(manifest, None, (error("spec", message, "make it smaller"),))
    try:
        configuration = Configuration.from_manifest(manifest)
        problems = list(configuration.remarks)
        if problem := problem_with_name(text_of(manifest, "name")):
            problems.append(error("metadata.name", *problem.split("; ")))
        return ConfigurationMember(manifest, configuration, tuple(problems))
    except InvalidManifestError as invalid:
        return ConfigurationMember(manifest, None, invalid.problems)
    except Exception as bug:  # a bug of ours: the other Configurations are delivered all the same
        return ConfigurationMember(manifest, None, (unjudged(bug),))


def size_of(manifest: kinds.Configuration) -> int:
    """Return the bytes of its `spec` as JSON."""
    return len(json.dumps(manifest.get("spec"), ensure_ascii=False).encode())


def problem_with_name(name: str) -> str | None:
    """Return why this cannot be the name of a Configuration; None if it can."""
    if len(name) > MAX_NAME_LENGTH:
        return f"has {len(name)} characters; write {MAX_NAME_LENGTH} at most"
    if not _NAME.fullmatch(name):
        return "is no name of an object; write the name of one Configuration of the namespace"
    return None


def missing(name: str, known: Collection[str]) -> str:
    """Return the words on a name that no Configuration has; `known` are those of the namespace."""
    match = closest(name, known)
    advice = f"write {quoted(match)}" if match else "create it, or correct the annotation"
    return f"annotation {CONFIG_ANNOTATION}: there is no Configuration {quoted(name)} in the namespace; {advice}"
