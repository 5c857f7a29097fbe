"""What each app's sidecars should see, as one Secret per app. Pure.

The sidecar sees the Secret as a folder with a file for each component, and one for all Resiliency objects. If
components refer to Kubernetes Secrets, the folder also holds a secret store for them, and its JSON file. An index lists
all files, so that a file that somebody else adds to the Secret is not read. References to secrets are kept, so the
sidecar knows which values are secret: it never logs them, and replaces no `{appID}` in a password. It reads the folder
on a cluster as it does on a laptop.
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
    INDEX_FILE,
    KUBERNETES_SECRETS_FILE,
    KUBERNETES_SECRETS_STORE,
    RESILIENCIES_FILE,
    index_of,
)
from pannier_crds.resiliency import KIND
from pannier_operator.delivery.app_secret import (
    GENERATION,
    GENERATIONS,
    MAX_BYTES,
    TooLarge,
    labels,
    resiliency_key,
    secret_name,
)
from pannier_operator.objects.namespace_components import NamespaceComponents, text_of
from pannier_operator.objects.namespace_resiliencies import NamespaceResiliencies
from pannier_operator.objects.references import Unresolved, references_of, text_in, unresolved_in

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from pannier_operator.objects import kinds
    from pannier_operator.objects.namespace_components import Member
    from pannier_operator.objects.namespace_resiliencies import ResiliencyMember

SECRET_STORE_FILE: Final = "_kubernetes.yaml"
Secrets = dict[str, dict[str, str]]
NO_RESILIENCIES: Final = NamespaceResiliencies()


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
) -> AppSecret:
    """Return the app's Secret. If the app sees no component, the Secret has an empty index: the pods' volume needs the
    Secret to exist.

    `secrets` are the namespace's Secrets by name, their data decoded. A component with an unresolved reference is
    delivered too: the sidecar refuses it with the reason, and goes on serving the version that it had.
    """
    visible = _visible(app_id, namespace, components)
    unresolved = [lack for _, component in visible for lack in unresolved_in(component, secrets)]
    chosen, too_large = _within_limit(visible, secrets)
    files = _files(chosen, namespace, secrets)
    policies, left_out = _policies_within(MAX_BYTES - _size(chosen, secrets), resiliencies.visible_to(app_id))
    if policies:
        files[RESILIENCIES_FILE] = b"".join(map(_document, policies))
    files[INDEX_FILE] = index_of(files)
    generations = {component.name: member.generation for member, component in chosen}
    generations |= {resiliency_key(member.name): member.generation for member in policies}
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
    return AppSecret(manifest, unresolved, [*too_large, *left_out])


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
    visible: Sequence[tuple[Member, Component]], namespace: str, secrets: Mapping[str, Mapping[str, bytes]]
) -> dict[str, bytes]:
    files = {f"{component.name}.yaml": _file(component, member.generation) for member, component in visible}
    if any(references_of(component) for _, component in visible):
        files[SECRET_STORE_FILE] = _file(_secret_store(namespace), 0)
        files[KUBERNETES_SECRETS_FILE] = _json(_referred(visible, secrets))
    return files


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


def _document(member: ResiliencyMember) -> bytes:
    """Return a Resiliency as one document of the file, without what has no effect: sidecars would warn of it."""
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
    return _written(json.dumps({"apiVersion": API_VERSION, "kind": KIND, "metadata": identity, "spec": kept}))


@lru_cache(maxsize=128)
def _written(manifest: str) -> bytes:
    """Return a manifest, which is JSON, as a document of YAML; it is the same for every app.

    Policies have numbers, which `canonical_json` does not write.
    """
    from pannier_crds.manifests import write_document  # loaded with the first Resiliency

    return f"---\n{write_document(json.loads(manifest))}".encode()


def _policies_within(room: int, visible: Sequence[ResiliencyMember]) -> tuple[list[ResiliencyMember], list[TooLarge]]:
    """Leave out the largest Resiliency objects until the rest fits beside the components."""
    sizes = {member.name: len(_document(member)) for member in visible}
    chosen, left_out = list(visible), []
    total = sum(sizes.values()) + _POLICIES_BYTES
    while chosen and total > room:
        largest = max(chosen, key=lambda member: (sizes[member.name], member.name))
        chosen.remove(largest)
        left_out.append(TooLarge(resiliency_key(largest.name), sizes[largest.name], MAX_BYTES - room + total))
        total -= sizes[largest.name]
    return chosen, left_out


def _secret_store(namespace: str) -> Component:
    """Return the secret store in which references are looked up: a file of the same folder, by Secret name and key."""
    settings = (MetadataItem("secretsFile", KUBERNETES_SECRETS_FILE), MetadataItem("multiValued", "true"))
    return Component(KUBERNETES_SECRETS_STORE, "secretstores.local.file", namespace=namespace, metadata=settings)


def _referred(visible: Sequence[tuple[Member, Component]], secrets: Mapping[str, Mapping[str, bytes]]) -> Secrets:
    """Return the secrets that these components refer to, and no others."""
    found: Secrets = {}
    for _, component in visible:
        for _, reference in references_of(component):
            value = text_in(secrets, reference)
            if value is not None:
                found.setdefault(reference.name, {})[reference.key] = value
    return found


def _json(content: object) -> bytes:
    return json.dumps(content, ensure_ascii=False, sort_keys=True, indent=1).encode()


def _within_limit(
    visible: list[tuple[Member, Component]], secrets: Mapping[str, Mapping[str, bytes]]
) -> tuple[list[tuple[Member, Component]], list[TooLarge]]:
    """Leave out the largest components until the rest fits: they cause the overflow, and the others stay served."""
    total = _size(visible, secrets)
    chosen, left_out = list(visible), []
    if total > MAX_BYTES:
        chosen.sort(key=lambda pair: (_size([pair], secrets), pair[1].name))
    while _size(chosen, secrets) > MAX_BYTES:
        largest = chosen.pop()
        left_out.append(TooLarge(largest[1].name, _size([largest], secrets), total))
    return sorted(chosen, key=lambda pair: pair[1].name), left_out


def _size(visible: Sequence[tuple[Member, Component]], secrets: Mapping[str, Mapping[str, bytes]]) -> int:
    files = {component.name: _file(component, member.generation) for member, component in visible}
    contents = sum(map(len, files.values())) + len(_json(_referred(visible, secrets)))
    return contents + len(index_of(files)) + _STORE_BYTES


_POLICIES_BYTES: Final = 128  # room for the entry of their file in the index
_STORE_BYTES: Final = 1536  # room for the secret store's own file, the version, and their entries in the index
