"""All settings of the operator, read once at start from PANNIER_* variables: one frozen dataclass in groups.

The only module that reads the environment. PANNIER_SIDECAR_IMAGE sets `sidecar.image`, and so on: a group, then a
field.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass, field, fields
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Literal, TypeVar

from pannier_crds.values import format_duration, parse_boolean, parse_duration
from pannier_operator.objects.label_selectors import LabelSelector
from pannier_operator.objects.label_selectors import parse as parse_selector
from pannier_operator.objects.quantities import amount_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

T = TypeVar("T")
_IMAGE_USER: int | None = 65532
NativeSidecar = Literal["auto", "always", "never"]
Profile = Literal["spec", "dapr"]
PullPolicy = Literal["Always", "IfNotPresent", "Never"]


class SettingsError(ValueError):
    """A variable that cannot be used; the message names it, its value and what to write."""


def _text(value: str) -> str:
    return value


def _names(value: str) -> tuple[str, ...]:
    """Return names separated by commas or spaces."""
    return tuple(part for part in re.split(r"[,\s]+", value) if part)


def _boolean(value: str) -> bool:
    answer = parse_boolean(value)
    if answer is None:
        raise ValueError("write true or false")
    return answer


def _count(value: str) -> int:
    if not re.fullmatch(r"\d{1,9}", value, re.ASCII):
        raise ValueError("write a whole number")
    return int(value)


def _user(value: str) -> int | None:
    if value == "none":
        return None
    if not re.fullmatch(r"[1-9]\d{0,8}", value, re.ASCII):  # not 0: the container sets runAsNonRoot
        raise ValueError("write a whole number from 1 on, or none")
    return int(value)


def _port(value: str) -> int:
    number = int(value) if re.fullmatch(r"\d{1,5}", value, re.ASCII) else 0
    if not 1 <= number <= 65535:
        raise ValueError("write a port from 1 to 65535")
    return number


def _seconds(value: str) -> float:
    try:
        length = parse_duration(value)
    except ValueError:
        length = 0.0
    if length <= 0:
        raise ValueError("write a duration, such as 90s, 10m or 2160h")
    return length


def _quantity(value: str) -> str:
    """Return a Kubernetes quantity; empty for `none`, which means no bound."""
    if value == "none":
        return ""
    try:
        amount_of(value)
    except ValueError:
        raise ValueError("write a quantity such as 20m or 64Mi, or none") from None
    return value


def _one_of(*choices: str) -> Callable[[str], Any]:
    def read(value: str) -> str:
        if value not in choices:
            raise ValueError(f"write {', '.join(choices[:-1])} or {choices[-1]}")
        return value

    return read


def _setting(default: T, read: Callable[[str], T]) -> T:
    """Return a field with its default and the parser of its variable."""
    declared: T = field(default=default, metadata={"read": read})
    return declared


@dataclass(frozen=True)
class OwnPlace:
    """Where this operator runs. PANNIER_OPERATOR_*."""

    namespace: str = _setting("pannier-system", _text)
    """The namespace of its Lease and its certificate; Pannier's own pods there are never changed."""
    pod_name: str = _setting("", _text)
    """The pod's name (by fieldRef), which is its holder identity in the Lease. If empty, the host name is used.
    """
    service: str = _setting("pannier-operator", _text)
    """The Service in front of the webhooks; the certificate is issued for its DNS names."""
    cluster_domain: str = _setting("cluster.local", _text)
    """The last part of Service names; Kubernetes' own default."""
    watched_namespaces: tuple[str, ...] = _setting((), _names)
    """The namespaces whose Components and pods are handled. Empty: all."""
    namespace_selector: LabelSelector = _setting(LabelSelector(), parse_selector)
    """Selects among these namespaces by labels. Empty: all. The webhook configurations have the same selector."""


@dataclass(frozen=True)
class WebhookSettings:
    """The webhook server. PANNIER_WEBHOOK_*."""

    listen_port: int = _setting(9443, _port)
    """Above 1024, for a process without privileges. Not called `port`: Kubernetes itself sets PANNIER_WEBHOOK_PORT
    in every pod beside a Service of the name pannier-webhook."""
    configuration: str = _setting("pannier", _text)
    """The name of the validating and of the mutating webhook configuration; their `caBundle` is written."""
    admits_unserved_types: bool = _setting(False, _boolean)
    """Components of types that Pannier does not serve are admitted with a warning: Dapr serves them beside it."""


@dataclass(frozen=True)
class CertificateSettings:
    """The webhooks' certificate. PANNIER_CERTIFICATE_*."""

    secret: str = _setting("pannier-operator-certificate", _text)
    """In the operator's namespace; shared by its replicas."""
    folder: str = _setting("", _text)
    """The folder where cert-manager mounts tls.crt, tls.key and ca.crt. Empty: the operator makes its own."""
    lifetime: float = _setting(90 * 86400.0, _seconds)
    """Seconds that a leaf is valid. It is renewed after two thirds of them, so a month is left to notice a failure."""
    authority_lifetime: float = _setting(10 * 365 * 86400.0, _seconds)
    """Seconds that an authority is valid.

    Its key never leaves the Secret, so a shorter life would protect nothing, and each change must reach every API
    server. Ten years is longer than a cluster lives.
    """


@dataclass(frozen=True)
class SidecarSettings:
    """The injected container, unless the pod's annotations say otherwise. PANNIER_SIDECAR_*.

    What a variable cannot set, such as the times of probes, is in `injection/`.
    """

    image: str = _setting("pannier-sidecar:latest", _text)
    """Set by the chart, to the version it belongs to."""
    image_pull_policy: PullPolicy = _setting("IfNotPresent", _one_of("Always", "IfNotPresent", "Never"))
    """Our tags never move, so an image that the node already has is the right one."""
    image_pull_secrets: tuple[str, ...] = _setting((), _names)
    """Added to the pod's own; each must exist in the app's namespace."""
    native: NativeSidecar = _setting("auto", _one_of("auto", "always", "never"))
    """`auto`: a native sidecar wherever the API server has them, which is from 1.29 on."""
    profile: Profile = _setting("spec", _one_of("spec", "dapr"))
    """Whose answers are given where the published specs and Dapr 1.18 differ."""
    log_level: str = _setting("info", _one_of("debug", "info", "warn", "error", "fatal"))
    log_as_json: bool = _setting(False, _boolean)
    run_as_user: int | None = _setting(_IMAGE_USER, _user)
    """The image's own user, stated in the pod so that the kubelet can verify that it is not root. `none` leaves it to
    the platform, as OpenShift requires.
    """
    cpu_request: str = _setting("10m", _quantity)
    """An idle sidecar uses less than 1m; 10m are enough for some 300 calls a second beside a busy neighbour."""
    cpu_limit: str = _setting("", _quantity)
    """None: a CPU limit delays calls even while cores stand idle."""
    memory_request: str = _setting("32Mi", _quantity)
    """A sidecar with a Redis store holds 24 MB, and 27 MB after minutes of calls and reloads."""
    memory_limit: str = _setting("128Mi", _quantity)
    """Room for bodies of the largest size (4Mi) in 16 calls at once, and for a telemetry exporter."""
    shutdown_block: float = _setting(5.0, _seconds)
    """Seconds for which a sidecar that is an ordinary container goes on serving after SIGTERM, because the app gets
    SIGTERM at the same moment. More seconds help slow apps, but delay the end of every pod."""


@dataclass(frozen=True)
class LeaderElectionSettings:
    """Which replica reconciles. PANNIER_ELECTION_*."""

    lease: str = _setting("pannier-operator", _text)
    lease_duration: float = _setting(15.0, _seconds)
    """Seconds until a leader that does not renew the Lease loses it. One that stops cleanly gives it back at once."""
    renew_interval: float = _setting(10.0, _seconds)
    """Seconds between renewals, the only calls that an idle operator makes: at most one in ten seconds."""


@dataclass(frozen=True)
class ReconcilingSettings:
    """Reconciling and resyncing. PANNIER_RECONCILING_*."""

    resync_interval: float = _setting(300.0, _seconds)
    """Seconds between two full lists, in case a watch has died unnoticed."""
    unused_secret_grace: float = _setting(600.0, _seconds)
    """Seconds that an app's Secret is kept after its last pod has gone: the app's next pod then starts at once, even
    while the operator is down.
    """
    evicts_missed_pods: bool = _setting(False, _boolean)
    """Whether annotated pods without a sidecar are evicted, so that their controllers create them again. Off by
    default: users decide whether their pods may be restarted.
    """
    evictions_per_minute: int = _setting(10, _count)
    """Maximum of evictions per minute in the whole cluster. PodDisruptionBudgets apply too."""


@dataclass(frozen=True)
class ObservingSettings:
    """What the operator shows about itself. PANNIER_OBSERVING_*."""

    log_level: str = _setting("info", _one_of("debug", "info", "warn", "error"))
    log_as_json: bool = _setting(False, _boolean)
    metrics_port: int = _setting(9090, _port)
    health_port: int = _setting(8080, _port)


@dataclass(frozen=True)
class OperatorSettings:
    """All settings."""

    operator: OwnPlace = OwnPlace()
    webhook: WebhookSettings = WebhookSettings()
    certificate: CertificateSettings = CertificateSettings()
    sidecar: SidecarSettings = SidecarSettings()
    election: LeaderElectionSettings = LeaderElectionSettings()
    reconciling: ReconcilingSettings = ReconcilingSettings()
    observing: ObservingSettings = ObservingSettings()


def read_environment() -> Mapping[str, str]:
    """Return an immutable copy of the process's environment."""
    return MappingProxyType(dict(os.environ))


def from_environment(environment: Mapping[str, str]) -> OperatorSettings:
    """Return the settings. Empty variables count as absent. Raises SettingsError for all problems at once.

    Variables with the prefix that name no setting are ignored: Kubernetes sets such variables for each of our Services.
    """
    problems: list[str] = []
    groups = {
        group.name: _read_group(group.name, type(group.default), environment, problems)
        for group in fields(OperatorSettings)
    }
    settings = OperatorSettings(**groups)
    problems.extend(_contradictions(settings))
    if problems:
        raise SettingsError("\n".join(problems))
    return settings


def _read_group(name: str, kind: type[Any], environment: Mapping[str, str], problems: list[str]) -> Any:
    found: dict[str, Any] = {}
    for declared in fields(kind):
        variable = f"PANNIER_{name}_{declared.name}".upper()
        value = environment.get(variable, "").strip()
        if not value:
            continue
        try:
            found[declared.name] = declared.metadata["read"](value)
        except ValueError as error:
            problems.append(f"{variable}: {value!r} can't be used; {error}")
    return kind(**found)


def _contradictions(settings: OperatorSettings) -> Iterator[str]:
    """Yield problems of variables in combination."""
    election, sidecar, certificate = settings.election, settings.sidecar, settings.certificate
    if election.renew_interval >= election.lease_duration:
        usual = LeaderElectionSettings()
        yield (
            "PANNIER_ELECTION_RENEW_INTERVAL must be shorter than PANNIER_ELECTION_LEASE_DURATION; "
            f"write {format_duration(usual.renew_interval)} and {format_duration(usual.lease_duration)}"
        )
    if certificate.lifetime < 60:
        yield "PANNIER_CERTIFICATE_LIFETIME is too short to be renewed in time; write 1m at least"
    if certificate.authority_lifetime < 3 * certificate.lifetime:
        yield "PANNIER_CERTIFICATE_AUTHORITY_LIFETIME must be three times PANNIER_CERTIFICATE_LIFETIME at least"
    for name, request, limit in (
        ("CPU", sidecar.cpu_request, sidecar.cpu_limit),
        ("MEMORY", sidecar.memory_request, sidecar.memory_limit),
    ):
        if request and limit and amount_of(request) > amount_of(limit):
            yield f"PANNIER_SIDECAR_{name}_REQUEST ({request}) is more than PANNIER_SIDECAR_{name}_LIMIT ({limit})"
