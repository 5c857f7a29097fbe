"""What the caches of stores do, for the page of metrics. Imported only where a store has a cache."""

from __future__ import annotations

from time import monotonic
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from pannier_sidecar.observing.exposition import Labels, Page
    from pannier_sidecar.state.cached_values import CacheCounts

_FAMILIES: Final[tuple[tuple[str, str, str, Callable[[CacheCounts], float]], ...]] = (
    ("hits_total", "counter", "Reads that were answered from memory.", lambda counts: counts.hits),
    ("misses_total", "counter", "Eventual reads that were not.", lambda counts: counts.misses),
    ("invalidations_total", "counter", "Values dropped because they changed.", lambda counts: counts.invalidations),
    ("evictions_total", "counter", "Values dropped to make room.", lambda counts: counts.evictions),
    (
        "resets_total",
        "counter",
        "Times that all was dropped: changes may have been missed.",
        lambda counts: counts.resets,
    ),
    ("size_bytes", "gauge", "Memory that the values take.", lambda counts: counts.size),
    ("keys", "gauge", "Values in memory.", lambda counts: counts.keys),
)


def write_caches(page: Page, caches: Mapping[str, CacheCounts]) -> None:
    """Write what each store's cache counts."""
    labels: dict[str, Labels] = {store: (("component", store),) for store in sorted(caches)}
    for name, kind, meaning, value in _FAMILIES:
        rows = [(labels[store], value(caches[store])) for store in labels]
        page.family(f"pannier_state_cache_{name}", kind, meaning, rows)
    ages = [(labels[store], monotonic() - caches[store].proven_at) for store in labels if caches[store].proven_at]
    age = "Seconds since it was last certain that no change was missed; absent while it is not."
    page.family("pannier_state_cache_age_seconds", "gauge", age, ages)
