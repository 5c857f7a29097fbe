"""What each app's sidecars should see, as one Secret per app. Pure.

The sidecar sees the Secret as a folder with a file for each component, and one for all Resiliency objects. A
Configuration that pods name is a file that they mount beside it. If components refer to Kubernetes Secrets, the folder
also holds a secret store for them, and its JSON file. An index lists all files, so that a file that somebody else adds
to the Secret is not read. References to secrets are kept, so the sidecar knows which values are secret: it never logs
them, and replaces no `{appID}` in a password. It reads the folder on a cluster as it does on a laptop.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from dataclasses import replace
from functools import lru_cache
from typing import TYPE_CHECKING, Final, NamedTuple

from pannier_crds import canonical_json
from pannier_crds.component import API_VERSION, Component, MetadataItem
from pannier_crds.folder import (
    GENERATION,
    INDEX_FILE,
    KUBERNETES_SECRETS_FILE,
    KUBERNETES_SECRETS_STORE,
    RESILIENCIES_FILE,
    index_of,
)
from pannier_crds.resiliency import KIND
from pannier_operator.delivery.app_secret import (
    GENERATIONS,
    MAX_BYTES,
    TooLarge,
    configuration_file,
    configuration_key,
    labels,
    resiliency_key,
    secret_name,
)
from pannier_operator.objects.namespace_components import NamespaceComponents, text_of
from pannier_operator.objects.namespace_resiliencies import NamespaceResiliencies
from pannier_operator.objects.references import Unresolved, references_of, text_in, unresolved_in

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from pannier_crds.component import SecretKeyRef
    from pannier_operator.delivery.configurations import ConfigurationFile
    from pannier_operator.objects import kinds
    from pannier_operator.objects.namespace_components import Member
    from pannier_operator.objects.namespace_resiliencies import ResiliencyMember

SECRET_STORE_FILE: Final = "_kubernetes.yaml"
Secrets = dict[str, dict[str, str]]
NO_RESILIENCIES: Final = NamespaceResiliencies()
NO_CONFIGURATIONS: Final[Mapping[str, ConfigurationFile]] = {}


class AppSecret(NamedTuple):
    """The Secret that an app should have, and what could not be put into it."""

    manifest: kinds.Secret
    unresolved: list[Unresolved]
    too_large: list[TooLarge]


def what_app_sees(
    app_id: str, namespace: str, components: NamespaceComponents | Iterable[kinds.Component]
) -> list[Component]:
    """Return the components that the app's sidecars should serve, by name.

    They are in scope, without errors, and not the losers of a conflict.
    """
    return [component for _, component in _visible(app_id, namespace, components)]


def secret_for(
    app_id: str,
    namespace: str,
    components: NamespaceComponents | Iterable[kinds.Component],
    secrets: Mapping[str, Mapping[str, bytes]],
    resiliencies: NamespaceResiliencies = NO_RESILIENCIES,
    configurations: Mapping[str, ConfigurationFile] = NO_CONFIGURATIONS,
) -> AppSecret:
    """Return the app's Secret. If the app sees no component, the Secret has an empty index: the pods' volume needs the
    Secret to exist.

    `secrets` are the namespace's Secrets by name, their data decoded. `configurations` are the files of the
    Configurations that the app's pods name, by name; they come before everything else if not all of it fits, because
    pods do not start without. A component with an unresolved reference is
    delivered too: the sidecar refuses it with the reason, and goes on serving the version that it had.
    """
    visible = _visible(app_id, namespace, components)
    unresolved = [lack for _, component in visible for lack in unresolved_in(component, secrets)]
    given, unfit = _configurations_within(MAX_BYTES // 2, configurations, secrets)
    room = MAX_BYTES - sum(_size_of_configuration(each, secrets) for each in given.values())
    chosen, too_large = _within_limit(room, visible, secrets)
    files = _files(chosen, namespace, secrets, [reference for each in given.values() for reference in each.references])
    files |= {configuration_file(name): each.content for name, each in given.items()}
    policies, left_out = _policies_within(room - _size(chosen, secrets), resiliencies.visible_to(app_id))
    if policies:
        files[RESILIENCIES_FILE] = _policies_file(policies)
    files[INDEX_FILE] = index_of(files)
    generations = {component.name: member.generation for member, component in chosen}
    generations |= {resiliency_key(member.name): member.generation for member in policies}
    generations |= {configuration_key(name): each.generation for name, each in given.items()}
    manifest: kinds.Secret = {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {
            "name": secret_name(app_id),
            "namespace": namespace,
            "labels": labels(app_id),
            "annotations": {GENERATIONS: json.dumps(generations, separators=(",", ":"))},
        },
        "type": "Opaque",
        "data": {name: base64.b64encode(content).decode() for name, content in files.items()},
    }
    return AppSecret(manifest, unresolved, [*unfit, *too_large, *left_out])


def _visible(
    app_id: str, namespace: str, components: NamespaceComponents | Iterable[kinds.Component]
) -> list[tuple[Member, Component]]:
    found = [
        (member, component)
        for member in NamespaceComponents.of(components, namespace).members
        if (component := member.accepted) is not None and component.is_visible_to(app_id, namespace)
    ]
    return sorted(found, key=lambda pair: pair[1].name)


def _files(
    visible: Sequence[tuple[Member, Component]],
    namespace: str,
    secrets: Mapping[str, Mapping[str, bytes]],
    others: Sequence[SecretKeyRef],
) -> dict[str, bytes]:
    """Return the files of the components, and what they and `others` refer to."""
    files = {f"{component.name}.yaml": _file(component, member.generation) for member, component in visible}
    references = _references(visible)
    if references:
        files[SECRET_STORE_FILE] = _file(_secret_store(namespace), 0)
    if references or others:
        files[KUBERNETES_SECRETS_FILE] = _json(_referred([*references, *others], secrets))
    return files


def _references(visible: Iterable[tuple[Member, Component]]) -> list[SecretKeyRef]:
    return [reference for _, component in visible for _, reference in references_of(component)]


@lru_cache(maxsize=4096)
def _file(component: Component, generation: int) -> bytes:
    """Return the component as a file, which is the same for every app that sees it."""
    store = KUBERNETES_SECRETS_STORE if references_of(component) else component.secret_store
    manifest = replace(component, scopes=(), secret_store=store).to_manifest()
    if generation:
        identity = manifest["metadata"]
        assert isinstance(identity, dict)
        identity["annotations"] = {GENERATION: str(generation)}
    return canonical_json.write(manifest, _quote).encode()


def _quote(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)


def _policies_file(members: Iterable[ResiliencyMember]) -> bytes:
    """Return the file of these Resiliency objects."""
    return _list_of(tuple(map(_delivered, members)))


def _delivered(member: ResiliencyMember) -> str:
    """Return a Resiliency as JSON, without what has no effect: sidecars would warn of it."""
    spec = member.manifest.get("spec")
    kept = dict(spec) if isinstance(spec, Mapping) else {}
    targets = kept.get("targets")
    if isinstance(targets, Mapping):
        kept["targets"] = {"components": targets.get("components") or {}}
    identity = {
        "name": member.name,
        "namespace": text_of(member.manifest, "namespace"),
        "annotations": {GENERATION: str(member.generation)},
    }
    return json.dumps({"apiVersion": API_VERSION, "kind": KIND, "metadata": identity, "spec": kept})


@lru_cache(maxsize=128)
def _list_of(manifests: tuple[str, ...]) -> bytes:
    """Return manifests, which are JSON, as a file; many apps have the same ones."""
    items = list(map(json.loads, manifests))
    try:
        return canonical_json.write({"apiVersion": "v1", "kind": "List", "items": items}, _quote).encode()
    except ValueError:  # a number such as 0.5, which no policy has, in a field without effect
        from pannier_crds.manifests import write_document

        return "".join(f"---\n{write_document(item)}" for item in items).encode()


def _policies_within(room: int, visible: Sequence[ResiliencyMember]) -> tuple[list[ResiliencyMember], list[TooLarge]]:
    """Leave out the largest Resiliency objects until the rest fits beside the components."""
    sizes = {member.name: len(_policies_file([member])) for member in visible}
    kept, left_out = _largest_left_out(room - _POLICIES_BYTES, sizes, resiliency_key)
    return [member for member in visible if member.name in kept], left_out


def _configurations_within(
    room: int, configurations: Mapping[str, ConfigurationFile], secrets: Mapping[str, Mapping[str, bytes]]
) -> tuple[dict[str, ConfigurationFile], list[TooLarge]]:
    """Leave out the largest Configurations until the rest fits: only pods with different ones can make them many."""
    sizes = {name: _size_of_configuration(each, secrets) for name, each in configurations.items()}
    kept, left_out = _largest_left_out(room, sizes, configuration_key)
    return {name: configurations[name] for name in sorted(kept)}, left_out


def _size_of_configuration(file: ConfigurationFile, secrets: Mapping[str, Mapping[str, bytes]]) -> int:
    values = _json(_referred(file.references, secrets)) if file.references else b""
    return len(file.content) + len(values) + _CONFIGURATION_BYTES


def _largest_left_out(
    room: int, sizes: Mapping[str, int], key: Callable[[str], str]
) -> tuple[set[str], list[TooLarge]]:
    """Return the names of the objects that fit into `room` bytes without the largest ones, and those."""
    kept, left_out = set(sizes), []
    total = sum(sizes.values())
    for name in sorted(sizes, key=lambda name: (sizes[name], name), reverse=True):
        if total <= room:
            break
        kept.remove(name)
        left_out.append(TooLarge(key(name), sizes[name], MAX_BYTES - room + total))
        total -= sizes[name]
    return kept, left_out


def _secret_store(namespace: str) -> Component:
    """Return the secret store in which references are looked up: a file of the same folder, by Secret name and key."""
    settings = (MetadataItem("secretsFile", KUBERNETES_SECRETS_FILE), MetadataItem("multiValued", "true"))
    return Component(KUBERNETES_SECRETS_STORE, "secretstores.local.file", namespace=namespace, metadata=settings)


def _referred(references: Iterable[SecretKeyRef], secrets: Mapping[str, Mapping[str, bytes]]) -> Secrets:
    """Return the secrets that are referred to, and no others."""
    found: Secrets = {}
    for reference in references:
        value = text_in(secrets, reference)
        if value is not None:
            found.setdefault(reference.name, {})[reference.key] = value
    return found


def _json(content: object) -> bytes:
    return json.dumps(content, ensure_ascii=False, sort_keys=True, indent=1).encode()


def _within_limit(
    room: int, visible: list[tuple[Member, Component]], secrets: Mapping[str, Mapping[str, bytes]]
) -> tuple[list[tuple[Member, Component]], list[TooLarge]]:
    """Leave out the largest components until the rest fits: they cause the overflow, and the others stay served."""
    total = _size(visible, secrets)
    chosen, left_out = list(visible), []
    if total > room:
        chosen.sort(key=lambda pair: (_size([pair], secrets), pair[1].name))
    while chosen and _size(chosen, secrets) > room:
        largest = chosen.pop()
        left_out.append(TooLarge(largest[1].name, _size([largest], secrets), MAX_BYTES - room + total))
    return sorted(chosen, key=lambda pair: pair[1].name), left_out


def _size(visible: Sequence[tuple[Member, Component]], secrets: Mapping[str, Mapping[str, bytes]]) -> int:
    files = {component.name: _file(component, member.generation) for member, component in visible}
    contents = sum(map(len, files.values())) + len(_json(_referred(_references(visible), secrets)))
    return contents + len(index_of(files)) + _STORE_BYTES


_POLICIES_BYTES: Final = 128  # room for the entry of their file in the index
_CONFIGURATION_BYTES: Final = 512  # room for the entry of a Configuration's file in the index, with its longest name
_STORE_BYTES: Final = 1536  # room for the secret store's own file, the version, and their entries in the index
