"""Real PostgreSQL servers on free ports of the loopback interface, from Debian's packages.

They stand in for CockroachDB too, whose terms do not let it be installed here: with a function that CockroachDB has.
"""

from __future__ import annotations

import asyncio
import os
import re
import shutil
import signal
import subprocess
import tempfile
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, asynccontextmanager, contextmanager, suppress
from functools import cache, partial
from pathlib import Path
from typing import Any

import asyncpg
from cluster.tools import ROOT
from servers.database import Database, ProxySetup, Server, Settings, as_address, last_port
from servers.processes import ServerProcess, suspend, wait_until

from pannier_sidecar.state.errors import NotSupportedError
from pannier_sidecar.stores import registry

SUPERUSER = "admin"


@cache
def programs() -> Path:
    """Return the folder of PostgreSQL's programs, which Debian keeps off the path; installs them if need be."""
    found = _programs()
    if found is None:
        subprocess.run([ROOT / "scripts/debian-package", "postgresql", "false"], check=True)
        found = _programs()
    assert found, "the package postgresql is installed and has no program initdb"
    return found


def _programs() -> Path | None:
    on_path = shutil.which("initdb")
    if on_path:
        return Path(on_path).resolve().parent
    versions = Path("/usr/lib/postgresql").glob("*/bin/initdb")
    return max((program.parent for program in versions), key=lambda folder: int(folder.parent.name), default=None)


def as_somebody() -> list[str]:
    """Return a prefix for commands, so that they do not run as root: PostgreSQL refuses that."""
    if os.geteuid() != 0:
        return []
    return ["setpriv", "--reuid=postgres", "--regid=postgres", "--init-groups", "--"]


def own(path: Path) -> None:
    """Give a file or folder to that user."""
    if os.geteuid() == 0:
        shutil.chown(path, "postgres", "postgres")


class SQLFailed(Exception):
    """The error of psql."""


class PostgreSQLServer(ServerProcess):
    """A separate server, with its data in a folder that its user may enter."""

    not_yet = (SQLFailed,)

    def __init__(self, folder: Path, *options: str):
        """`options` are lines of postgresql.conf, such as `max_connections=5`."""
        self._options = options
        # Not in `folder`: if we are root, others may not enter the folders of the tests.
        self.data = Path(tempfile.mkdtemp(prefix="pannier-postgresql-"))
        own(self.data)
        program, where = str(programs() / "initdb"), str(self.data / "data")
        initdb = [program, "-D", where, "-U", SUPERUSER, "-A", "trust", "-N", "-E", "UTF8", "--locale=C.UTF-8"]
        subprocess.run([*as_somebody(), *initdb], check=True, capture_output=True, cwd="/")
        try:
            super().__init__(folder)
        except BaseException:
            shutil.rmtree(self.data)
            raise

    def write(self, name: str, text: str) -> Path:
        """Write a file into its folder, readable for itself alone."""
        path = self.data / "data" / name
        path.write_text(text)
        path.chmod(0o600)
        own(path)
        return path

    def command(self) -> Sequence[str | Path]:
        options = ("listen_addresses=127.0.0.1", f"unix_socket_directories={self.data}", "fsync=off", *self._options)
        settings = [word for option in options for word in ("-c", option)]
        where = self.data / "data"
        return [*as_somebody(), programs() / "postgres", "-D", where, "-p", str(self.port), *settings]

    def answers(self) -> object:
        return self.sql("SELECT 1") == "1"

    @property
    def settings(self) -> Settings:
        """The settings of a component that reaches it as the superuser."""
        return {"connectionString": self.url()}

    def url(self, user: str = SUPERUSER, database: str = "postgres") -> str:
        return f"postgresql://{user}@{self.address}/{database}"

    @property
    def version(self) -> str:
        return self.sql("SHOW server_version").split()[0]

    @property
    def label(self) -> str:
        """Its name and version in promises."""
        return f"PostgreSQL {self.version.partition('.')[0]}"

    def sql(self, statement: str, database: str = "postgres", **variables: str) -> str:
        """Run SQL as the superuser and return its rows, as text; `:'name'` in it stands for a variable."""
        options = [f"--set={name}={value}" for name, value in variables.items()]
        command = [
            str(programs() / "psql"),
            "-XqAt",
            "--set=ON_ERROR_STOP=1",
            f"--dbname={self.url(database=database)}",
        ]
        done = subprocess.run([*command, *options], input=statement, capture_output=True, text=True)
        if done.returncode:
            raise SQLFailed(done.stderr)
        return done.stdout.removesuffix("\n")

    def kill(self) -> None:
        """Send SIGKILL to all of its processes, and wait until they have released their shared memory."""
        if self._process is None:
            return
        super().pause()  # it would start new ones, and end the others
        workers = self._workers()
        for pid in (self.pid, *workers):
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        super().kill()
        wait_until(lambda: not any(map(_is_alive, workers)), "PostgreSQL's processes are gone")

    def stop(self) -> None:
        self._end(signal.SIGINT)  # SIGTERM waits for clients to go

    def pause(self) -> None:
        super().pause()
        for pid in self._workers():
            suspend(pid)

    def resume(self) -> None:
        for pid in self._workers():
            with suppress(ProcessLookupError):  # one may end just now
                os.kill(pid, signal.SIGCONT)
        super().resume()

    def _workers(self) -> list[int]:
        """Return its child processes: one for each connection, and some others."""
        statuses = Path("/proc").glob("[0-9]*/stat")
        return [int(path.parent.name) for path in statuses if _parent_of(path) == self.pid]

    def end(self) -> None:
        self.stop()
        shutil.rmtree(self.data)


def _parent_of(status: Path) -> int | None:
    try:
        return int(re.sub(r".*\)", "", status.read_text()).split()[1])
    except OSError:  # ended meanwhile
        return None


def running(folder: Path, *options: str) -> PostgreSQLServer:
    return PostgreSQLServer(folder, *options)


@asynccontextmanager
async def locked(server: PostgreSQLServer) -> AsyncIterator[None]:
    """Lock the table of a store during the block."""
    connection = await asyncpg.connect(server.url())
    try:
        async with connection.transaction():
            await connection.execute("LOCK TABLE state IN ACCESS EXCLUSIVE MODE")
            yield
    finally:
        await connection.close()


UNIQUE_ROWID = (
    "CREATE SEQUENCE IF NOT EXISTS rowids START 900000000000000000;"
    "CREATE OR REPLACE FUNCTION unique_rowid() RETURNS int8 LANGUAGE sql VOLATILE AS $$ SELECT nextval('rowids') $$"
)
"""CockroachDB's function: a number that no other call ever gets."""


async def make_triggers(server: PostgreSQLServer, version: str, **settings: Any) -> str:
    """Make the table and what reports its changes, as the refusal of a feed says; return that text."""
    store = registry.load("state.postgresql", version)({**server.settings, **settings})
    await store.open()
    try:
        await anext(store.feed(""))
    except NotSupportedError as error:
        text = str(error)
    finally:
        await store.close()
    server.sql(f"BEGIN; {statements_in(text)} COMMIT;")
    return text


@contextmanager
def with_triggers(folder: Path, version: str) -> Iterator[PostgreSQLServer]:
    """Run a server that reports changes of the table that a store of this version uses by default."""
    with running(folder) as server:
        with ThreadPoolExecutor(1) as beside:  # the caller may have a loop that runs
            beside.submit(asyncio.run, make_triggers(server, version)).result()
        yield server


def statements_in(refusal: str) -> str:
    """Return the statements in the refusal of a feed."""
    return refusal.partition("in one transaction: ")[2].rpartition(" Or write changes: poll")[0]


def _serving(read: str, more: str = "", version: str = "") -> Callable[[Path], AbstractContextManager[Server]]:
    @contextmanager
    def serve(folder: Path) -> Iterator[Server]:
        with with_triggers(folder, version) if version else running(folder) as server:
            if more:
                server.sql(more)
            name = f"PostgreSQL {server.version}{' for CockroachDB' if more else ''}"
            yield Server(server.settings, name, partial(_stored, server, read))

    return serve


def _stored(server: PostgreSQLServer, read: str, key: str) -> bytes | None:
    text = server.sql(f"SELECT encode({read}, 'hex') FROM state WHERE key = :'key'", key=key)
    return bytes.fromhex(text) if text else None


_OF_JSON = "CASE WHEN isbinary THEN decode(value #>> '{}', 'base64') ELSE convert_to(value::text, 'UTF8') END"
_SHARED: dict[str, Any] = {
    "store_type": "state.postgresql",
    "prepare": programs,
    "increments": 2_000,
    "model_runs": 10,
}

_COCKROACHDB = {**_SHARED, "store_type": "state.cockroachdb"}

_PROXY_SETUP = ProxySetup(
    as_address("connectionString", f"postgresql://{SUPERUSER}@127.0.0.1:{{}}/postgres"),
    last_port("connectionString"),
    commit={"transaction": (b"COMMIT", 0)},
)
DATABASES = (
    Database("postgresql", "PostgreSQL", serve=_serving(_OF_JSON, version="v1"), proxy_setup=_PROXY_SETUP, **_SHARED),
    Database(
        "postgresql-v2",
        "PostgreSQL",
        serve=_serving("value", version="v2"),
        store_version="v2",
        has_numbers_for_etags=False,
        proxy_setup=_PROXY_SETUP,
        **_SHARED,
    ),
    Database(
        "cockroachdb",
        "CockroachDB",
        serve=_serving(_OF_JSON, UNIQUE_ROWID),
        made_by="emulator",
        proxy_setup=_PROXY_SETUP,
        **_COCKROACHDB,
    ),
    Database(
        "cockroachdb-v2",
        "CockroachDB",
        serve=_serving("value", UNIQUE_ROWID),
        store_version="v2",
        made_by="emulator",
        has_numbers_for_etags=False,
        proxy_setup=_PROXY_SETUP,
        **_COCKROACHDB,
    ),
)


def _is_alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False
