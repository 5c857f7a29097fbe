"""One row of the table: a load on one server for a while, and the CPU time it cost there and in Redis."""

import json
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median

import grpc_load
from process_stats import cpu, cpu_seconds
from redis import Redis
from under_test import Server

LOAD = Path(__file__).with_name("load.lua")
OVER_GRPC = "gRPC "
KEYS = 1000
VALUE = b'{"name":"Ada Lovelace","address":"12 St James\'s Square, London","orders":[17,4,2026],"active":true}'


@dataclass(frozen=True)
class Figures:
    """What a load cost; times in microseconds."""

    requests_per_second: float
    p50: float
    p99: float
    user: float
    """CPU time of the server per request in user mode."""
    system: float
    """The same in the kernel."""
    cpu: float
    """Both together."""
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

    def version(self) -> str:
        return str(self._client.info("server")["redis_version"])

    def fill(self, app_id: str) -> None:
        """Keep every key of load.lua as Pannier does, for servers that only read."""
        with self._client.pipeline() as pipeline:
            for number in range(KEYS):
                pipeline.hset(f"{app_id}||k{number}", mapping={"data": VALUE, "version": 1})
            pipeline.execute()


def measure(server: Server, redis: RedisUnderTest, operation: str, connections: int, seconds: float) -> Figures:
    """Load `server` with one operation. Raises RuntimeError or OSError where that cannot be done."""
    before, redis_before, reads = cpu(server.pid), redis.cpu_seconds(), redis.reads()
    if operation.startswith(OVER_GRPC):
        result = grpc_load.load(server.grpc_port, operation.removeprefix(OVER_GRPC), connections, seconds)
    else:
        result = wrk(server.store_url, operation, connections, max(1, round(seconds)))
    user, system = cpu(server.pid).since(before)
    redis_cpu, reads = redis.cpu_seconds() - redis_before, redis.reads() - reads
    requests = max(result["requests"], 1)
    return Figures(
        requests_per_second=result["requests"] / result["us"] * 1e6,
        p50=result["p50_us"],
        p99=result["p99_us"],
        user=user / requests * 1e6,
        system=system / requests * 1e6,
        cpu=(user + system) / requests * 1e6,
        redis_cpu=redis_cpu / requests * 1e6,
        redis_reads=reads / requests,
        errors=result["errors"],
    )


def middle(rounds: Sequence[Figures]) -> Figures:
    """Return the median of each figure; user and system are those of the median of their sum. Errors are added up."""
    figures = {name: median(getattr(each, name) for each in rounds) for name in Figures.__dataclass_fields__}
    in_kernel = sum(each.system for each in rounds) / (sum(each.cpu for each in rounds) or 1)
    figures |= {"system": figures["cpu"] * in_kernel, "user": figures["cpu"] * (1 - in_kernel)}
    return Figures(**figures | {"errors": sum(each.errors for each in rounds)})


def wrk(url: str, operation: str, connections: int, seconds: int) -> dict[str, int]:
    """Load a store's URL; return what load.lua counted. Raises RuntimeError where wrk fails."""
    command = ["wrk", "-t1", f"-c{connections}", f"-d{seconds}s", "-s", str(LOAD), url, "--", operation]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=seconds + 60)
    for line in ended.stdout.splitlines():
        if line.startswith("RESULT "):
            result: dict[str, int] = json.loads(line.removeprefix("RESULT "))
            return result
    raise RuntimeError(f"{' '.join(command)} failed:\n{ended.stdout}{ended.stderr}")
