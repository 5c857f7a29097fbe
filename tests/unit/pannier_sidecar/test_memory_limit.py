"""The memory limit of a process is found as the kernel and container runtimes show it."""

from __future__ import annotations

from pathlib import Path

from unit.tables import each_row

from pannier_sidecar.memory_limit import memory_limit
from pannier_sidecar.settings import LimitSettings

MIB = 1024 * 1024
V1 = "sys/fs/cgroup/memory"
ROWS = {
    "a container, version 2": ("0::/", {"sys/fs/cgroup/memory.max": "134217728\n"}, 128),
    "no limit, version 2": ("0::/", {"sys/fs/cgroup/memory.max": "max\n"}, None),
    "a group around it has the limit": (
        "0::/pod/c", {"sys/fs/cgroup/pod/c/memory.max": "max\n", "sys/fs/cgroup/pod/memory.max": "67108864\n"}, 64,
    ),
    "the smaller one counts": (
        "0::/pod/c", {"sys/fs/cgroup/pod/c/memory.max": "67108864\n", "sys/fs/cgroup/pod/memory.max": "134217728"}, 64,
    ),
    "version 1": (
        "9:cpu:/c\n4:memory:/c\n0::/",
        {f"{V1}/c/memory.limit_in_bytes": "134217728", f"{V1}/memory.limit_in_bytes": str(2**63 - 4096)},
        128,
    ),
    "version 1, the path is that on the host": ("4:memory:/pod/c", {f"{V1}/memory.limit_in_bytes": "67108864"}, 64),
    "another controller": ("9:cpu,cpuacct:/", {"sys/fs/cgroup/memory.max": "1"}, None),
    "a path that leads out": ("0::/../../x", {"x/memory.max": "1"}, None),
    "no text that is a number": ("0::/", {"sys/fs/cgroup/memory.max": "?"}, None),
    "nothing": ("", {}, None),
    "broken lines": ("0\n:\n::", {}, None),
}  # fmt: skip


@each_row(("groups", "files", "mib"), ROWS)
def test_the_limit_is_the_smallest_of_all_groups(
    tmp_path_factory, groups: str, files: dict[str, str], mib: int | None
) -> None:
    root = tmp_path_factory.mktemp("root")
    for path, text in {"proc/self/cgroup": groups, **files}.items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text(text)
    assert memory_limit(root) == (None if mib is None else mib * MIB)


def test_without_control_groups_there_is_no_limit(tmp_path: Path) -> None:
    assert memory_limit(tmp_path) is None


@each_row(
    ("memory", "body", "all_bodies", "items", "connections"),
    (
        (None, 4, 64, 40_000, None),
        (None, 32, 128, 40_000, None),
        (1024, 4, 64, 40_000, 12_595),
        (128, 4, 44, 22_528, 1_126),
        (64, 4, 12, 10_000, 307),
        (32, 4, 8, 10_000, 256),
        (128, 64, 128, 22_528, 1_126),
    ),
)
def test_what_is_held_follows_the_memory(
    memory: int | None, body: int, all_bodies: int, items: int, connections: int | None
) -> None:
    limits = LimitSettings(memory=memory and memory * MIB, max_body_size=body * MIB)
    assert (limits.all_bodies, limits.items_together) == (all_bodies * MIB, items)
    assert connections is None or limits.connections == connections
