"""A component: a named state or secret store with its settings, as Dapr's `Component` describes it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from pannier_crds.problems import InvalidManifestError, Problem, metadata_path, quoted
from pannier_crds.structure import Part, kind_of, scalar_text
from pannier_crds.values import format_duration, is_truthy, parse_duration

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = [
    "API_VERSION",
    "KIND",
    "Component",
    "InvalidManifestError",
    "MetadataItem",
    "SecretKeyRef",
    "read_secret_key_ref",
]

API_VERSION: Final = "dapr.io/v1alpha1"
KIND: Final = "Component"
DEFAULT_VERSION: Final = "v1"
KUBERNETES_SECRETS: Final = "kubernetes"  # how `auth.secretStore` names the Secrets of the component's namespace
DEFAULT_INIT_TIMEOUT: Final = 5.0

_TOP_KEYS: Final = ("apiVersion", "kind", "metadata", "spec", "auth", "scopes")
_SPEC_KEYS: Final = ("type", "version", "metadata", "ignoreErrors", "initTimeout")
_ITEM_KEYS: Final = ("name", "value", "secretKeyRef", "envRef")
CONTAINER_ANNOTATION: Final = "dapr.io/component-container"


@dataclass(frozen=True, slots=True)
class SecretKeyRef:
    """Where a secret value is: a secret's name and the key in it (without a key, the name is the key too)."""

    name: str
    key: str


@dataclass(frozen=True, slots=True)
class MetadataItem:
    """One setting: a literal `value`, or a reference to a secret, or the name of an environment variable.

    If all three are None, the manifest names the setting without a value. More than one is an error, which `checks`
    reports; an empty text beside a reference counts as not given.
    """

    name: str
    value: str | None = field(default=None, repr=False)
    secret: SecretKeyRef | None = None
    env: str | None = field(default=None, repr=False)

    @property
    def is_reference(self) -> bool:
        return self.secret is not None or bool(self.env)

    @property
    def literal(self) -> str | None:
        """The value, unless it is an empty text beside a reference."""
        return None if self.value == "" and self.is_reference else self.value

    def to_manifest(self) -> dict[str, object]:
        item: dict[str, object] = {"name": self.name}
        if self.value is not None:
            item["value"] = self.value
        if self.secret is not None:
            item["secretKeyRef"] = {"name": self.secret.name, "key": self.secret.key}
        if self.env is not None:
            item["envRef"] = self.env
        return item


@dataclass(frozen=True, slots=True)
class Component:
    """One component. Setting names are compared without regard to case, as Dapr does.

    Empty `scopes` mean every app. `init_timeout` is in seconds. `secret_store` names the component that `secretKeyRef`
    is looked up in; None means the default of the environment (Kubernetes Secrets in a cluster). `container` is the
    annotation `dapr.io/component-container`: JSON of the container that serves this component. `is_pluggable` marks a
    component that a socket serves, if the catalogue does not know its type.
    """

    name: str
    type: str
    version: str = DEFAULT_VERSION
    namespace: str | None = None
    metadata: tuple[MetadataItem, ...] = ()
    scopes: tuple[str, ...] = ()
    secret_store: str | None = None
    ignore_errors: bool = False
    init_timeout: float = DEFAULT_INIT_TIMEOUT
    container: str | None = field(default=None, repr=False)
    is_pluggable: bool = field(default=False, compare=False)

    @classmethod
    def from_manifest(cls, manifest: Mapping[str, object]) -> Component:
        """Return the component that a manifest describes. Raises InvalidManifestError with all structural problems at
        once.

        Neither the type nor the settings are checked here: `checks` does that.
        """
        problems: list[Problem] = []
        top = Part(manifest, "", problems)
        top.expect("apiVersion", API_VERSION)
        top.expect("kind", KIND)
        top.refuse_misspelt(_TOP_KEYS)
        identity = top.part("metadata")
        spec = top.part("spec")
        spec.refuse_misspelt(_SPEC_KEYS)
        _refuse_misplaced(top, identity, spec)
        container = _read_container(identity)
        component = cls(
            name=identity.required_text("name", "statestore"),
            namespace=identity.text("namespace") or None,
            type=spec.required_text("type", "state.redis"),
            version=spec.text("version") or DEFAULT_VERSION,
            ignore_errors=spec.boolean("ignoreErrors"),
            init_timeout=_read_init_timeout(spec),
            metadata=tuple(_read_item(part) for part in spec.parts("metadata")),
            secret_store=_read_secret_store(top),
            scopes=top.texts("scopes", "my-app"),
            container=container,
            is_pluggable=container is not None,
        )
        if problems:
            raise InvalidManifestError(problems)
        return component

    def to_manifest(self) -> dict[str, object]:
        """Return the manifest that `from_manifest` reads back as an equal component; most defaults are left out."""
        identity: dict[str, object] = {"name": self.name}
        if self.namespace is not None:
            identity["namespace"] = self.namespace
        if self.container is not None:
            identity["annotations"] = {CONTAINER_ANNOTATION: self.container}
        spec: dict[str, object] = {"type": self.type, "version": self.version}
        if self.ignore_errors:
            spec["ignoreErrors"] = True
        if self.init_timeout != DEFAULT_INIT_TIMEOUT:
            spec["initTimeout"] = format_duration(self.init_timeout)
        spec["metadata"] = [item.to_manifest() for item in self.metadata]
        manifest: dict[str, object] = {
            "apiVersion": API_VERSION,
            "kind": KIND,
            "metadata": identity,
            "spec": spec,
        }
        if self.secret_store is not None:
            manifest["auth"] = {"secretStore": self.secret_store}
        if self.scopes:
            manifest["scopes"] = list(self.scopes)
        return manifest

    def item(self, name: str) -> MetadataItem | None:
        """Return the metadata entry of that name, ignoring case, or None."""
        lower = name.lower()
        return next((item for item in self.metadata if item.name.lower() == lower), None)

    def setting(self, name: str) -> str | None:
        """Return the literal text of the setting of that name, ignoring case; None if it is absent or a reference."""
        item = self.item(name)
        return item.literal if item is not None else None

    def is_visible_to(self, app_id: str, namespace: str | None = None) -> bool:
        """Return whether an app sees this component: scopes are empty or name the app, and the namespaces, if known,
        are equal.
        """
        if namespace and self.namespace and namespace != self.namespace:
            return False
        return not self.scopes or app_id in self.scopes

    @property
    def is_state_store(self) -> bool:
        return self.type.lower().startswith("state.")

    @property
    def reads_kubernetes_secrets(self) -> bool:
        """Whether its `secretKeyRef`s name Kubernetes Secrets, the default in a cluster."""
        return (self.secret_store or KUBERNETES_SECRETS).lower() == KUBERNETES_SECRETS

    @property
    def holds_actor_state(self) -> bool:
        return self.is_state_store and is_truthy(self.setting("actorStateStore"))

    @property
    def is_default_store(self) -> bool:
        return self.is_state_store and is_truthy(self.setting("defaultStateStore"))


def _refuse_misplaced(top: Part, identity: Part, spec: Part) -> None:
    """Refuse fields in places where Dapr ignores them: every app would see the store, or its secrets would not be
    read.
    """
    for part, where in ((identity, "metadata"), (spec, "spec")):
        for key in ("scopes", "auth"):
            if key in part.content:
                part.refuse(key, f"'{key}' has no effect inside {where}", "move it to the top level, beside 'spec'")
    for part, where in ((top, "at the top level"), (identity, "inside metadata")):
        for key in ("type", "version", "ignoreErrors", "initTimeout"):
            if key in part.content:
                part.refuse(key, f"'{key}' has no effect {where}", "move it into spec")


def _read_container(identity: Part) -> str | None:
    annotations = identity.content.get("annotations")
    container = annotations.get(CONTAINER_ANNOTATION) if isinstance(annotations, dict) else None
    return container if isinstance(container, str) and container.strip() else None


def _read_init_timeout(spec: Part) -> float:
    """Return seconds: the default if the duration is absent, empty, zero or negative, as in Dapr 1.18."""
    value = spec.content.get("initTimeout")
    if isinstance(value, int | float) and not isinstance(value, bool):
        spec.refuse("initTimeout", f"{scalar_text(value)} has no unit", f"write '{scalar_text(value)}s'")
        return DEFAULT_INIT_TIMEOUT
    text = spec.text("initTimeout")
    if not text:
        return DEFAULT_INIT_TIMEOUT
    try:
        seconds = parse_duration(text)
    except ValueError:
        spec.refuse(
            "initTimeout",
            f"{quoted(text)} is not a duration",
            "write a number with a unit, such as 30s or 1m30s",
        )
        return DEFAULT_INIT_TIMEOUT
    return seconds if seconds > 0 else DEFAULT_INIT_TIMEOUT


def _read_secret_store(top: Part) -> str | None:
    auth = top.part("auth")
    auth.refuse_misspelt(("secretStore",))
    return auth.text("secretStore") or None


def _read_item(part: Part) -> MetadataItem:
    """Read one setting. Null and empty references count as absent, because programs in Go write every field."""
    part.refuse_misspelt((*_ITEM_KEYS, "valueFrom"))
    name = part.required_text("name", "redisHost")
    if name:
        part.path = metadata_path(name)
    _refuse_value_from(part)
    value, secret, env = _read_value(part), read_secret_key_ref(part), part.text("envRef")
    is_null = part.content.get("value") is None and (secret is not None or bool(env))
    return MetadataItem(name, None if is_null else value, secret, env)


def _read_value(part: Part) -> str | None:
    if "value" not in part.content:
        return None
    value = part.content["value"]
    text = scalar_text(value)
    if text is None:
        part.refuse("value", f"is {kind_of(value)} but should be text", "write one string, number or boolean")
    return text


def read_secret_key_ref(part: Part) -> SecretKeyRef | None:
    """Return the reference under `secretKeyRef`; None if there is none, or it is wrong, which is added as a problem."""
    reference = part.part("secretKeyRef")
    if all(value in (None, "") for value in reference.content.values()):
        return None
    reference.refuse_misspelt(("name", "key"))
    name = reference.required_text("name", "redis-secret")
    return SecretKeyRef(name, reference.text("key") or name)


def _refuse_value_from(part: Part) -> None:
    """Refuse `valueFrom`, a field of containers: in a component it would be ignored, and its password would
    be missing.
    """
    if part.content.get("valueFrom") is not None:
        source = part.part("valueFrom")
        kind = "secretKeyRef" if "secretKeyRef" in source.content else "envRef"
        advice = f"write {kind} in its place" + (", one level higher" if kind == "secretKeyRef" else ": VARIABLE")
        part.refuse("valueFrom", "is not a field of a setting", advice)
