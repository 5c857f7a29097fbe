"""What a component says about its cluster, read."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from cassandra import ConsistencyLevel

from pannier_sidecar.network.tls import Encryption

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pannier_sidecar.state.store import Setting


@dataclass(frozen=True, slots=True)
class Levels:
    """What the component's consistency means for each kind of call."""

    read: int
    commit: int
    """When a write that has been decided is answered."""
    strong_commit: int
    serial: int
    """Who decides a write, and answers a strong read: a quorum of all replicas, or of those in this data centre."""


_C: Final = ConsistencyLevel
LEVELS: Final[Mapping[str, Levels]] = {
    "Any": Levels(_C.ONE, _C.ANY, _C.QUORUM, _C.SERIAL),  # no read can be at Any
    "One": Levels(_C.ONE, _C.ONE, _C.QUORUM, _C.SERIAL),
    "Two": Levels(_C.TWO, _C.TWO, _C.QUORUM, _C.SERIAL),
    "Three": Levels(_C.THREE, _C.THREE, _C.QUORUM, _C.SERIAL),
    "Quorum": Levels(_C.QUORUM, _C.QUORUM, _C.QUORUM, _C.SERIAL),
    "All": Levels(_C.ALL, _C.ALL, _C.ALL, _C.SERIAL),
    "EachQuorum": Levels(_C.QUORUM, _C.ALL, _C.ALL, _C.SERIAL),  # lightweight transactions do not know it
    "LocalQuorum": Levels(_C.LOCAL_QUORUM, _C.LOCAL_QUORUM, _C.LOCAL_QUORUM, _C.LOCAL_SERIAL),
    "LocalOne": Levels(_C.LOCAL_ONE, _C.LOCAL_ONE, _C.LOCAL_QUORUM, _C.LOCAL_SERIAL),
}


@dataclass(frozen=True, slots=True)
class CassandraSettings:
    """The component's settings; times in seconds."""

    hosts: tuple[str, ...]
    port: int
    keyspace: str
    table: str
    replication_factor: int
    levels: Levels
    timeout: float
    username: str
    """Empty: nobody logs in."""
    password: str
    encryption: Encryption | None

    @property
    def where(self) -> str:
        return f"Cassandra at {', '.join(self.hosts)}, port {self.port},"

    @property
    def name(self) -> str:
        return f"{self.keyspace}.{self.table}"


def read(settings: Mapping[str, Setting]) -> CassandraSettings:
    """Return the settings, with Dapr's defaults."""
    return CassandraSettings(
        hosts=tuple(host.strip() for host in str(settings["hosts"]).split(",")),
        port=int(settings.get("port") or 9042),
        # Dapr writes names without quotes, so Cassandra takes them in lower case.
        keyspace=str(settings.get("keyspace") or "dapr").lower(),
        table=str(settings.get("table") or "items").lower(),
        replication_factor=int(settings.get("replicationFactor") or 1),
        levels=LEVELS[str(settings.get("consistency") or "All")],
        timeout=float(settings.get("timeout") or 10.0),
        username=str(settings.get("username") or ""),
        password=str(settings.get("password") or ""),
        encryption=Encryption.read(settings) if settings.get("enableHostVerification") is True else None,
    )
