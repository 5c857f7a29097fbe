"""Real MariaDB servers on free ports of the loopback interface, from Debian's packages. Debian has no MySQL."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cache, partial
from pathlib import Path
from typing import Any

import pymysql
from cluster.tools import ROOT
from pymysql.cursors import Cursor
from servers.database import Database, ProxySetup, Server, Settings, as_address
from servers.processes import ServerProcess

SCHEMA = "dapr_state_store"
_USER = "mysql"
_OPTIONS = (
    "--bind-address=127.0.0.1",
    "--skip-log-bin",
    "--innodb-flush-log-at-trx-commit=2",  # outlives the server, but not its machine
    "--innodb-buffer-pool-size=64M",
    "--performance-schema=OFF",
    "--character-set-server=utf8mb4",
    # Not UTC, and with a summer time: the store must not depend on it.
    "--default-time-zone=-03:30",
)


@cache
def program() -> str:
    """Return the server's program; installs it if need be."""
    found = _program("mariadbd")
    if found is None:
        subprocess.run([ROOT / "scripts/debian-package", "mariadb-server", "false"], check=True)
        found = _program("mariadbd")
    assert found, "the package mariadb-server is installed and has no program mariadbd"
    return found


def _program(name: str) -> str | None:
    return shutil.which(name) or shutil.which(name, path="/usr/sbin:/usr/bin")


def _own(path: Path) -> None:
    """Give a folder to the server's user: the server refuses to run as root."""
    if os.geteuid() == 0:
        shutil.chown(path, _USER, _USER)


@cache
def _template() -> Path:
    """Return a data folder to copy from: making one takes seconds."""
    program()
    folder = Path(tempfile.mkdtemp(prefix="pannier-mysql-template-"))
    data = folder / "data"
    data.mkdir()
    _own(folder)
    _own(data)
    install = _program("mariadb-install-db")
    assert install
    options = ["--no-defaults", f"--datadir={data}", "--auth-root-authentication-method=normal", "--skip-test-db"]
    as_user = [f"--user={_USER}"] if os.geteuid() == 0 else []
    small = ["--innodb-log-file-size=4M"]
    subprocess.run([install, *options, *as_user, *small], check=True, capture_output=True, cwd="/")
    import atexit

    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return data


class MySQLServer(ServerProcess):
    """A separate server, with its data in a folder that its user may enter."""

    not_yet = (pymysql.MySQLError, OSError)

    def __init__(self, folder: Path, *options: str):
        """`options` are flags of mariadbd, such as `--max-connections=5`."""
        self._options = options
        # Not in `folder`: if we are root, others may not enter the folders of the tests.
        self.data = Path(tempfile.mkdtemp(prefix="pannier-mysql-"))
        _own(self.data)
        subprocess.run(["cp", "-a", "--reflink=auto", _template(), self.data / "data"], check=True)
        try:
            super().__init__(folder)
        except BaseException:
            shutil.rmtree(self.data)
            raise

    def command(self) -> Sequence[str | Path]:
        files = [f"--datadir={self.data / 'data'}", f"--socket={self.socket}", f"--pid-file={self.data / 'pid'}"]
        as_user = [f"--user={_USER}"] if os.geteuid() == 0 else []
        small = ["--innodb-log-file-size=4M"]
        return [program(), "--no-defaults", *as_user, *files, f"--port={self.port}", *_OPTIONS, *small, *self._options]

    @property
    def socket(self) -> Path:
        """Its Unix socket."""
        return self.data / "socket"

    def answers(self) -> object:
        return self.sql("SELECT 1") == ((1,),)

    @property
    def settings(self) -> Settings:
        """The settings of a component that reaches it as its administrator."""
        return {"connectionString": self.dsn()}

    def dsn(self, user: str = "root", parameters: str = "allowNativePasswords=true") -> str:
        return f"{user}@tcp({self.address})/?{parameters}"

    @property
    def version(self) -> str:
        (found,) = self.sql("SELECT VERSION()")[0]
        return str(found).partition("-")[0]

    @property
    def label(self) -> str:
        """Its name and version in promises."""
        return f"MariaDB {'.'.join(self.version.split('.')[:2])}"

    @contextmanager
    def connected(self, database: str | None = None, **options: Any) -> Iterator[pymysql.Connection[Cursor]]:
        """Lend a separate connection as the administrator, which keeps its session for the block."""
        connection = pymysql.connect(
            host="127.0.0.1", port=self.port, user="root", database=database, autocommit=True, **options
        )
        try:
            yield connection
        finally:
            connection.close()

    def sql(self, statement: str, *parameters: Any, database: str | None = None) -> tuple[Any, ...]:
        """Run a statement as the administrator, and return its rows."""
        with self.connected(database) as connection, connection.cursor() as cursor:
            cursor.execute(statement, parameters or None)
            return tuple(cursor.fetchall())

    def end(self) -> None:
        self.stop()
        shutil.rmtree(self.data, ignore_errors=True)


def running(folder: Path, *options: str) -> MySQLServer:
    return MySQLServer(folder, *options)


@contextmanager
def _serve(folder: Path) -> Iterator[Server]:
    with running(folder) as server:
        yield Server(server.settings, f"MariaDB {server.version}", partial(_stored, server))


def _stored(server: MySQLServer, key: str) -> bytes | None:
    rows = server.sql(
        "SELECT IF(isbinary, FROM_BASE64(JSON_UNQUOTE(value)), CAST(value AS BINARY)) FROM state WHERE id = %s",
        key,
        database=SCHEMA,
    )
    return bytes(rows[0][0]) if rows else None


def _port(settings: Any) -> int:
    return int(str(settings["connectionString"]).partition("tcp(")[2].partition(")")[0].rpartition(":")[2])


DATABASES = (
    Database(
        "mysql",
        "MySQL and MariaDB",
        "state.mysql",
        _serve,
        prepare=program,
        has_numbers_for_etags=False,
        longest_ttl=300_000_000,
        increments=2_000,
        model_runs=10,
        proxy_setup=ProxySetup(
            as_address("connectionString", "root@tcp(127.0.0.1:{})/"),
            _port,
            commit={"transaction": (b"COMMIT", 0)},
        ),
    ),
)
