"""The table of docs/promises.md: promises, faults, and what was counted when each fault was made."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

PAGE = Path(__file__).resolve().parents[2] / "docs" / "promises.md"
START, END = "<!-- promises: written by `make hostile` -->\n", "<!-- end of promises -->\n"
ADVICE = "docs/promises.md does not have the rows that tests/hostile proves: run 'make hostile'"
HEADER = "| Promised | On | Fault | Times | Counted | Test |\n| --- | --- | --- | --- | --- | --- |\n"


@dataclass(frozen=True)
class Row:
    """One promise that held. `test` is `folder/file::function`, below tests/hostile."""

    promised: str
    on: str
    fault: str
    times: str
    counted: str
    test: str

    @property
    def identity(self) -> tuple[str, str, str, str]:
        """The part that stays the same from run to run."""
        return self.promised, self.on, self.fault, self.test

    def line(self) -> str:
        cells = (self.promised, self.on, self.fault, self.times, self.counted, f"`{self.test}`")
        return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |\n"


def read(page: str) -> list[Row]:
    """Return the rows of the page."""
    table = page.partition(START)[2].partition(END)[0]
    return [_row(line) for line in table.splitlines()[2:]]


def _row(line: str) -> Row:
    *cells, test = [cell.strip().replace("\0", "|") for cell in line.replace("\\|", "\0").strip("|").split("|")]
    promised, on, fault, times, counted = cells
    return Row(promised, on, fault, times, counted, test.strip("`"))


def merged(page: str, proved: Iterable[Row]) -> str:
    """Return the page with the rows of this run; rows of tests that did not run stay as long as their file exists."""
    rows = {row.identity: row for row in read(page)}
    ran = {row.test for row in proved}
    kept = {key: row for key, row in rows.items() if row.test not in ran and _exists(row)}
    kept |= {row.identity: row for row in proved}
    lines = [row.line() for row in sorted(kept.values(), key=lambda row: (row.test, row.on, row.promised, row.fault))]
    before, _, rest = page.partition(START)
    return before + START + HEADER + "".join(lines) + END + rest.partition(END)[2]


def is_current(page: str, proved: Iterable[Row]) -> bool:
    """Return whether the page has every row that this run's tests proved, except for counts, and none of deleted tests.
    It may have more rows: some faults are made only in the long form.
    """
    rows = read(page)
    stated = {row.identity for row in rows}
    return stated >= {row.identity for row in proved} and all(_exists(row) for row in rows)


def _exists(row: Row) -> bool:
    return (Path(__file__).parent / row.test.partition("::")[0]).is_file()


def write(proved: Iterable[Row]) -> None:
    """Write the page again."""
    PAGE.write_text(merged(PAGE.read_text(), list(proved)))
