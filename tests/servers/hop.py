"""tests/bench/hop.c, built where there is a C compiler: what the benchmark's other servers are measured against."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
from collections.abc import Sequence
from pathlib import Path

from servers.processes import ServerProcess

SOURCE = Path(__file__).parents[1] / "bench" / "hop.c"


class NotBuiltError(Exception):
    """There is no hop; the text says why."""


def build(folder: Path) -> Path:
    """Return the program, compiled into `folder`. Raises NotBuiltError."""
    compiler = shutil.which(os.environ.get("CC") or "cc") or shutil.which("gcc")
    if compiler is None:
        raise NotBuiltError("there is no C compiler; on Debian: sudo apt-get install build-essential")
    program = folder / "hop"
    command = [compiler, "-O2", "-Wall", "-Wextra", "-Werror", str(SOURCE), "-o", str(program)]
    built = subprocess.run(command, capture_output=True, text=True)
    if built.returncode != 0:
        raise NotBuiltError(f"{compiler} does not compile {SOURCE.name}:\n{built.stderr.strip()}")
    return program


class Hop(ServerProcess):
    """A hop to a Redis for one app."""

    def __init__(self, program: Path, folder: Path, redis_port: int, app_id: str):
        self._command = (program, redis_port, app_id)
        super().__init__(folder)

    def command(self) -> Sequence[str | Path]:
        program, redis_port, app_id = self._command
        return [program, str(self.port), str(redis_port), app_id]

    def answers(self) -> object:
        socket.create_connection(("127.0.0.1", self.port), 10).close()
        return True
