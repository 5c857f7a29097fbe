"""The Components of one namespace, judged: each by itself, and the older of two that conflict stays. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from pannier_crds.checks import conflicts_in_turn, is_served, problems_of
from pannier_crds.component import Component, InvalidManifestError
from pannier_crds.problems import error

if TYPE_CHECKING:
    from pannier_crds.problems import Problem

MAX_NAME_LENGTH: Final = 240
"""Of a Component: it is the name of a file, which is a key of a Secret."""
Manifest = Mapping[str, object]
"""A Kubernetes object as the API server gives it."""


@dataclass(frozen=True, slots=True)
class Member:
    """One Component and the verdict on it."""

    manifest: Manifest
    component: Component | None
    """None where the manifest cannot be read as a component; then there are problems."""
    problems: tuple[Problem, ...]
    """What is wrong or doubtful with it alone; whether its Secrets exist is not judged here."""
    conflicts: tuple[Problem, ...] = ()
    """What keeps it from standing beside older ones; empty for one that has errors of its own."""

    @property
    def name(self) -> str:
        return text_of(self.manifest, "name")

    @property
    def generation(self) -> int:
        return generation_of(self.manifest)

    @property
    def errors(self) -> tuple[Problem, ...]:
        return tuple(problem for problem in (*self.problems, *self.conflicts) if problem.is_error)

    @property
    def accepted(self) -> Component | None:
        """The component if it may be delivered, else None."""
        component = self.component
        return component if component is not None and is_served(component) and not self.errors else None


class NamespaceComponents:
    """The Components of one namespace, the oldest first."""

    def __init__(self, manifests: Iterable[Manifest]):
        """Judge them. Those of one age stand by name, so every replica settles a race alike."""
        members = [judge_alone(manifest) for manifest in sorted(manifests, key=_age_key)]
        sound = [(index, member.accepted) for index, member in enumerate(members)]
        valid = [(index, component) for index, component in sound if component is not None]
        verdicts = conflicts_in_turn([component for _, component in valid])
        for (index, component), conflicts in zip(valid, verdicts, strict=True):
            if conflicts:
                member = members[index]
                members[index] = Member(member.manifest, component, member.problems, conflicts)
        self.members = tuple(members)

    @classmethod
    def of(
        cls, components: NamespaceComponents | Iterable[Manifest], namespace: str | None = None
    ) -> NamespaceComponents:
        """The neighbourhood of these manifests, those of other namespaces left out; a neighbourhood as it is."""
        if isinstance(components, NamespaceComponents):
            return components
        return cls(each for each in components if namespace is None or text_of(each, "namespace") in ("", namespace))

    def member(self, name: str) -> Member | None:
        return next((member for member in self.members if member.name == name), None)

    def accepted(self) -> list[Component]:
        """The components that may be delivered."""
        return [component for member in self.members if (component := member.accepted) is not None]


def judge_alone(manifest: Manifest) -> Member:
    """The verdict on one Component as if it had no neighbours."""
    try:
        component = Component.from_manifest(manifest)
    except InvalidManifestError as invalid:
        return Member(manifest, None, invalid.problems)
    return Member(manifest, component, (*problems_of(component), *_too_long(component)))


def _too_long(component: Component) -> list[Problem]:
    """The definition refuses it as well; other definitions of Components do not."""
    if len(component.name) <= MAX_NAME_LENGTH:
        return []
    return [error("metadata.name", "the name is too long", f"write {MAX_NAME_LENGTH} characters at most")]


def component_in(manifest: Manifest) -> Component | None:
    """What a manifest says, unjudged; None where it cannot be read as a component."""
    try:
        return Component.from_manifest(manifest)
    except InvalidManifestError:
        return None


def metadata_of(manifest: Manifest) -> Mapping[str, object]:
    metadata = manifest.get("metadata")
    return metadata if isinstance(metadata, Mapping) else {}


def text_of(manifest: Manifest, key: str) -> str:
    """What `metadata` says under a key; empty when it says nothing."""
    value = metadata_of(manifest).get(key)
    return value if isinstance(value, str) else ""


def generation_of(manifest: Manifest) -> int:
    """`metadata.generation`: grows with every change of the object's spec, auth or scopes."""
    value = metadata_of(manifest).get("generation")
    return value if isinstance(value, int) else 0


def annotation_of(manifest: Manifest, name: str) -> str | None:
    annotations = metadata_of(manifest).get("annotations")
    value = annotations.get(name) if isinstance(annotations, Mapping) else None
    return value if isinstance(value, str) else None


def _age_key(manifest: Manifest) -> tuple[str, str]:
    """RFC 3339 times in UTC sort as texts; what has no time yet is the youngest."""
    return text_of(manifest, "creationTimestamp") or "~", text_of(manifest, "name")
