"""The table of docs/promises.md: promises, faults, and what was counted when each fault was made."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

PAGE = Path(__file__).resolve().parents[2] / "docs" / "promises.md"
START, END = "<!-- promises: written by `make hostile` -->\n", "<!-- end of promises -->\n"
ADVICE = "docs/promises.md is not what tests/hostile proves: run these tests with --promises=add, or 'make hostile'"
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
    ran = {row.test for row in proved}
    return _of([row for row in read(page) if row.test not in ran], proved, page)


def completed(page: str, proved: Iterable[Row]) -> str:
    """Return the page with those rows of this run that it lacks; all others stay as they are, also those of other
    stores that the same tests prove, as long as their file exists.
    """
    rows = read(page)
    stated = {row.identity for row in rows}
    return _of(rows, [row for row in proved if row.identity not in stated], page)


def _of(rows: Iterable[Row], proved: Iterable[Row], page: str) -> str:
    """Return the page with these rows and those that this run proved."""
    kept = {row.identity: row for row in rows if _exists(row)}
    kept |= {row.identity: row for row in proved}
    lines = [row.line() for row in sorted(kept.values(), key=lambda row: (row.test, row.on, row.promised, row.fault))]
    before, _, rest = page.partition(START)
    return before + START + HEADER + "".join(lines) + END + rest.partition(END)[2]


def faults_of(page: str, proved: Iterable[Row]) -> list[str]:
    """Return what is wrong with the page, a line each: rows that this run's tests proved and it lacks, except for
    counts, and rows of deleted tests. It may have more rows: some faults are made only in the long form.
    """
    rows = read(page)
    stated = {row.identity for row in rows}
    missing = [f"missing: {row.line()}" for row in proved if row.identity not in stated]
    return missing + [f"of a deleted test: {row.line()}" for row in rows if not _exists(row)]


def _exists(row: Row) -> bool:
    return (Path(__file__).parent / row.test.partition("::")[0]).is_file()


def write(proved: Iterable[Row]) -> None:
    """Write the page again."""
    PAGE.write_text(merged(PAGE.read_text(), list(proved)))


def add(proved: Iterable[Row]) -> None:
    """Write the rows that the page lacks."""
    PAGE.write_text(completed(PAGE.read_text(), list(proved)))
