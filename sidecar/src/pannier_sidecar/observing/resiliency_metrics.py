"""What the policies of a Resiliency do, counted under the names and labels that Dapr 1.18 gives them.

Imported only where there is a Resiliency.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable

    from pannier_sidecar.observing.exposition import Labels, Page

_STATES: Final = ("closed", "half-open", "open", "unknown")

Origin = tuple[str, str]
"""Name and namespace of a Resiliency."""
_Slot = tuple[Origin, str, str, str]
"""Origin, store, policy and status."""


class ResiliencyMetrics:
    """What one sidecar counts of all its policies."""

    def __init__(self) -> None:
        self.loaded: Counter[Origin] = Counter()
        """How often an object was read with new content."""
        self.used: Counter[_Slot] = Counter()
        self.activated: Counter[_Slot] = Counter()
        self.breakers: dict[tuple[Origin, str], Callable[[], str]] = {}
        """The function that returns the state of a store's breaker."""

    def of_store(self, store: str, origin: Origin) -> StoreMetrics:
        return StoreMetrics(self, store, origin)

    def write(self, page: Page) -> None:
        loaded: list[tuple[Labels, int]] = [(_origin(origin), count) for origin, count in sorted(self.loaded.items())]
        page.family("dapr_resiliency_loaded", "counter", "Resiliency objects read.", loaded)
        for name, meaning, counts in (
            ("dapr_resiliency_count", "Attempts of calls under a policy.", self.used),
            ("dapr_resiliency_activations_total", "Times that a policy took effect.", self.activated),
        ):
            rows = [(_labels(*slot), count) for slot, count in sorted(counts.items())]
            page.family(name, "counter", meaning, rows)
        states: list[tuple[Labels, int]] = []
        for (origin, store), state in sorted(self.breakers.items()):
            current = state()
            states += [(_labels(origin, store, "circuitbreaker", each), int(each == current)) for each in _STATES]
        page.family("dapr_resiliency_cb_state", "gauge", "The state of a breaker: 1 for the current one.", states)


class StoreMetrics:
    """Counts for one store. Implements `loading.guarded_store.PolicyMetrics`."""

    def __init__(self, metrics: ResiliencyMetrics, store: str, origin: Origin):
        self._metrics = metrics
        self._store = store
        self._origin = origin

    def used(self, policy: str, status: str = "") -> None:
        self._metrics.used[self._origin, self._store, policy, status] += 1

    def activated(self, policy: str, status: str = "") -> None:
        self._metrics.activated[self._origin, self._store, policy, status] += 1

    def watch(self, state: Callable[[], str] | None) -> None:
        breakers = self._metrics.breakers
        for slot in [slot for slot in breakers if slot[1] == self._store]:
            del breakers[slot]
        if state is not None:
            breakers[self._origin, self._store] = state


def _origin(origin: Origin) -> Labels:
    name, namespace = origin
    return (("name", name), *((("namespace", namespace),) if namespace else ()))


def _labels(origin: Origin, store: str, policy: str, status: str) -> Labels:
    return (
        ("flow_direction", "outbound"),
        *_origin(origin),
        ("policy", policy),
        *((("status", status),) if status else ()),
        ("target", f"Statestore_{store}"),
    )
