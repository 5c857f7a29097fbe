"""The first process of the node's namespaces: starts the programs of FOLDER/programs.json and keeps them running.

It runs as `unshare --mount --net --pid ... python supervisor.py FOLDER`. When it ends, the kernel ends every process of
the node, containers too, and takes its mounts, interfaces and firewall rules away: there is nothing to clean up.
"""

import json
import os
import subprocess
import sys
import time
from pathlib import Path

RESTART_DELAY_S = 0.5
MOUNTED_OVER = ("/run", "/var/log", "/var/lib/kubelet")
"""Folders that programs always write to: inside, each is an empty folder in memory."""


def main(folder: Path) -> None:
    for place in MOUNTED_OVER:
        Path(place).mkdir(parents=True, exist_ok=True)
        subprocess.run(["mount", "-t", "tmpfs", "tmpfs", place], check=True)
    Path("/run/netns").mkdir()
    Path("/proc/sys/net/ipv4/ip_forward").write_text("1")
    programs = folder / "programs.json"
    while not programs.exists():  # it is written when the network is ready
        time.sleep(0.01)
    supervise(json.loads(programs.read_text()), folder / "logs")


def supervise(commands: dict[str, list[str]], logs: Path) -> None:
    """Run every command for ever, and reap orphaned processes of containers, as the first process must."""
    running = {start(command, logs / f"{name}.log"): name for name, command in commands.items()}
    while True:
        pid, _ = os.wait()
        if name := running.pop(pid, None):
            time.sleep(RESTART_DELAY_S)
            running[start(commands[name], logs / f"{name}.log")] = name


def start(command: list[str], log: Path) -> int:
    pid = os.fork()
    if pid:
        return pid
    output = os.open(log, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
    os.dup2(output, 1)
    os.dup2(output, 2)
    try:
        os.execvp(command[0], command)
    finally:
        os.write(2, f"{command[0]} cannot be started\n".encode())
        os._exit(127)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
