"""The table of stores in the README: only what the suite has proved."""

from __future__ import annotations

from pathlib import Path

from conformance.matrix import HEAD, Matrix

PAGE = Path(__file__).parents[2] / "README.md"
START, END = "<!-- stores: written by `make store-table` -->\n", "<!-- end of stores -->\n"
ADVICE = "README.md's table of stores says something else than was proved: run 'make store-table'"
TRIED_WITH = HEAD.index("Tried with")


def write(matrix: Matrix) -> None:
    before, rest = PAGE.read_text().split(START)
    PAGE.write_text(before + START + _table(matrix) + END + rest.split(END)[1])


def is_current(matrix: Matrix) -> bool:
    """Return whether the page agrees with the results. Versions are those of the machine that wrote it: they may
    differ.
    """
    written = PAGE.read_text().split(START)[1].split(END)[0]
    rows = [tuple(map(str.strip, line.strip("|").split("|"))) for line in written.splitlines()[2:]]
    return [_without_version(row) for row in rows] == [_without_version(row) for row in matrix.rows()]


def _table(matrix: Matrix) -> str:
    lines = [HEAD, ("---",) * len(HEAD), *matrix.rows()]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def _without_version(row: tuple[str, ...]) -> tuple[str, ...]:
    return row[:TRIED_WITH] + row[TRIED_WITH + 1 :]
