"""A real PgBouncer in front of a PostgreSQL, from Debian's package, with default settings except for the mode."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from functools import cache
from pathlib import Path

from cluster.tools import ROOT
from servers.database import Settings
from servers.postgresql_server import SUPERUSER, PostgreSQLServer, SQLFailed, as_somebody, own, programs
from servers.processes import ServerProcess

PROGRAM = "/usr/sbin/pgbouncer"
"""Its folder is not in every user's PATH."""
MODES = ("session", "transaction", "statement")


@cache
def program() -> str:
    """Return the program; install it if necessary."""
    subprocess.run([ROOT / "scripts/debian-package", "pgbouncer", "test", "-x", PROGRAM], check=True)
    return PROGRAM


class PgBouncerServer(ServerProcess):
    """A pooler; its settings are in a folder that its user may enter."""

    not_yet = (SQLFailed,)

    def __init__(self, folder: Path, behind: PostgreSQLServer, mode: str, **settings: object):
        """`settings` are lines of its section `pgbouncer`, such as `default_pool_size=1`."""
        self.behind = behind
        self.mode = mode
        self._settings = settings
        self.data = Path(tempfile.mkdtemp(prefix="pannier-pgbouncer-"))
        own(self.data)
        program()
        try:
            super().__init__(folder)
        except BaseException:
            shutil.rmtree(self.data)
            raise

    def command(self) -> Sequence[str | Path]:
        users = self._write("users.txt", f'"{SUPERUSER}" ""\n')
        lines = {
            "listen_addr": "127.0.0.1",
            "listen_port": self.port,
            "unix_socket_dir": "",
            "auth_type": "trust",
            "auth_file": users,
            "admin_users": SUPERUSER,
            "pool_mode": self.mode,
            **self._settings,
        }
        text = "".join(f"{name} = {value}\n" for name, value in lines.items())
        to = f"* = host=127.0.0.1 port={self.behind.port}"
        return [*as_somebody(), program(), self._write("pgbouncer.ini", f"[databases]\n{to}\n[pgbouncer]\n{text}")]

    def _write(self, name: str, text: str) -> Path:
        path = self.data / name
        path.write_text(text)
        own(path)
        return path

    def answers(self) -> object:
        return self.order("SHOW VERSION")

    @property
    def label(self) -> str:
        """Its name and version in promises."""
        version = subprocess.run([program(), "--version"], capture_output=True, text=True).stdout.split()[1]
        return f"{self.behind.label} behind PgBouncer {version.rpartition('.')[0]}, {self.mode} pooling"

    @property
    def settings(self) -> Settings:
        """The settings of a component that reaches PostgreSQL through it."""
        return {"connectionString": f"postgresql://{SUPERUSER}@{self.address}/postgres"}

    def order(self, command: str) -> str:
        """Send the pooler a command (`PAUSE`, `RECONNECT`, `SHOW POOLS` ...) and return its rows."""
        console = f"postgresql://{SUPERUSER}@{self.address}/pgbouncer"
        psql = [str(programs() / "psql"), "-XqAt", f"--dbname={console}", f"--command={command}"]
        done = subprocess.run(psql, capture_output=True, text=True)
        if done.returncode:
            raise SQLFailed(done.stderr)
        return done.stdout

    def end(self) -> None:
        self.kill()
        shutil.rmtree(self.data)


def pooled(folder: Path, behind: PostgreSQLServer, mode: str, **settings: object) -> PgBouncerServer:
    return PgBouncerServer(folder, behind, mode, **settings)
