"""What several Resiliency objects say together: the policies of each state store, and names that nothing defines.

Of two definitions with the same name, the later one counts, as in Dapr.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from pannier_crds.problems import error, listed, quoted, warning
from pannier_crds.resiliency import CircuitBreakerPolicy, Outbound, Resiliency, RetryPolicy
from pannier_crds.suggestions import closest

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Mapping

    from pannier_crds.problems import Problem

_BUILT_IN_RETRIES: Final[Mapping[str, RetryPolicy]] = {
    "DaprBuiltInServiceRetries": RetryPolicy(duration=1.0, max_retries=3),
    "DaprBuiltInActorRetries": RetryPolicy(duration=1.0, max_retries=3),
    "DaprBuiltInActorReminderRetries": RetryPolicy(is_exponential=True),
    "DaprBuiltInInitializationRetries": RetryPolicy(is_exponential=True, max_retries=3, max_elapsed=10.0),
    "DaprBuiltInActorNotFoundRetries": RetryPolicy(duration=1.0, max_retries=5),
}
"""Policies that Dapr always has; a target may name them."""
_MAX_SUGGESTED: Final = 10
"""How many unknown names of one object are compared with all known ones, which takes time."""
_PROTECTED: Final = "DaprBuiltInActorNotFoundRetries"
_MIN_BUILT_IN_RETRIES: Final = 3
_DEFAULTS: Final = ("DefaultStatestoreComponentOutbound", "DefaultComponentOutbound", "DefaultComponent", "Default")
"""Beginnings of the names of the policies for components that no target names; the first that exists counts."""


@dataclass(frozen=True, slots=True)
class StorePolicies:
    """The policies of one state store."""

    timeout: float | None = None
    """Seconds for one attempt."""
    retry: RetryPolicy | None = None
    circuit_breaker: CircuitBreakerPolicy | None = None
    origin: tuple[str, str] = ("", "")
    """Name and namespace of the last Resiliency that was read, which metrics show as Dapr does."""
    names: Outbound = Outbound()
    """How the policies are called."""


class Policies:
    """The policies of several objects, in the order in which they were read."""

    def __init__(self, objects: Iterable[Resiliency]) -> None:
        self._timeouts: dict[str, float] = {}
        self._retries = dict(_BUILT_IN_RETRIES)
        self._breakers: dict[str, CircuitBreakerPolicy] = {}
        self._components: dict[str, Outbound] = {}
        self._origin = ("", "")
        for each in objects:
            self._timeouts.update(each.timeouts)
            self._retries.update((name, _allowed(name, policy)) for name, policy in each.retries.items())
            self._breakers.update(each.circuit_breakers)
            self._components.update(each.components)
            self._origin = (each.name, each.namespace or "")

    def of_store(self, name: str) -> StorePolicies | None:
        """Return the policies for a state store; None if none applies to it."""
        names = self._components.get(name) or Outbound(
            _default("Timeout", self._timeouts),
            _default("Retry", self._retries),
            _default("CircuitBreaker", self._breakers),
        )
        found = StorePolicies(
            self._timeouts.get(names.timeout or "") or None,
            self._retries.get(names.retry or ""),
            self._breakers.get(names.circuit_breaker or ""),
            self._origin,
            names,
        )
        return found if found.timeout or found.retry or found.circuit_breaker else None

    def unknown_names(self, target: Resiliency) -> Iterator[Problem]:
        """Yield an error for each policy that an object's targets name and that none of the objects defines."""
        known: tuple[tuple[str, str, Mapping[str, object]], ...] = (
            ("timeout", "timeouts", self._timeouts),
            ("retry", "retries", self._retries),
            ("circuitBreaker", "circuitBreakers", self._breakers),
        )
        suggestions = 0
        for component, names in target.components.items():
            written = (names.timeout, names.retry, names.circuit_breaker)
            for (key, section, defined), name in zip(known, written, strict=True):
                if name is not None and name not in defined:
                    own = [each for each in defined if each not in _BUILT_IN_RETRIES]
                    match = closest(name, defined) if suggestions < _MAX_SUGGESTED else None
                    suggestions += 1
                    advice = f"write {quoted(match)}" if match else f"define it under spec.policies.{section}"
                    if not match and 0 < len(own) <= 10:
                        advice += f", or write {listed(own, 'or')}"
                    path = f"spec.targets.components.{component}.outbound.{key}"
                    yield error(path, f"there is no policy {quoted(name)}", advice)


def remarks_among(target: Resiliency, stores: Collection[str], components: Collection[str]) -> Iterator[Problem]:
    """Yield a warning for each target whose name nearly is that of a state store, and is not that of any component."""
    others = [name for name in target.components if name not in components]
    for name in others[:_MAX_SUGGESTED]:
        if match := closest(name, stores):
            message = f"there is no component {quoted(name)}, so the target has no effect"
            yield warning(f"spec.targets.components.{name}", message, f"write {quoted(match)}")


def remarks_on_built_in(target: Resiliency) -> Iterator[Problem]:
    """Yield a warning for each definition that Dapr does not take as written."""
    for name, policy in target.retries.items():
        path = f"spec.policies.retries.{name}"
        if name == _PROTECTED:
            yield warning(path, "is not used, because Dapr's own policy of this name stays", "give it another name")
        elif _allowed(name, policy) != policy:
            message = f"has {_MIN_BUILT_IN_RETRIES} retries, because Dapr's own policies have no fewer"
            yield warning(f"{path}.maxRetries", message, f"write {_MIN_BUILT_IN_RETRIES}, or give it another name")


def _allowed(name: str, policy: RetryPolicy) -> RetryPolicy:
    """Return the policy that counts under a name: Dapr's own policies can be changed in part only."""
    if name == _PROTECTED:
        return _BUILT_IN_RETRIES[name]
    too_few = policy.max_retries is not None and policy.max_retries < _MIN_BUILT_IN_RETRIES
    if name in _BUILT_IN_RETRIES and too_few:
        return replace(policy, max_retries=_MIN_BUILT_IN_RETRIES)
    return policy


def _default(sort: str, defined: Mapping[str, object]) -> str | None:
    return next((name for name in (f"{begin}{sort}Policy" for begin in _DEFAULTS) if name in defined), None)
