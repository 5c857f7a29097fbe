"""One cell of the table: wrk's load on one server for a while, and the CPU time it cost there and in Redis."""

import json
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from process_stats import cpu_seconds
from redis import Redis
from under_test import Server

LOAD = Path(__file__).with_name("load.lua")


@dataclass(frozen=True)
class Figures:
    """What a load cost; times in microseconds."""

    requests_per_second: float
    p50: float
    p99: float
    cpu: float
    """CPU time of the server per request."""
    redis_cpu: float
    redis_reads: float
    """How often Redis read from a socket, per request: trips, less those that share a write."""
    errors: int


class RedisUnderTest:
    """The Redis behind the servers: its CPU time and its count of reads."""

    def __init__(self, port: int, pid: int) -> None:
        self.port = port
        self._pid = pid
        self._client = Redis(port=port)

    def cpu_seconds(self) -> float:
        return cpu_seconds(self._pid)

    def reads(self) -> int:
        return int(self._client.info("stats")["total_reads_processed"])


def measure(server: Server, redis: RedisUnderTest, operation: str, connections: int, seconds: int) -> Figures:
    """Load `server` with one `operation` of load.lua. Raises RuntimeError where wrk fails."""
    before = cpu_seconds(server.pid), redis.cpu_seconds(), redis.reads()
    result = wrk(server.store_url, operation, connections, seconds)
    after = cpu_seconds(server.pid), redis.cpu_seconds(), redis.reads()
    requests = max(result["requests"], 1)
    cpu, redis_cpu, reads = (late - early for early, late in zip(before, after, strict=True))
    return Figures(
        requests_per_second=result["requests"] / result["us"] * 1e6,
        p50=result["p50_us"],
        p99=result["p99_us"],
        cpu=cpu / requests * 1e6,
        redis_cpu=redis_cpu / requests * 1e6,
        redis_reads=reads / requests,
        errors=result["errors"],
    )


def middle(rounds: Sequence[Figures]) -> Figures:
    """Return the median of each figure; errors are added up."""
    figures = {name: median(getattr(each, name) for each in rounds) for name in Figures.__dataclass_fields__}
    return Figures(**figures | {"errors": sum(each.errors for each in rounds)})


def wrk(url: str, operation: str, connections: int, seconds: int) -> dict[str, int]:
    """Load a store's URL; return what load.lua counted. Raises RuntimeError where wrk fails."""
    command = ["wrk", "-t1", f"-c{connections}", f"-d{seconds}s", "-s", str(LOAD), url, "--", operation]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=seconds + 30)
    for line in ended.stdout.splitlines():
        if line.startswith("RESULT "):
            result: dict[str, int] = json.loads(line.removeprefix("RESULT "))
            return result
    raise RuntimeError(f"{' '.join(command)} failed:\n{ended.stdout}{ended.stderr}")
