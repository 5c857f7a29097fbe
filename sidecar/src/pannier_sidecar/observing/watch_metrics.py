"""How many watches there are, and the events that they yield. Imported with the first watch."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Final

from pannier_sidecar.state.watch_events import Beat, Changed, Deleted, Ready, Reset, StateFound

if TYPE_CHECKING:
    from pannier_sidecar.observing.exposition import Labels, Page
    from pannier_sidecar.state.watch_events import WatchEvent

_NAMES: Final[dict[type[WatchEvent], str]] = {
    StateFound: "state",
    Ready: "ready",
    Changed: "change",
    Deleted: "delete",
    Reset: "reset",
    Beat: "beat",
}
"""The events as HTTP names them."""


class WatchMetrics:
    """Counts for all stores. Implements `state.watching.WatchObserver`."""

    def __init__(self) -> None:
        self._watches: dict[str, int] = {}
        self._events: Counter[tuple[str, str]] = Counter()

    def watches_changed(self, store: str, number: int) -> None:
        self._watches[store] = number

    def event_yielded(self, store: str, event: WatchEvent, age: float) -> None:
        self._events[store, _NAMES[type(event)]] += 1

    def write(self, page: Page) -> None:
        watches: list[tuple[Labels, int]] = [
            ((("component", store),), count) for store, count in sorted(self._watches.items())
        ]
        page.family("pannier_state_watches", "gauge", "Watches that are open now.", watches)
        events: list[tuple[Labels, int]] = [
            ((("component", store), ("event", event)), count) for (store, event), count in sorted(self._events.items())
        ]
        page.family("pannier_state_watch_events_total", "counter", "Events that watches have yielded.", events)
