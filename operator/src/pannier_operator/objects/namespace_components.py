"""The Components of one namespace with their verdicts. Of two that conflict, the older one wins. Pure."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from pannier_crds.checks import conflicts_in_turn, is_served, problems_of
from pannier_crds.component import Component, InvalidManifestError
from pannier_crds.neighbours import ROLE_SETTINGS
from pannier_crds.pluggable import has_foreign_type, is_likely_misspelt
from pannier_crds.problems import error, quoted, warning

if TYPE_CHECKING:
    from pannier_crds.problems import Problem
    from pannier_operator.objects import kinds

CONTAINERS_ANNOTATION: Final = "dapr.io/pluggable-components"
MAX_NAME_LENGTH: Final = 240
"""Characters of a Component's name, which names a file and therefore a key of a Secret."""


class JudgedObject:
    """An object that was judged; its classes have the verdict."""

    __slots__ = ()
    manifest: kinds.Configured

    @property
    def name(self) -> str:
        return text_of(self.manifest, "name")

    @property
    def generation(self) -> int:
        return generation_of(self.manifest)


@dataclass(frozen=True, slots=True)
class Member(JudgedObject):
    """One Component and the verdict on it."""

    manifest: kinds.Component
    component: Component | None
    """None if the manifest cannot be read as a component; then there are problems."""
    problems: tuple[Problem, ...]
    """Errors and warnings about the Component alone."""
    conflicts: tuple[Problem, ...] = ()
    """Conflicts with older Components; empty if the Component has errors itself."""

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

    def __init__(self, manifests: Iterable[kinds.Component]):
        """Judge them. Components of the same age are ordered by name, so all replicas decide a conflict alike."""
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
        cls, components: NamespaceComponents | Iterable[kinds.Component], namespace: str | None = None
    ) -> NamespaceComponents:
        """Return the components of these manifests, without those of other namespaces; an instance is returned as it
        is.
        """
        if isinstance(components, NamespaceComponents):
            return components
        return cls(each for each in components if namespace is None or text_of(each, "namespace") in ("", namespace))

    def member(self, name: str) -> Member | None:
        return next((member for member in self.members if member.name == name), None)

    def accepted_or_left(self) -> list[Component]:
        """Return the components that may be delivered, and those of types that Pannier does not serve."""
        known = [(member.component, member.accepted) for member in self.members]
        return [component for component, accepted in known if component and (accepted or not is_served(component))]

    def accepted(self) -> list[Component]:
        """Return the components that may be delivered."""
        return [component for member in self.members if (component := member.accepted) is not None]


def judge_alone(manifest: kinds.Component, known_secrets: Mapping[str, Collection[str]] | None = None) -> Member:
    """Return the verdict on one Component without regard to the others; with `known_secrets` its references are
    checked too.
    """
    try:
        component = _read(manifest)
    except InvalidManifestError as invalid:
        return Member(manifest, None, invalid.problems)
    try:
        return Member(manifest, component, tuple(problems_alone(component, known_secrets)))
    except Exception as bug:  # a bug of ours: the other Components of the namespace are delivered all the same
        return Member(manifest, None, (unjudged(bug),))


def matters_to_others(manifest: kinds.Component) -> bool:
    """Return whether the verdict on another Component may depend on this one: it has a role that an app's stores have
    only once, or may be a secret store.

    A namespace may have hundreds of others, and judging those takes about a hundred times as long as this check. What
    came as JSON is dictionaries and lists; to check for their abstract classes would take three times as long.
    """
    spec: object = manifest.get("spec")
    if not isinstance(spec, dict):
        return False  # it cannot be read as a component
    store_type, items = spec.get("type"), spec.get("metadata")
    is_state_store = isinstance(store_type, str) and store_type.lower().startswith("state.")
    return not is_state_store or (
        isinstance(items, list)
        and any(isinstance(item, dict) and str(item.get("name")).lower() in ROLE_SETTINGS for item in items)
    )


def unjudged(bug: Exception) -> Problem:
    """Return the problem of an object whose check has raised."""
    message = f"it can't be checked because of a bug in Pannier ({type(bug).__name__})"
    return error("", message, "report the bug; leaving out settings one by one shows which of them causes it")


def problems_alone(
    component: Component, known_secrets: Mapping[str, Collection[str]] | None = None
) -> Iterator[Problem]:
    """Yield what is wrong with one component: anywhere (`problems_of`), and as an object of a cluster.

    Pannier's definition of Components (crds/component.yaml) refuses a name that is too long too; Dapr's does not.
    """
    yield from problems_of(component, known_secrets=known_secrets)
    if component.is_pluggable and component.container is None and is_served(component):
        message = f"{quoted(component.type)} is no type of Pannier's own, so a pluggable component must serve it"
        yield warning("spec.type", message, f"name its container in the annotation {CONTAINERS_ANNOTATION} of pods")
    if is_served(component) and len(component.name) > MAX_NAME_LENGTH:
        yield error("metadata.name", "the name is too long", f"write {MAX_NAME_LENGTH} characters at most")


def _read(manifest: kinds.Component) -> Component:
    """Return the component, which is pluggable if its type is unknown and does not look misspelt: only in the pods can
    be seen whether a socket serves it. Raises InvalidManifestError.
    """
    component = Component.from_manifest(manifest)
    if has_foreign_type(component) and not (component.is_pluggable or is_likely_misspelt(component.type)):
        return replace(component, is_pluggable=True)
    return component


def component_in(manifest: kinds.Component) -> Component | None:
    """Return the component in a manifest, without a verdict; None if it cannot be read as one."""
    try:
        return _read(manifest)
    except InvalidManifestError:
        return None


def metadata_of(manifest: kinds.Object) -> Mapping[str, object]:
    metadata = manifest.get("metadata")
    return metadata if isinstance(metadata, Mapping) else {}


def text_of(manifest: kinds.Object, key: str) -> str:
    """Return the text under a key of `metadata`; empty if there is none."""
    value = metadata_of(manifest).get(key)
    return value if isinstance(value, str) else ""


def generation_of(manifest: kinds.Configured) -> int:
    """Return `metadata.generation`, which grows with every change of what a user writes."""
    value = metadata_of(manifest).get("generation")
    return value if isinstance(value, int) else 0


def annotation_of(manifest: kinds.Object, name: str) -> str | None:
    annotations = metadata_of(manifest).get("annotations")
    value = annotations.get(name) if isinstance(annotations, Mapping) else None
    return value if isinstance(value, str) else None


def _age_key(manifest: kinds.Component) -> tuple[str, str]:
    """Return a sort key. RFC 3339 times in UTC sort as text; an object without a time is the youngest."""
    return text_of(manifest, "creationTimestamp") or "~", text_of(manifest, "name")
