"""What each store has passed in the suite, topic by topic."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator

from servers.database import Database

from pannier_sidecar.state.feeds import ChangesBy

CHANGES = "changes"
"""The topic whose column says how changes become known: push, poll or none."""
CAPABILITIES = ("ETags", "transactions", "TTL", "listing keys", CHANGES)
"""Topics that have their own column."""
THE_REST = "the rest"
"""Values, keys, bulk calls, concurrency, opening and closing, random sequences of calls."""
PROVED, FAILED, NOT_CLAIMED = "yes", "**fails**", "no"
BEHAVES_LIKE = {"real": "", "emulator": " (emulator)", "fake": " (a fake of ours)"}
HEAD = ("Store", "Type", "Tried with", *CAPABILITIES, THE_REST)


class Matrix:
    """Outcomes of tests by store and topic."""

    def __init__(self, databases: Iterable[Database]) -> None:
        self._databases = tuple(databases)
        self._outcomes: dict[str, dict[str, set[str]]] = defaultdict(lambda: defaultdict(set))
        self.versions: dict[str, str] = {}

    def note(self, store: str, topic: str, outcome: str) -> None:
        """Record a test's outcome: passed, failed or skipped."""
        self._outcomes[store][topic if topic in CAPABILITIES else THE_REST].add(outcome)

    def rows(self) -> list[tuple[str, ...]]:
        """The results, one row for each database, in the columns of HEAD."""
        return [tuple(self._row(database)) for database in self._databases if database.name in self._outcomes]

    def _row(self, database: Database) -> Iterator[str]:
        yield database.title
        version = "" if database.store_version == "v1" else f" {database.store_version}"
        yield f"`{database.store_type}`{version}"
        yield self.versions[database.name] + BEHAVES_LIKE[database.made_by]
        for topic in (*CAPABILITIES, THE_REST):
            cell = _cell(self._outcomes[database.name][topic])
            if topic == CHANGES and cell != FAILED:
                cell = (database.changes_by if cell == PROVED else ChangesBy.NONE).value
            remark = database.remarks.get(topic)
            yield f"{cell}, {remark}" if remark and cell not in (FAILED, NOT_CLAIMED) else cell


def _cell(outcomes: set[str]) -> str:
    if "failed" in outcomes:
        return FAILED
    return PROVED if "passed" in outcomes else NOT_CLAIMED
