"""A real Cassandra of one node. It takes half a gigabyte, so one serves all tests of a run, each with its keyspace."""

from __future__ import annotations

import atexit
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from itertools import count
from pathlib import Path
from socket import create_connection
from tempfile import mkdtemp
from typing import Any

from cassandra.auth import PlainTextAuthProvider
from cassandra.cluster import EXEC_PROFILE_DEFAULT, Cluster, ExecutionProfile, NoHostAvailable, Session
from cassandra.policies import RoundRobinPolicy
from cassandra.query import tuple_factory
from servers import maven
from servers.database import Database, ProxySetup, Server, Settings
from servers.processes import START_LIMIT_S, ServerProcess, free_port
from servers.redis_server import make_certificates

from pannier_sidecar.state.store import Feature

SOURCE = Path(__file__).parent / "cassandra"
VERSION = "Apache Cassandra 5.0.5"
ADMINISTRATOR = {"username": "cassandra", "password": "cassandra"}
ASK_FOR_OPTIONS = b"\x04\0\0\0\x05\0\0\0\0"
PROTOCOL = 4
SUPPORTED = b"\x06"
"""A frame of CQL's protocol, version 4, and the kind of its answer."""
AT_ONCE = "commitlog_sync: batch"
NOW_AND_THEN = "commitlog_sync: periodic\ncommitlog_sync_period: 10000ms"
_numbers = count(1)


class CassandraServer(ServerProcess):
    """A node of its own cluster.

    A hardened node requires passwords and speaks TLS too. It keeps every answered write when it is killed, which makes
    it slow.
    """

    def __init__(self, folder: Path, *, is_hardened: bool = False):
        self._is_hardened = is_hardened
        self.certificates = make_certificates(folder / "certificates")
        server = (self.certificates.text(name) for name in ("server.key", "server.crt"))
        (folder / "certificates" / "server.pem").write_text("".join(server))
        self._ports = {"STORAGE_PORT": free_port(), "JMX_PORT": free_port()}
        super().__init__(folder)

    def end(self) -> None:
        self.kill()

    def command(self) -> list[str | Path]:
        for name in ("cassandra.yaml", "jvm.options", "logback.xml"):
            (self.folder / name).write_text(self._filled_in((SOURCE / name).read_text()))
        jars = maven.jars(SOURCE / "pom.xml")
        program = "org.apache.cassandra.service.CassandraDaemon"
        return [maven.java(), f"@{self.folder / 'jvm.options'}", "-cp", f"{jars}/*", program]

    def _filled_in(self, text: str) -> str:
        values = {
            "FOLDER": self.folder,
            "PORT": self.port,
            "AUTHENTICATOR": "PasswordAuthenticator" if self._is_hardened else "AllowAllAuthenticator",
            "AUTHORIZER": "CassandraAuthorizer" if self._is_hardened else "AllowAllAuthorizer",
            "FORGETS_TABLES": str(not self._is_hardened).lower(),
            "COMMITLOG_SYNC": AT_ONCE if self._is_hardened else NOW_AND_THEN,
            "SPEAKS_TLS": str(self._is_hardened).lower(),
            **self._ports,
        }
        for name, value in values.items():
            text = text.replace(f"@{name}@", str(value))
        return text

    def answers(self) -> bool:
        with create_connection(("127.0.0.1", self.port), timeout=10) as connection:
            connection.sendall(ASK_FOR_OPTIONS)
            return connection.recv(9)[4:5] == SUPPORTED

    def settings(self, keyspace: str) -> Settings:
        """Return the settings of a component that uses a keyspace."""
        return {"hosts": "127.0.0.1", "port": self.port, "keyspace": keyspace, **self._login}

    @property
    def _login(self) -> dict[str, str]:
        return ADMINISTRATOR if self._is_hardened else {}

    def run(self, statement: str, *values: Any) -> list[tuple[Any, ...]]:
        """Run a statement as another program would, on a separate connection."""
        with self.session() as session:
            return list(session.execute(session.prepare(statement), values))

    @contextmanager
    def session(self) -> Iterator[Session]:
        """Connect as another program would."""
        profile = ExecutionProfile(RoundRobinPolicy(), row_factory=tuple_factory, request_timeout=START_LIMIT_S)
        cluster = Cluster(
            ["127.0.0.1"],
            self.port,
            auth_provider=PlainTextAuthProvider(**ADMINISTRATOR) if self._is_hardened else None,
            execution_profiles={EXEC_PROFILE_DEFAULT: profile},
            protocol_version=PROTOCOL,
        )
        with cluster:
            yield cluster.connect()

    def is_ready(self) -> bool:
        """Return whether it accepts a login: a new node needs some time to create the first role."""
        try:
            self.run("SELECT key FROM system.local")
        except NoHostAvailable:
            return False
        return True

    def stored(self, keyspace: str, key: str) -> bytes | None:
        rows = self.run(f"SELECT value FROM {keyspace}.items WHERE key = ?", key)
        return rows[0][0] if rows else None


@contextmanager
def running(folder: Path) -> Iterator[CassandraServer]:
    """Run a hardened node that a test may break."""
    with CassandraServer(folder, is_hardened=True) as server:
        deadline = time.monotonic() + START_LIMIT_S
        while not server.is_ready():
            assert time.monotonic() < deadline
            time.sleep(0.2)
        yield server


@cache
def shared() -> CassandraServer:
    """Return the node of this run; it ends with the run."""
    folder = Path(mkdtemp(prefix="pannier-cassandra-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    server = CassandraServer(folder)
    atexit.register(server.kill)
    return server


def new_keyspace() -> str:
    return f"test{next(_numbers)}"


@contextmanager
def _a_keyspace(folder: Path) -> Iterator[Server]:
    server, keyspace = shared(), new_keyspace()
    yield Server(server.settings(keyspace), VERSION, lambda key: server.stored(keyspace, key))


def _prepare() -> None:
    maven.java()
    maven.jars(SOURCE / "pom.xml")


DATABASES = (
    Database(
        "cassandra",
        "Apache Cassandra",
        "state.cassandra",
        _a_keyspace,
        claims=frozenset({Feature.ETAG, Feature.TTL, Feature.KEYS_LIKE}),
        prepare=_prepare,
        longest_ttl=300_000_000,
        increments=400,
        many=600,
        model_runs=5,
        proxy_setup=ProxySetup(
            lambda port: {"port": port},
            lambda settings: int(settings["port"]),
            impatient={"timeout": "300ms"},
            max_connections=3,
        ),
    ),
)
