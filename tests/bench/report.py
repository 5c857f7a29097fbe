"""The figures as tables of at most a hundred columns, which grow while the load runs, and as JSON."""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass

from measuring import Figures
from process_stats import Memory

RULER = "hop"
PLAIN = ("plain", "grpcio")
"""The services written the plain way, over HTTP and over gRPC."""
HEAD = ("load", "server", "calls/s", "p50", "p99", "user", "system", "CPU", "/hop", "/plain", "Redis", "reads")
WIDTHS = (15, 7, 7, 6, 6, 6, 6, 6, 6, 6, 5, 5)
LEGEND = """\
p50, p99: milliseconds. user, system, CPU: microseconds of the server's CPU time for each call, in user mode, in the
kernel, and both. /hop: CPU against the hop's, a C program that only gets (docs/benchmark.md); beside other calls it
does a get too. /plain: CPU against the plain service's, over gRPC grpcio's. Redis: microseconds of Redis' CPU time.
reads: how often Redis read from a socket; calls that share a write share a read."""
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


class Table:
    """Lays out what one load cost each server, load after load."""

    def __init__(self, names: Iterable[str]):
        longest = max((len(name) for name in names), default=0)
        self._widths = (WIDTHS[0], max(WIDTHS[1], longest), *WIDTHS[2:])

    def head(self) -> str:
        return self._line(HEAD)

    def rows(self, group: Sequence[Cell]) -> Iterator[str]:
        """Yield a row for each server."""
        cpu = {cell.server: cell.figures.cpu for cell in group}
        plain = next((cpu[name] for name in PLAIN if name in cpu), None)
        title = f"{group[0].operation} at {group[0].connections}" if group else ""
        for cell in group:
            errors = f"  {cell.figures.errors} errors" if cell.figures.errors else ""
            yield self._line((title, cell.server, *_columns(cell.figures, cpu.get(RULER), plain))) + errors
            title = ""

    def _line(self, columns: Sequence[str]) -> str:
        first, *others = zip(columns, self._widths, strict=True)
        line = [first[0].ljust(first[1]), *(column.rjust(width) for column, width in others)]
        return "  ".join(line).rstrip()


def _columns(figures: Figures, ruler: float | None, plain: float | None) -> Iterator[str]:
    yield f"{figures.requests_per_second:.0f}"
    yield f"{figures.p50 / 1000:.2f}"
    yield f"{figures.p99 / 1000:.2f}"
    yield f"{figures.user:.1f}"
    yield f"{figures.system:.1f}"
    yield f"{figures.cpu:.1f}"
    yield f"{figures.cpu / ruler:.1f}x" if ruler else "-"
    yield f"{figures.cpu / plain:.2f}x" if plain else "-"
    yield f"{figures.redis_cpu:.1f}"
    yield f"{figures.redis_reads:.2f}"


def standing_table(standings: Iterable[Standing]) -> str:
    rows: list[Sequence[str]] = [("idle", "RSS MB", "PSS MB", "first answer s")]
    for each in standings:
        first = "-" if each.first_answer is None else f"{each.first_answer:.3f}"
        rows.append((each.server, f"{each.memory.rss / MEGABYTE:.1f}", f"{each.memory.pss / MEGABYTE:.1f}", first))
    widths = [max(len(cell) for cell in column) for column in zip(*rows, strict=True)]
    return "\n".join("  ".join(cell.rjust(width) for cell, width in zip(row, widths, strict=True)) for row in rows)


def as_json(tables: Mapping[str, Iterable[Cell]], standings: Iterable[Standing]) -> str:
    idle = [asdict(each) | {"memory": each.memory._asdict()} for each in standings]
    return json.dumps(
        {name: [asdict(cell) for cell in cells] for name, cells in tables.items()} | {"idle": idle}, indent=2
    )
