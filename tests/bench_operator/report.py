"""The results, as text."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field

from bench.process_stats import Memory
from bench_operator.admission import Times
from bench_operator.objects import PODS_OF_AN_APP, Size

MEGABYTE = 1e6
CHANGES = 20


@dataclass
class Figures:
    """Filled phase by phase. Times in seconds."""

    size: Size
    pods_seconds: float = 0.0
    pods_missed: int = 0
    """Pods that had to be created again, because the webhook had not answered within its timeout."""
    components_seconds: float = 0.0
    ready_seconds: float = 0.0
    """From the first Component's creation until every condition of every one was true."""
    ready_cpu: float = 0.0
    ready_calls: Counter[str] = field(default_factory=Counter)
    change_seconds: float = 0.0
    change_calls: Counter[str] = field(default_factory=Counter)
    secret_calls: Counter[str] = field(default_factory=Counter)
    admission: list[Times] = field(default_factory=list)
    start_seconds: float = 0.0
    rest_seconds: float = 0.0
    rest_cpu: float = 0.0
    rest_calls: Counter[str] = field(default_factory=Counter)
    memory: Memory = Memory(0, 0)


def text(figures: Figures) -> str:
    return "\n".join(_lines(figures))


def _lines(f: Figures) -> Iterator[str]:
    size = f.size
    yield f"{size.components} Components, {size.pods} annotated pods, {size.namespaces} namespaces"
    yield ""
    for times in f.admission:
        what = f"admission of {times.what}, {times.at_once} at once"
        yield _line(what, f"p50 {times.p50:.1f} ms, p99 {times.p99:.1f} ms; {times.cpu:.1f} ms of CPU")
    yield _line(
        "creating the pods",
        f"{f.pods_seconds:.1f} s, {size.pods / f.pods_seconds:.0f} a second; {f.pods_missed} not injected in time",
    )
    yield _line("creating the Components", f"{f.components_seconds:.1f} s")
    yield _line("  until every condition is true", f"{f.ready_seconds:.1f} s, {f.ready_cpu:.1f} s of CPU")
    yield _line("  API calls for each", _calls(f.ready_calls, size.components))
    apps = size.pods / size.namespaces / PODS_OF_AN_APP
    yield _line(
        "changing a Component", f"{f.change_seconds:.1f} s; {apps:g} apps see it, in {apps * PODS_OF_AN_APP:g} pods"
    )
    yield _line("  API calls", _calls(f.change_calls, CHANGES))
    yield _line("changing a Secret that all refer to", "the same apps")
    yield _line("  API calls", _calls(f.secret_calls, 1))
    yield _line("start until ready", f"{f.start_seconds:.1f} s")
    yield _line("memory at rest", f"RSS {f.memory.rss / MEGABYTE:.0f} MB, PSS {f.memory.pss / MEGABYTE:.0f} MB")
    yield _line("CPU at rest", f"{f.rest_cpu / f.rest_seconds * 1e3:.1f} ms a second")
    yield _line("API calls at rest", f"{_calls(f.rest_calls, 1)} in {f.rest_seconds:g} s")


def _line(what: str, found: str) -> str:
    return f"{what:58} {found}"


def _calls(calls: Counter[str], changes: int) -> str:
    if not calls:
        return "none"
    named = ", ".join(f"{name} {count / changes:.3g}" for name, count in calls.most_common())
    return f"{calls.total() / changes:.3g} ({named})"
