"""Verdicts on components: what is wrong with one, and with several that one app would see. No I/O.

Admission, `pannier check` and a starting sidecar use the same words.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from pannier_crds import catalogue
from pannier_crds.catalogue.large_values import large_value_problems
from pannier_crds.component import CONTAINER_ANNOTATION
from pannier_crds.component_container import container_problems
from pannier_crds.encryption_keys import encryption_problems
from pannier_crds.neighbours import are_rivals, conflicts_in_turn, conflicts_with, problems_among
from pannier_crds.pluggable import type_of
from pannier_crds.problems import Problem, error, listed, metadata_path, one_line, quoted, warning
from pannier_crds.promises import promised_by, ways_to
from pannier_crds.scopes import scope_problems
from pannier_crds.stored_keys import stored_key_problems
from pannier_crds.suggestions import closest

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Mapping

    from pannier_crds.catalogue import ComponentType
    from pannier_crds.component import Component, MetadataItem, SecretKeyRef

__all__ = [
    "OTHER_BUILDING_BLOCKS",
    "Problem",
    "are_rivals",
    "conflicts_in_turn",
    "conflicts_with",
    "is_served",
    "problems_among",
    "problems_of",
    "reference_problems",
    "secret_problems",
    "secret_store_problems",
    "settings_without_effect",
]

OTHER_BUILDING_BLOCKS: Final = frozenset(
    (
        "bindings",
        "configuration",
        "conversation",
        "crypto",
        "lock",
        "middleware",
        "nameresolution",
        "pubsub",
        "secretstores",
        "workflow",
        "workflowbackend",
    )
)
"""Kinds of components that Pannier leaves to Dapr."""

_MAX_SUGGESTED: Final = 10
"""How many misspelt names of one component are compared with all known names, to suggest the right one."""
_ORDER: Final = (
    "metadata.name",
    "metadata.namespace",
    "metadata.annotations",
    "spec.type",
    "spec.version",
    "spec.metadata",
    "auth",
    "scopes",
)


def problems_of(
    component: Component,
    *,
    known_secrets: Mapping[str, Collection[str]] | None = None,
    keys_as_written: bool = False,
) -> list[Problem]:
    """Return everything wrong with one component, in the order of its manifest; errors and warnings together.

    `known_secrets` are the keys of each Secret that a `secretKeyRef` may name; None if they are not known, and then
    references are not checked. `keys_as_written` accepts stored keys that could be another app's. A component that
    Pannier leaves to Dapr has one warning and no other problem.
    """
    component_type = type_of(component)
    if component_type is None and _is_skipped(component.type):
        message = f"{quoted(component.type)} is not served by Pannier and is skipped"
        return [warning("spec.type", message)]
    problems = [*_name_problems(component), *_item_problems(component), *scope_problems(component.scopes)]
    problems.extend(container_problems(component))
    if component_type is None:
        problems.append(_unknown_type(component))
    else:
        problems.extend(_setting_problems(component, component_type))
        if component_type.is_state_store and not keys_as_written:
            problems.extend(stored_key_problems(component))
    problems.extend(secret_problems(component, known_secrets))
    return _in_order(component, problems)


def is_served(component: Component) -> bool:
    """Return whether Pannier has a type for this component; what is not served is skipped or refused."""
    return type_of(component) is not None


def settings_without_effect(component: Component) -> list[tuple[str, str]]:
    """Return Dapr's settings that have no effect here, each with the reason: these are notes, not problems."""
    component_type = type_of(component)
    if component_type is None:
        return []
    fields = [(item.name, component_type.field(item.name)) for item in component.metadata]
    return [(name, field.ignored) for name, field in fields if field is not None and field.ignored is not None]


def _is_skipped(type_name: str) -> bool:
    block, separator, _ = type_name.strip().lower().partition(".")
    return bool(separator) and block in OTHER_BUILDING_BLOCKS and not catalogue.known_versions(type_name)


def _name_problems(component: Component) -> Iterator[Problem]:
    """Refuse only names that would be ambiguous in a URL or a stored key, because outside Kubernetes Dapr serves odd
    names.

    What Kubernetes allows of a name is checked by crds/component.yaml and the operator (`problems_alone`).
    """
    for part, reason in (("/", "a name is one part of a URL"), ("||", "'||' separates the parts of a stored key")):
        if part in component.name:
            message = f"{quoted(component.name)} holds '{part}', and {reason}"
            yield error("metadata.name", message, "write a name of letters, digits and '-'")


def _unknown_type(component: Component) -> Problem:
    versions = catalogue.known_versions(component.type) or (("v1",) if component.is_pluggable else ())
    if versions:
        version = closest(component.version, versions) or versions[-1]
        message = f"{component.type} has no version {quoted(component.version)}"
        return error("spec.version", message, f"write {quoted(version)}")
    stores = catalogue.known_names("state.")
    if component.type.strip().lower() in catalogue.stores_of_dapr_alone():
        message = f"{quoted(component.type)} is a state store of Dapr's that Pannier does not serve"
        return error("spec.type", message, f"write {listed(stores, 'or')}, or leave the apps that use it to Dapr")
    match = closest(component.type, catalogue.known_names()) or closest(f"state.{component.type}", stores)
    advice = f"write {quoted(match)}" if match else f"write {listed(stores, 'or')}"
    if component.is_state_store and not match:
        advice += f"; a pluggable component needs the annotation {CONTAINER_ANNOTATION}, or its socket"
    return error("spec.type", f"there is no component type {quoted(component.type)}", advice)


def _item_problems(component: Component) -> Iterator[Problem]:
    """Yield what is wrong with metadata entries, whatever the component's type."""
    first: dict[str, MetadataItem] = {}
    for index, item in enumerate(component.metadata):
        earlier = first.setdefault(item.name.lower(), item)
        if earlier is not item:
            message = f"{quoted(item.name)} is given twice{_in_another_case(item.name, earlier.name)}"
            yield error(f"spec.metadata[{index}].name", message, "keep one of the two entries")
        yield from _source_problems(item)


def _in_another_case(name: str, other: str) -> str:
    return "" if name == other else f" (as {quoted(other)} before: upper and lower case are the same)"


def _source_problems(item: MetadataItem) -> Iterator[Problem]:
    """Demand that a setting has one source: its value, a secret, or an environment variable."""
    sources = (("value", item.literal), ("secretKeyRef", item.secret), ("envRef", item.env or None))
    written = [name for name, source in sources if source is not None]
    if len(written) > 1:
        message = f"{quoted(item.name)} has {listed(written)}"
        yield error(metadata_path(item.name, written[-1]), message, "keep one of them")
    elif not written:
        message = f"{quoted(item.name)} has no value"
        yield warning(metadata_path(item.name), message, "add value, secretKeyRef or envRef, or take the entry out")
    if item.env:
        yield from _environment_problems(item.name, item.env)


def _environment_problems(name: str, variable: str) -> Iterator[Problem]:
    """Refuse the sidecar's own variables; for components Dapr 1.18 leaves them empty."""
    field = metadata_path(name, "envRef")
    if not variable.strip() or any(character.isspace() for character in variable):
        yield error(field, "a name of a variable has no spaces", "write a name without spaces")
    elif variable.upper().startswith("DAPR_") or variable.upper() == "APP_API_TOKEN":
        message = f"{quoted(variable)} belongs to the sidecar and is not given to components"
        yield error(field, message, "put the value into another variable")


def _setting_problems(component: Component, component_type: ComponentType) -> Iterator[Problem]:
    """Yield what is wrong with the settings of a known type."""
    literal: dict[str, str] = {}
    unresolved: list[str] = []
    unknown = 0
    for item in component.metadata:
        field = component_type.field(item.name)
        if field is None:
            unknown += 1
            yield _unknown_setting(item, component_type, may_suggest=unknown <= _MAX_SUGGESTED)
            continue
        if item.is_reference:
            unresolved.append(item.name)
        elif item.value is not None:
            literal.setdefault(item.name, item.value)
            if field.sensitive and field.refused is None and item.value.strip():
                message = f"the value of {quoted(item.name)} is plain text"
                yield warning(
                    metadata_path(item.name, "value"), message, "move it to a secret and write secretKeyRef instead"
                )
        elif field.refused_if_empty is not None:
            literal.setdefault(item.name, "")
    settings, problems = catalogue.read_settings(component_type, literal, unresolved=unresolved)
    yield from problems
    yield from encryption_problems(component, settings)
    yield from large_value_problems(component, component_type, settings)
    if settings.get("actorStateStore") is True and not (
        component_type.can_hold_actor_state or component_type.is_pluggable
    ):
        yield _cannot_hold_actors(component_type)


_OF_THE_MANIFEST: Final = {
    "inittimeout": "move it into spec, beside type: initTimeout: 30s",
    "ignoreerrors": "move it into spec, beside type: ignoreErrors: true",
    "secretstore": "move it to the top level, beside spec: auth: {secretStore: NAME}",
    "auth": "move it to the top level, beside spec: auth: {secretStore: NAME}",
    "scopes": "move it to the top level, beside spec: scopes: [my-app]",
    "namespace": "move it into the manifest's metadata, beside its name",
}
"""Names that are not settings of a store but belong elsewhere in the manifest, each with the advice where."""


def _unknown_setting(item: MetadataItem, component_type: ComponentType, *, may_suggest: bool) -> Problem:
    """Return the problem of an unknown field: a warning, or an error if its name promises something that people rely
    on.
    """
    known = component_type.field_names()
    place = _OF_THE_MANIFEST.get(item.name.lower())
    if place is not None:
        message = f"{quoted(item.name)} is no setting of a store, so it has no effect here"
        severity = error if item.name.lower() == "scopes" else warning  # else every app would see the store
        return severity(metadata_path(item.name), message, place)
    match = closest(item.name, known) if may_suggest else None
    promise = promised_by(item)
    if promise is None:
        advice = f"write {quoted(match)}" if match else "remove it, because it has no effect"
        return warning(metadata_path(item.name), f"{component_type.name} has no field {quoted(item.name)}", advice)
    advice = f"write {quoted(match)}" if match else f"remove it; {ways_to(promise, known)}"
    message = f"{component_type.name} has no field {quoted(item.name)}, so {promise.words} would be missing"
    return error(metadata_path(item.name), message, advice)


def _cannot_hold_actors(component_type: ComponentType) -> Problem:
    lacking = [
        words
        for feature, words in (("TRANSACTIONAL", "transactions"), ("ETAG", "ETags"))
        if feature not in component_type.features
    ]
    able = dict.fromkeys(
        known.name for known in catalogue.known_types() if known.is_state_store and known.can_hold_actor_state
    )
    message = f"{component_type.name} has no {' and no '.join(lacking)}, which actors need"
    return error(metadata_path("actorStateStore"), message, f"remove it, or use {listed(able, 'or')}")


def secret_problems(component: Component, known_secrets: Mapping[str, Collection[str]] | None) -> Iterator[Problem]:
    """Yield a problem for each reference to a Kubernetes Secret, or a key in one, that does not exist yet. Other secret
    stores are read when the sidecar starts.
    """
    if known_secrets is None or not component.reads_kubernetes_secrets:
        return
    items = ((metadata_path(item.name, "secretKeyRef"), item.secret) for item in component.metadata)
    references = [(path, secret) for path, secret in items if secret is not None]
    yield from reference_problems(references, known_secrets, "before an app needs this component")


def reference_problems(
    references: Iterable[tuple[str, SecretKeyRef]], known_secrets: Mapping[str, Collection[str]], when: str
) -> Iterator[Problem]:
    """Yield a problem for each reference, given with its field, to a Kubernetes Secret or a key that does not exist
    yet. `when` says when it must.
    """
    missing = 0
    for path, reference in references:
        keys = known_secrets.get(reference.name)
        if keys is not None and reference.key in keys:
            continue
        missing += 1
        known = (known_secrets if keys is None else keys) if missing <= _MAX_SUGGESTED else ()
        if keys is None:
            message = f"there is no Secret {quoted(reference.name)} with key {quoted(reference.key)} yet"
            yield warning(f"{path}.name", message, _instead(reference.name, known, f"create it {when}"))
        else:
            message = f"the Secret {quoted(reference.name)} has no key {quoted(reference.key)} yet"
            yield warning(f"{path}.key", message, _instead(reference.key, known, f"add it {when}"))


def secret_store_problems(component: Component, others: Collection[Component]) -> Iterator[Problem]:
    """Yield a problem if references name a secret store that is not among the other components."""
    if component.reads_kubernetes_secrets or all(item.secret is None for item in component.metadata):
        return
    wanted = component.secret_store or ""
    stores = [other.name for other in others if is_served(other) and not other.is_state_store]
    if wanted not in stores:
        unserved = next((other.type for other in others if other.name == wanted and not other.is_state_store), None)
        if unserved is not None:
            message = f"the secret store {quoted(wanted)} is of type {quoted(unserved)}, which Pannier does not serve"
            advice = f"use one of type {listed(catalogue.known_names('secretstores.'), 'or')}, or Kubernetes Secrets"
            yield warning("auth.secretStore", message, advice)
            return
        message = f"there is no secret store {quoted(wanted)} yet"
        advice = "add its component, or remove auth to read Kubernetes Secrets"
        yield warning("auth.secretStore", message, _instead(wanted, stores, advice))


def _instead(name: str, known: Iterable[str], advice: str) -> str:
    match = closest(name, known)
    return f"{advice}, or write {quoted(match)}" if match else advice


def _in_order(component: Component, problems: list[Problem]) -> list[Problem]:
    """Return each problem once, in the order of the manifest; those of settings that are not written come last."""
    entries = {str(index): index for index in range(len(component.metadata))}
    for index, item in enumerate(component.metadata):
        entries.setdefault(one_line(item.name).lower(), index)

    def position(problem: Problem) -> tuple[int, int]:
        name = problem.field.partition("[")[2].rpartition("]")[0].lower()
        rank = next((rank for rank, start in enumerate(_ORDER) if problem.field.startswith(start)), -1)
        return rank, entries.get(name, len(entries))

    return sorted(dict.fromkeys(problems), key=position)
