"""A `Resiliency` of Dapr: timeouts, retries and circuit breakers by name, and the components that they are for."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from itertools import islice
from typing import TYPE_CHECKING, Final

from pannier_crds.component import API_VERSION
from pannier_crds.problems import InvalidManifestError, InvalidValueError, Problem, one_line, quoted, warning
from pannier_crds.scopes import scope_problems
from pannier_crds.structure import Part, kind_of, scalar_text
from pannier_crds.trip_condition import Condition, read_condition
from pannier_crds.values import parse_duration

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

__all__ = ["KIND", "MAX_RETRYING_S", "CircuitBreakerPolicy", "Outbound", "Resiliency", "RetryPolicy"]

KIND: Final = "Resiliency"
MAX_RETRYING_S: Final = 15 * 60.0
"""Seconds after which the retries of one call end, whatever its policy says; Dapr ends exponential ones then."""

_TOP_KEYS: Final = ("apiVersion", "kind", "metadata", "spec", "scopes")
_SPEC_KEYS: Final = ("policies", "targets")
_POLICIES_KEYS: Final = ("timeouts", "retries", "circuitBreakers")
_RETRY_KEYS: Final = ("policy", "duration", "maxInterval", "maxRetries", "matching")
_BREAKER_KEYS: Final = ("maxRequests", "interval", "timeout", "trip")
_TARGETS_KEYS: Final = ("apps", "actors", "components")
_NAMES_KEYS: Final = ("timeout", "retry", "circuitBreaker")
_MATCHING: Final[Mapping[str, tuple[int, int]]] = {"httpStatusCodes": (100, 599), "gRPCStatusCodes": (0, 16)}
_CODE_RANGE: Final = re.compile(r"\s*(\d{1,3})\s*(?:-\s*(\d{1,3})\s*)?", re.ASCII)
_MAX_NAMES: Final = 1_000
_MAX_COUNT: Final = 2**31 - 1
_DEFAULT_TRIP: Final = "consecutiveFailures > 5"


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """How often, and after which pauses, a failed call is made again."""

    is_exponential: bool = False
    duration: float = 5.0
    """Seconds between two attempts; without effect if it is exponential."""
    max_interval: float = 60.0
    """Maximum of a pause in seconds, before it is randomised; without effect if it is constant."""
    max_retries: int | None = None
    """Attempts after the first one; None: as many as fit into `max_elapsed`."""
    max_elapsed: float = MAX_RETRYING_S
    """Seconds after the beginning of the call in which another attempt may begin."""


@dataclass(frozen=True, slots=True)
class CircuitBreakerPolicy:
    """When calls fail at once, because earlier ones have failed. Two are equal if their texts say the same."""

    max_requests: int = 1
    """Calls that are admitted while it is half-open, and successes after which it closes."""
    interval: float = 0.0
    """Seconds after which the counts of a closed breaker begin at 0 again; 0: never."""
    timeout: float = 60.0
    """Seconds for which it stays open."""
    trip: str = _DEFAULT_TRIP
    holds: Condition = field(default=read_condition(_DEFAULT_TRIP), compare=False, repr=False)
    """`trip`, to be evaluated after each failure: whether the breaker opens."""


@dataclass(frozen=True, slots=True)
class Outbound:
    """The names of the policies for calls to one component; None: none of that sort."""

    timeout: str | None = None
    retry: str | None = None
    circuit_breaker: str | None = None


@dataclass(frozen=True, slots=True)
class Resiliency:
    """One object of kind Resiliency. Empty `scopes` mean every app; timeouts are in seconds, 0 means none."""

    name: str
    namespace: str | None = None
    scopes: tuple[str, ...] = ()
    timeouts: Mapping[str, float] = field(default_factory=dict)
    retries: Mapping[str, RetryPolicy] = field(default_factory=dict)
    circuit_breakers: Mapping[str, CircuitBreakerPolicy] = field(default_factory=dict)
    components: Mapping[str, Outbound] = field(default_factory=dict)
    remarks: tuple[Problem, ...] = ()
    """Warnings about scopes that are written twice, and about fields that have no effect on state stores."""

    @classmethod
    def from_manifest(cls, manifest: Mapping[str, object]) -> Resiliency:
        """Return the object that a manifest describes. Raises InvalidManifestError with all problems at once.

        Whether the named policies exist is not known here, because another object may define them: see
        `resiliency_policies`.
        """
        problems: list[Problem] = []
        top = Part(manifest, "", problems)
        top.expect("apiVersion", API_VERSION)
        top.expect("kind", KIND)
        top.refuse_misspelt(_TOP_KEYS)
        identity, spec = top.part("metadata"), top.part("spec")
        spec.refuse_misspelt(_SPEC_KEYS)
        for part, where in ((identity, "metadata"), (spec, "spec")):
            if "scopes" in part.content:
                part.refuse("scopes", f"'scopes' has no effect inside {where}", "move it to the top level")
        policies, targets = spec.part("policies"), spec.part("targets")
        policies.refuse_misspelt(_POLICIES_KEYS)
        targets.refuse_misspelt(_TARGETS_KEYS)
        remarks: list[Problem] = []
        scopes = top.texts("scopes", "my-app")
        for problem in scope_problems(scopes):
            (problems if problem.is_error else remarks).append(problem)
        read = cls(
            name=identity.required_text("name", "resiliency"),
            namespace=identity.text("namespace") or None,
            scopes=scopes,
            timeouts=_read_timeouts(policies.part("timeouts")),
            retries={name: _read_retry(part, remarks) for name, part in _named_parts(policies, "retries")},
            circuit_breakers={name: _read_breaker(part) for name, part in _named_parts(policies, "circuitBreakers")},
            components={name: _read_outbound(part) for name, part in _named_parts(targets, "components")},
            remarks=(*remarks, *_without_effect(targets)),
        )
        if problems:
            raise InvalidManifestError(problems)
        return read

    def is_visible_to(self, app_id: str, namespace: str | None = None) -> bool:
        """Return whether it is for an app: no scopes or one that names it, and the same namespace if known."""
        if namespace and self.namespace and namespace != self.namespace:
            return False
        return not self.scopes or app_id in self.scopes


def _named_parts(parent: Part, key: str) -> Iterator[tuple[str, Part]]:
    """Yield the mappings under the names that a user chose; add a problem for anything else."""
    part = parent.part(key)
    if len(part.content) > _MAX_NAMES:
        parent.refuse(key, f"has {len(part.content)} entries", f"write {_MAX_NAMES} at most")
    for name in islice(part.content, _MAX_NAMES):
        yield name, part.part(name)


def _read_timeouts(part: Part) -> dict[str, float]:
    return {name: _duration(part, name, 0.0) for name in islice(part.content, _MAX_NAMES)}


def _read_retry(part: Part, remarks: list[Problem]) -> RetryPolicy:
    part.refuse_misspelt(_RETRY_KEYS)
    policy = (part.text("policy") or "constant").strip().lower()
    if policy not in ("constant", "exponential"):
        part.refuse("policy", f"is {quoted(policy)}", "write 'constant' or 'exponential'")
    _read_matching(part.part("matching"), remarks)
    retries = _count(part, "maxRetries", -1, minimum=-_MAX_COUNT)
    return RetryPolicy(
        is_exponential=policy == "exponential",
        duration=_duration(part, "duration", 5.0),
        max_interval=_duration(part, "maxInterval", 60.0),
        max_retries=None if retries < 0 else retries,
    )


def _read_matching(part: Part, remarks: list[Problem]) -> None:
    """Check the codes, and remark that they have no effect, as in Dapr: a store's errors have no such code."""
    part.refuse_misspelt(tuple(_MATCHING))
    for key, (lowest, highest) in _MATCHING.items():
        for code in filter(None, (part.text(key) or "").split(",")):
            match = _CODE_RANGE.fullmatch(code)
            first, last = (int(match[1]), int(match[2] or match[1])) if match else (1, 0)
            if not lowest <= first <= last <= highest:
                advice = f"write codes or ranges from {lowest} to {highest}, separated by commas"
                part.refuse(key, f"{quoted(code)} is neither a code nor a range", advice)
                break
    if part.content:
        message = "has no effect on state stores, as in Dapr: their errors have no such codes"
        remarks.append(warning(part.path, message, "take it out if the policy is for state stores only"))


def _read_breaker(part: Part) -> CircuitBreakerPolicy:
    part.refuse_misspelt(_BREAKER_KEYS)
    trip = part.text("trip")
    condition = None
    if trip is not None and trip.strip():
        try:
            condition = read_condition(trip)
        except InvalidValueError as wrong:
            part.refuse("trip", wrong.message, wrong.advice)
    policy = CircuitBreakerPolicy(
        max_requests=_count(part, "maxRequests", 0) or 1,
        interval=_duration(part, "interval", 0.0),
        timeout=_duration(part, "timeout", 0.0) or 60.0,
    )
    if trip is None or condition is None:
        return policy
    return CircuitBreakerPolicy(policy.max_requests, policy.interval, policy.timeout, trip, condition)


def _read_outbound(part: Part) -> Outbound:
    part.refuse_misspelt(("outbound", "inbound"))
    for key in _NAMES_KEYS:
        if key in part.content:
            part.refuse(key, "is not a field of a component's target", f"write it inside 'outbound:': {key}: ...")
    outbound = part.part("outbound")
    outbound.refuse_misspelt(_NAMES_KEYS)
    timeout, retry, breaker = (outbound.text(key) or None for key in _NAMES_KEYS)
    return Outbound(timeout, retry, breaker)


def _without_effect(targets: Part) -> Iterator[Problem]:
    for key, why in (
        ("apps", "Pannier does not invoke other apps"),
        ("actors", "Pannier does not invoke actors; their state has the policies of its component"),
    ):
        if targets.content.get(key):
            yield warning(targets.path_of(key), f"has no effect, because {why}")


def _duration(part: Part, key: str, default: float) -> float:
    """Return seconds. A whole number without a unit is in milliseconds, as in Dapr."""
    value = part.content.get(key)
    text = scalar_text(value) if not isinstance(value, bool) else None
    if text == "":
        return default
    refuse: Callable[[str], None] = lambda why: part.refuse(  # noqa: E731
        one_line(key), why, "write a number with a unit, such as 500ms or 5s; without a unit, it is in milliseconds"
    )
    if text is None:
        refuse(f"is {kind_of(value)} but should be a duration")
        return default
    try:
        seconds = parse_duration(text, "ms")
    except ValueError:
        refuse(f"{quoted(text)} is not a duration")
        return default
    if seconds < 0:
        refuse(f"{quoted(text)} is less than nothing")
        return default
    return seconds


def _count(part: Part, key: str, default: int, minimum: int = 0) -> int:
    value = part.content.get(key)
    if value is None:
        return default
    if not isinstance(value, int) or isinstance(value, bool):
        part.refuse(
            key, f"is {kind_of(value)} but should be a whole number", f"write it without quotes, as in '{key}: 3'"
        )
        return default
    if not minimum <= value <= _MAX_COUNT:
        part.refuse(key, f"is {one_line(str(value)[:30])}", f"write a number from {max(minimum, -1)} to {_MAX_COUNT}")
        return default
    return value
