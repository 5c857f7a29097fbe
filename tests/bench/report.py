"""The figures as an aligned table, and as JSON."""

import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass

from measuring import Figures
from process_stats import Memory

HEAD = ("load", "conns", "server", "req/s", "p50 ms", "p99 ms", "CPU us/req", "Redis us/req", "reads/req", "errors")
MEGABYTE = 1e6


@dataclass(frozen=True)
class Cell:
    operation: str
    connections: int
    server: str
    figures: Figures


@dataclass(frozen=True)
class Standing:
    """A server that has answered once and then has nothing to do."""

    server: str
    memory: Memory
    first_answer: float | None


def table(cells: Iterable[Cell], compare: tuple[str, str] | None) -> str:
    """Lay out the cells; after those of one load, compare the CPU of two servers."""
    groups: dict[tuple[str, int], list[Cell]] = {}
    for cell in cells:
        groups.setdefault((cell.operation, cell.connections), []).append(cell)
    rows: list[Sequence[str]] = [HEAD]
    for group in groups.values():
        rows += [_row(cell) for cell in group]
        if compare:
            rows.append(_ratio(group, *compare))
    return _aligned(rows)


def standing_table(standings: Iterable[Standing]) -> str:
    rows: list[Sequence[str]] = [("idle", "RSS MB", "PSS MB", "first answer s")]
    for each in standings:
        first = "-" if each.first_answer is None else f"{each.first_answer:.3f}"
        rows.append((each.server, f"{each.memory.rss / MEGABYTE:.1f}", f"{each.memory.pss / MEGABYTE:.1f}", first))
    return _aligned(rows)


def as_json(cells: Iterable[Cell], standings: Iterable[Standing]) -> str:
    idle = [asdict(each) | {"memory": each.memory._asdict()} for each in standings]
    return json.dumps({"load": [asdict(cell) for cell in cells], "idle": idle}, indent=2)


def _row(cell: Cell) -> Sequence[str]:
    f = cell.figures
    return (
        cell.operation,
        str(cell.connections),
        cell.server,
        f"{f.requests_per_second:.0f}",
        f"{f.p50 / 1000:.2f}",
        f"{f.p99 / 1000:.2f}",
        f"{f.cpu:.1f}",
        f"{f.redis_cpu:.1f}",
        f"{f.redis_reads:.2f}",
        str(f.errors),
    )


def _ratio(group: Sequence[Cell], first: str, second: str) -> Sequence[str]:
    by_name = {cell.server: cell.figures for cell in group}
    a, b = by_name[first], by_name[second]
    blank = ("", "", f"{first}/{second}")
    return (
        *blank,
        f"{a.requests_per_second / max(b.requests_per_second, 1):.2f}",
        f"{a.p50 / max(b.p50, 1):.2f}",
        f"{a.p99 / max(b.p99, 1):.2f}",
        f"1/{b.cpu / max(a.cpu, 0.001):.1f}",
        f"{a.redis_cpu / max(b.redis_cpu, 0.001):.2f}",
        "",
        "",
    )


def _aligned(rows: Sequence[Sequence[str]]) -> str:
    widths = [max(len(cell) for cell in column) for column in zip(*rows, strict=True)]
    return "\n".join("  ".join(cell.rjust(width) for cell, width in zip(row, widths, strict=True)) for row in rows)
