"""The table of what the suite has seen each store do."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping

PROVED, FAILED, NOT_CLAIMED = "yes", "**fails**", "no"


class Matrix:
    """Outcomes of tests by store and topic."""

    def __init__(self) -> None:
        self._outcomes: dict[str, dict[str, set[str]]] = defaultdict(lambda: defaultdict(set))
        self.versions: dict[str, str] = {}

    def note(self, store: str, topic: str, outcome: str) -> None:
        """Take note of a test's outcome: passed, failed or skipped."""
        self._outcomes[store][topic].add(outcome)

    def as_markdown(self) -> str:
        topics = list(dict.fromkeys(topic for outcomes in self._outcomes.values() for topic in outcomes))
        rows = [["Store", "Tried with", *topics], ["---"] * (len(topics) + 2)]
        rows += [[store, self.versions[store], *_cells(found, topics)] for store, found in self._outcomes.items()]
        return "".join(f"| {' | '.join(row)} |\n" for row in rows)


def _cells(found: Mapping[str, set[str]], topics: list[str]) -> list[str]:
    return [_cell(found.get(topic, {"skipped"})) for topic in topics]


def _cell(outcomes: set[str]) -> str:
    if "failed" in outcomes:
        return FAILED
    return PROVED if "passed" in outcomes else NOT_CLAIMED
