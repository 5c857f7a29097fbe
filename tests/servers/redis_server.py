"""Real Redis servers on free ports of the loopback interface: one, behind Sentinels, a Cluster; with password and TLS;
and Valkey.

Each keeps its files in the folder that it is given and is ended by its own pid.
"""

from __future__ import annotations

import re
import subprocess
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from redis import Redis, RedisCluster
from redis.exceptions import RedisError, ResponseError
from servers.database import Database, ProxySetup, Server, as_address, last_port
from servers.processes import ServerProcess, free_port
from servers.processes import wait_until as _wait_until

from pannier_sidecar.stores.redis.slots import slot_of

Settings = dict[str, str | int | float | bool | None]

SLOTS = 16384
MASTER_NAME = "mymaster"


def wait_until(is_so: Callable[[], object], what: str) -> None:
    """Return when `is_so` says so; errors of Redis mean not yet."""
    _wait_until(is_so, what, not_yet=(RedisError,))


class RedisServer(ServerProcess):
    """A redis-server."""

    not_yet = (RedisError,)
    program = "redis-server"

    def __init__(self, folder: Path, *options: str, port: int | None = None, client: dict[str, Any] | None = None):
        self._options = options
        self._client = client or {}
        super().__init__(folder, port)

    @property
    def settings(self) -> Settings:
        """The settings of a component that reaches it without credentials."""
        return {"redisHost": self.address}

    @property
    def version(self) -> str:
        """Name and version."""
        with self.client() as client:
            return f"Redis {client.info('server')['redis_version']}"

    def client(self) -> Redis:
        """Return another client library's client, to look at the server from outside."""
        return Redis(host="127.0.0.1", port=self.port, socket_timeout=10, **self._client)

    def command(self) -> list[str]:
        port = ("--port", str(self.port)) if "--tls-port" not in self._options else ("--port", "0")
        command = [self.program, *port, "--bind", "127.0.0.1", "--dir", str(self.folder), *self._options]
        command += ["--repl-diskless-sync-delay", "0"]
        if "--appendonly" not in self._options:
            command += ["--save", "", "--appendonly", "no"]
        return command

    def answers(self) -> bool:
        with self.client() as client:
            return bool(client.ping())


class ValkeyServer(RedisServer):
    """A valkey-server."""

    program = "valkey-server"

    @property
    def version(self) -> str:
        with self.client() as client:
            return f"Valkey {client.info('server')['valkey_version']}"


def install_valkey() -> None:
    install = Path(__file__).parents[2] / "scripts" / "debian-package"
    subprocess.run([install, "--backports", ValkeyServer.program, "which", ValkeyServer.program], check=True)


def single(folder: Path, *options: str, client: dict[str, Any] | None = None, port: int | None = None) -> RedisServer:
    """Run one server. `options` are redis-server's; `client` are the arguments with which redis-py connects."""
    return RedisServer(folder, *options, client=client, port=port)


@contextmanager
def with_replica(folder: Path, *options: str) -> Iterator[tuple[RedisServer, RedisServer]]:
    """Run a primary and a replica that follows it."""
    with ExitStack() as stack:
        primary = stack.enter_context(single(folder / "primary", *options))
        replica = stack.enter_context(
            single(folder / "replica", *options, "--replicaof", "127.0.0.1", str(primary.port))
        )
        wait_until(lambda: follows(primary), "the replica follows")
        yield primary, replica


def follows(primary: RedisServer, replicas: int = 1) -> bool:
    """Whether this many replicas have all of the primary's data."""
    with primary.client() as client:
        client.ping()  # WAIT counts what there was at its connection's last command
        return client.wait(replicas, 100) == replicas and client.info("replication")["connected_slaves"] == replicas


# --- Sentinel -----------------------------------------------------------------------------------------------------


@dataclass
class Watched:
    """A primary, its replicas and the Sentinels that watch them."""

    primary: RedisServer
    replicas: list[RedisServer]
    sentinels: list[RedisServer] = field(default_factory=list)

    @property
    def settings(self) -> Settings:
        hosts = ",".join(sentinel.address for sentinel in self.sentinels)
        return {"redisHost": hosts, "failover": True, "sentinelMasterName": MASTER_NAME}

    @property
    def version(self) -> str:
        return self.primary.version

    def primary_port(self) -> int:
        """Return the port of the primary as the Sentinels see it now."""
        with self.sentinels[0].client() as client:
            return int(client.sentinel_get_master_addr_by_name(MASTER_NAME)[1])

    def current_primary(self) -> RedisServer:
        port = self.primary_port()
        return next(server for server in (self.primary, *self.replicas) if server.port == port)


@contextmanager
def watched_by_sentinels(
    folder: Path, replicas: int = 1, *options: str, down_after_ms: int = 500, password: str = ""
) -> Iterator[Watched]:
    """Run a primary with replicas and three Sentinels, which replace it when it is gone for half a second. `password`
    is what the servers want from one another, from Sentinels and from other clients.

    If that is shorter than the second between a Sentinel's two attempts to connect, the Sentinel may find the new
    primary and the other replica down right after a failover, and so promote the server that has just come back.
    """
    with ExitStack() as stack:
        client = {"password": password} if password else None
        options += ("--requirepass", password, "--masterauth", password) if password else ()
        primary = stack.enter_context(single(folder / "primary", *options, client=client))
        follow = (*options, "--replicaof", "127.0.0.1", str(primary.port))
        following = [
            stack.enter_context(single(folder / f"replica{n}", *follow, client=client)) for n in range(replicas)
        ]
        watched = Watched(primary, following)
        wait_until(lambda: follows(primary, replicas), "the replicas follow")
        lines = (
            f"sentinel monitor {MASTER_NAME} 127.0.0.1 {primary.port} 2",
            f"sentinel down-after-milliseconds {MASTER_NAME} {down_after_ms}",
            f"sentinel failover-timeout {MASTER_NAME} 3000",
            *([f"sentinel auth-pass {MASTER_NAME} {password}"] if password else []),
        )
        watched.sentinels += [stack.enter_context(sentinel(folder / f"sentinel{n}", *lines)) for n in range(3)]
        wait_until(lambda: _is_watched(watched), "the Sentinels know each other and the replicas")
        yield watched


def sentinel(folder: Path, *lines: str, client: dict[str, Any] | None = None, port: int | None = None) -> RedisServer:
    """Run a Sentinel with these lines of configuration."""
    folder.mkdir(parents=True)
    port = port or free_port()
    (folder / "sentinel.conf").write_text("\n".join((f"port {port}", "bind 127.0.0.1", *lines, "")))
    return _Sentinel(folder, port=port, client=client)


class _Sentinel(RedisServer):
    def command(self) -> list[str]:
        return [self.program, str(self.folder / "sentinel.conf"), "--sentinel"]


def _is_watched(watched: Watched) -> bool:
    for sentinel in watched.sentinels:
        with sentinel.client() as client:
            seen = client.sentinel_master(MASTER_NAME)
            if seen["num-other-sentinels"] != 2 or seen["num-slaves"] != len(watched.replicas):
                return False
    return True


# --- Cluster ------------------------------------------------------------------------------------------------------


@dataclass
class Cluster:
    """Primaries that share the hash slots, and replicas."""

    nodes: list[RedisServer]

    @property
    def settings(self) -> Settings:
        return {"redisHost": ",".join(node.address for node in self.nodes), "redisType": "cluster"}

    @property
    def version(self) -> str:
        return self.nodes[0].version

    def owner(self, slot: int) -> RedisServer:
        for first, last, (_, port, *_), *_ in self._ranges():
            if first <= slot <= last:
                return next(node for node in self.nodes if node.port == port)
        raise AssertionError(f"nobody has slot {slot}")

    def owner_of(self, tag: str) -> RedisServer:
        """Return the node that has the keys with a hash tag."""
        return self.owner(slot_of(tag.encode()))

    def _ranges(self) -> Any:
        """Return the answer of the first node that runs."""
        for node in self.nodes:
            with suppress(RedisError), node.client() as client:
                return client.execute_command("CLUSTER SLOTS", target_nodes="random")
        raise AssertionError("no node lives")

    def move_slot(self, slot: int, target: RedisServer) -> None:
        """Give a slot with all its keys to another node."""
        with self.migrating(slot, target):
            pass

    @contextmanager
    def migrating(self, slot: int, target: RedisServer) -> Iterator[RedisServer]:
        """Announce that a slot moves; its keys move, and its new owner takes over, when the block ends."""
        source = self.owner(slot)
        with source.client() as old, target.client() as new:
            new.execute_command("CLUSTER SETSLOT", slot, "IMPORTING", node_id(old))
            old.execute_command("CLUSTER SETSLOT", slot, "MIGRATING", node_id(new))
            yield source
            while keys := old.execute_command("CLUSTER GETKEYSINSLOT", slot, 1000):
                old.execute_command("MIGRATE", "127.0.0.1", target.port, "", 0, 5000, "KEYS", *keys)
            owner = node_id(new)
            for node in (target, source, *self.nodes):
                with node.client() as client, suppress(ResponseError):  # replicas follow their primary
                    client.execute_command("CLUSTER SETSLOT", slot, "NODE", owner)


@contextmanager
def cluster(folder: Path, nodes: int = 3, replicas: int = 0) -> Iterator[Cluster]:
    """Run this many primaries; `replicas` is how many replicas the first one has."""
    with ExitStack() as stack:
        found = Cluster([stack.enter_context(cluster_node(folder / f"node{n}")) for n in range(nodes + replicas)])
        first, primaries = found.nodes[0], found.nodes[:nodes]
        for number, node in enumerate(found.nodes):
            with node.client() as client:
                client.execute_command("CLUSTER SET-CONFIG-EPOCH", number + 1)
                if node in primaries:
                    low, high = number * SLOTS // nodes, (number + 1) * SLOTS // nodes - 1
                    client.execute_command("CLUSTER ADDSLOTSRANGE", low, high)
                client.execute_command("CLUSTER MEET", "127.0.0.1", first.port, bus_port(first))
        wait_until(lambda: all(_is_complete(node, nodes) for node in found.nodes), "the nodes form a Cluster")
        with first.client() as client:
            name = node_id(client)
        for replica in found.nodes[nodes:]:
            with replica.client() as client:
                client.execute_command("CLUSTER REPLICATE", name)
        wait_until(lambda: follows(first, replicas) and _are_known(found, replicas), "the replicas follow")
        yield found


@contextmanager
def cluster_node(folder: Path) -> Iterator[RedisServer]:
    options: tuple[str, ...] = (
        "--cluster-enabled",
        "yes",
        "--cluster-node-timeout",
        "2000",
        "--cluster-port",
        str(free_port()),
    )
    # Otherwise a replica may leave its shard for good, with its data, and join a shard that never had a replica.
    options += ("--cluster-allow-replica-migration", "no")
    with single(folder, *options) as server:
        yield server


def bus_port(node: RedisServer) -> str:
    return node._options[node._options.index("--cluster-port") + 1]


def node_id(client: Redis) -> str:
    return _text(client.execute_command("CLUSTER MYID"))


def _is_complete(node: RedisServer, nodes: int) -> bool:
    with node.client() as client:
        info = _text(client.execute_command("CLUSTER INFO"))
        ranges = client.execute_command("CLUSTER SLOTS", target_nodes="random")
    return "ok" in re.findall(r"cluster_state:?\W*(\w+)", info) and len(ranges) == nodes


def _are_known(found: Cluster, replicas: int) -> bool:
    """Whether every node knows of the replicas: only then do primaries vote for one of them."""
    for node in found.nodes:
        with node.client() as client:
            ranges = client.execute_command("CLUSTER SLOTS", target_nodes="random")
        if sum(len(row) - 3 for row in ranges) != replicas:
            return False
    return True


def _text(reply: object) -> str:
    return reply.decode() if isinstance(reply, bytes) else str(reply)


# --- TLS ----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Certificates:
    """A private authority, and its certificates for a server and a client."""

    folder: Path

    def path(self, name: str) -> str:
        return str(self.folder / name)

    def text(self, name: str) -> str:
        return (self.folder / name).read_text()


def make_certificates(folder: Path) -> Certificates:
    """Make an authority (`ca.crt`) and certificates of 127.0.0.1 (`server.*`) and of a client (`client.*`)."""
    folder.mkdir(parents=True, exist_ok=True)
    _openssl(folder, "req", "-x509", *_NEW_KEY, "-keyout", "ca.key", "-out", "ca.crt", "-days", "2", "-subj", "/CN=ca")
    for name, extension in (("server", "subjectAltName=IP:127.0.0.1"), ("client", "extendedKeyUsage=clientAuth")):
        (folder / "extension").write_text(extension)
        _openssl(folder, "req", *_NEW_KEY, "-keyout", f"{name}.key", "-out", f"{name}.csr", "-subj", f"/CN={name}")
        signing = ("-CA", "ca.crt", "-CAkey", "ca.key", "-CAcreateserial", "-days", "2", "-extfile", "extension")
        _openssl(folder, "x509", "-req", "-in", f"{name}.csr", "-out", f"{name}.crt", *signing)
    return Certificates(folder)


_NEW_KEY = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes")


def _openssl(folder: Path, *arguments: str) -> None:
    subprocess.run(["openssl", *arguments], cwd=folder, check=True, capture_output=True)


@contextmanager
def encrypted(folder: Path, certificates: Certificates, *, asks_client: bool = False) -> Iterator[RedisServer]:
    """Run a server that speaks TLS, and nothing else, on its port."""
    port = free_port()
    options = ["--tls-port", str(port), "--tls-auth-clients", "yes" if asks_client else "no"]
    options += ["--tls-cert-file", certificates.path("server.crt"), "--tls-key-file", certificates.path("server.key")]
    options += ["--tls-ca-cert-file", certificates.path("ca.crt")]
    client: dict[str, Any] = {
        "ssl": True,
        "ssl_ca_certs": certificates.path("ca.crt"),
        "ssl_certfile": certificates.path("client.crt"),
        "ssl_keyfile": certificates.path("client.key"),
    }
    with RedisServer(folder, *options, port=port, client=client) as server:
        yield server


# --- as databases -------------------------------------------------------------------------------------------------


class _Running(Protocol):
    @property
    def settings(self) -> Settings: ...
    @property
    def version(self) -> str: ...


def _serving(
    run: Callable[[Path], AbstractContextManager[_Running]], client: Callable[[Any], Redis | RedisCluster]
) -> Callable[[Path], AbstractContextManager[Server]]:
    @contextmanager
    def serve(folder: Path) -> Iterator[Server]:
        with run(folder) as running, client(running) as outside:
            yield Server(running.settings, running.version, lambda key: outside.hget(key, "data"))

    return serve


DATABASES = (
    Database(
        "redis",
        "Redis",
        "state.redis",
        _serving(single, RedisServer.client),
        proxy_setup=ProxySetup(as_address("redisHost"), last_port("redisHost")),
    ),
    Database(
        "redis-valkey",
        "Valkey",
        "state.redis",
        _serving(ValkeyServer, RedisServer.client),
        prepare=install_valkey,
        is_a_variant=True,
    ),
    Database(
        "redis-sentinel",
        "Redis, Sentinel",
        "state.redis",
        _serving(watched_by_sentinels, lambda watched: watched.primary.client()),
    ),
    Database(
        "redis-cluster",
        "Redis, Cluster",
        "state.redis",
        _serving(cluster, lambda found: RedisCluster(host="127.0.0.1", port=found.nodes[0].port)),
        remarks={"transactions": "in one hash slot"},
    ),
)
