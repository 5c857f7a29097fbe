"""A `Configuration` of Dapr: what an app may call, and how its sidecar logs, traces and counts."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from pannier_crds.api_lists import ApiLists, read_api_lists
from pannier_crds.component import API_VERSION
from pannier_crds.metric_options import MetricOptions, read_metrics
from pannier_crds.problems import InvalidManifestError, Problem, listed, one_line, quoted, warning
from pannier_crds.secret_scopes import SecretScope, read_secret_scopes
from pannier_crds.structure import Part
from pannier_crds.tracing_options import TracingOptions, read_tracing

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from pannier_crds.component import Component, SecretKeyRef

KIND: Final = "Configuration"
ACTOR_STATE_TTL: Final = "ActorStateTTL"
HOT_RELOAD: Final = "HotReload"

_TOP_KEYS: Final = ("apiVersion", "kind", "metadata", "spec")
SERVED: Final = ("api", "metric", "metrics", "tracing", "logging", "secrets", "components", "features")
"""The fields of `spec` that have an effect."""
_WITHOUT_EFFECT: Final = (
    *("accessControl", "appHttpPipeline", "grpcPipeline", "httpPipeline", "mtls", "nameResolution", "wasm"),
    *("workflow", "workflows"),
)
_LOGGING_KEYS: Final = ("enabled", "obfuscateURLs", "omitHealthChecks")
_FEATURES: Final = (
    *(ACTOR_STATE_TTL, HOT_RELOAD),
    *("WorkflowsClusteredDeployment", "WorkflowsRemoteActivityReminder", "WorkflowHistorySigning"),
)


@dataclass(frozen=True, slots=True)
class ApiLogging:
    """`spec.logging.apiLogging`: whether each call has a line in the log, and what is in it."""

    is_enabled: bool = False
    hides_paths: bool = False
    """Whether the operation is named instead of the path, which may hold keys."""
    omits_health: bool = False


@dataclass(frozen=True, slots=True)
class DeniedComponent:
    """One entry of `spec.components.deny`; without a version, it is for every one."""

    type: str
    version: str = ""


@dataclass(frozen=True, slots=True)
class Configuration:
    """One object of kind Configuration, or several that were merged. Everything has its default."""

    name: str = ""
    namespace: str | None = None
    api: ApiLists = ApiLists()
    metrics: MetricOptions = MetricOptions()
    tracing: TracingOptions = TracingOptions()
    api_logging: ApiLogging = ApiLogging()
    secret_scopes: Mapping[str, SecretScope] = field(default_factory=dict)
    denied_components: tuple[DeniedComponent, ...] = ()
    features: Mapping[str, bool] = field(default_factory=dict)
    """Whether each feature that it names is enabled."""
    remarks: tuple[Problem, ...] = field(default=(), compare=False)
    """Warnings, also about fields without effect."""

    @classmethod
    def from_manifest(cls, manifest: Mapping[str, object]) -> Configuration:
        """Return the object that a manifest describes. Raises InvalidManifestError with all problems at once."""
        problems: list[Problem] = []
        remarks: list[Problem] = []
        top = Part(manifest, "", problems)
        top.expect("apiVersion", API_VERSION)
        top.expect("kind", KIND)
        top.refuse_misspelt(_TOP_KEYS)
        if "scopes" in manifest:
            message = "has no effect: an app names its Configuration itself, by --config or dapr.io/config"
            remarks.append(warning("scopes", message, "take it out"))
        identity, spec = top.part("metadata"), top.part("spec")
        spec.refuse_misspelt((*SERVED, *_WITHOUT_EFFECT))
        remarks += _without_effect(spec)
        read = cls(
            name=identity.text("name") or "",
            namespace=identity.text("namespace") or None,
            api=read_api_lists(spec.part("api"), remarks),
            metrics=read_metrics(spec, remarks),
            tracing=read_tracing(spec.part("tracing")),
            api_logging=_read_logging(spec.part("logging")),
            secret_scopes=read_secret_scopes(spec.part("secrets")),
            denied_components=_read_denied(spec.part("components")),
            features=_read_features(spec, remarks),
            remarks=tuple(remarks),
        )
        if problems:
            raise InvalidManifestError(problems)
        return read

    def denies(self, component: Component) -> bool:
        """Return whether a component of this type and version must not be used; the case of letters is ignored."""
        kind, version = _canonical(component.type), component.version.lower()
        return any(
            _canonical(denied.type) == kind and denied.version.lower() in ("", version)
            for denied in self.denied_components
        )

    @property
    def secret_references(self) -> list[tuple[str, SecretKeyRef]]:
        """The fields whose values are in Secrets of the cluster, with their references."""
        headers = self.tracing.otel.headers if self.tracing.otel is not None else ()
        return [(header.path, header.secret) for header in headers if header.secret is not None]

    @property
    def reloads(self) -> bool:
        """Whether changed files take effect while the sidecar runs."""
        return self.features.get(HOT_RELOAD, True)

    @property
    def enabled_features(self) -> list[str]:
        """The features that it enables, as the metadata names them."""
        return [name for name, is_enabled in self.features.items() if is_enabled]


def _canonical(name: str) -> str:
    """Return a type without regard to case and aliases."""
    from pannier_crds.catalogue import component_type  # few Configurations deny components

    known = component_type(name, "")
    return known.name if known is not None else name.lower()


def merged(manifests: Sequence[Mapping[str, object]]) -> dict[str, object]:
    """Return one manifest: the fields of a later one replace those of an earlier one. Lists are replaced as a whole, as
    in Dapr.
    """
    result: dict[str, object] = {}
    for manifest in manifests:
        result = _over(result, manifest)
    return result


def _over(earlier: Mapping[str, object], later: Mapping[str, object]) -> dict[str, object]:
    result = dict(earlier)
    for key, value in later.items():
        before = result.get(key)
        if isinstance(before, dict) and isinstance(value, dict):
            result[key] = _over(before, value)
        elif value is not None:
            result[key] = value
    return result


def _without_effect(spec: Part) -> list[Problem]:
    written = [key for key in _WITHOUT_EFFECT if spec.content.get(key)]
    remarks = [warning(spec.path_of(key), "has no effect here") for key in written]
    unknown = [key for key in spec.content if key not in (*SERVED, *_WITHOUT_EFFECT)]
    return [*remarks, *(warning(spec.path_of(one_line(str(key))), "is not a known field") for key in unknown[:100])]


def _read_logging(part: Part) -> ApiLogging:
    part.refuse_misspelt(("apiLogging",))
    logging = part.part("apiLogging")
    logging.refuse_misspelt(_LOGGING_KEYS)
    return ApiLogging(*(logging.boolean(key) for key in _LOGGING_KEYS))


def _read_denied(part: Part) -> tuple[DeniedComponent, ...]:
    part.refuse_misspelt(("deny",))
    denied = []
    for index, entry in enumerate(part.texts("deny", "state.redis")):
        name, _, version = entry.strip().partition("/")
        if not name or "/" in version:
            part.refuse(f"deny[{index}]", f"is {quoted(entry)}", "write a type such as state.redis, or state.redis/v1")
        denied.append(DeniedComponent(name, version))
    return tuple(denied)


def _read_features(spec: Part, remarks: list[Problem]) -> dict[str, bool]:
    features: dict[str, bool] = {}
    for entry in spec.parts("features"):
        entry.refuse_misspelt(("name", "enabled"))
        name = entry.required_text("name", HOT_RELOAD).strip()
        is_enabled = entry.boolean("enabled")
        features[name] = is_enabled
        if name == ACTOR_STATE_TTL and not is_enabled:
            message = "has no effect: values of actors may always have a TTL"
            remarks.append(warning(entry.path_of("enabled"), message, "take it out"))
        elif name not in _FEATURES:
            message = f"{quoted(name)} is not a known feature"
            remarks.append(warning(entry.path_of("name"), message, f"write {listed(_FEATURES[:2], 'or')}"))
    return features
