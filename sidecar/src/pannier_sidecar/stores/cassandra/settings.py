"""The component's metadata, read."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from cassandra import ConsistencyLevel

from pannier_crds.addresses.hosts import bare_host_list
from pannier_crds.secret import Secret, is_hidden, number, reveal
from pannier_sidecar.network.fields import read_field, shown_addresses
from pannier_sidecar.network.tls import Encryption

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pannier_sidecar.state.store import Setting


@dataclass(frozen=True, slots=True)
class Levels:
    """What the component's consistency means for each kind of call."""

    read: int
    commit: int
    """The replicas that must acknowledge a decided write before it is answered."""
    strong_commit: int
    serial: int
    """The replicas that decide a write and answer a strong read: a quorum of all, or of those in this data centre."""


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
    shown_hosts: str
    port: int
    keyspace: str
    table: str
    replication_factor: int
    levels: Levels
    timeout: float
    username: str
    """Empty: no login."""
    password: Secret
    encryption: Encryption | None
    hides_name: bool = False
    """Whether keyspace or table came from a secret."""

    @property
    def where(self) -> str:
        return f"Cassandra at {self.shown_hosts}, port {self.port},"

    @property
    def name(self) -> str:
        return f"{self.keyspace}.{self.table}"

    @property
    def shown_name(self) -> str:
        """The table's name for messages."""
        return "KEYSPACE.TABLE" if self.hides_name else self.name


def read_settings(settings: Mapping[str, Setting]) -> CassandraSettings:
    """Return the settings, with Dapr's defaults."""
    hosts = read_field("hosts", settings["hosts"], bare_host_list)
    return CassandraSettings(
        hosts=tuple(each.host for each in hosts),
        shown_hosts=shown_addresses("hosts", settings["hosts"], hosts),
        port=int(number(settings.get("port"), 9042)),
        # Dapr writes names without quotes, so Cassandra takes them in lower case.
        keyspace=(reveal(settings.get("keyspace")) or "dapr").lower(),
        table=(reveal(settings.get("table")) or "items").lower(),
        replication_factor=int(number(settings.get("replicationFactor"), 1)),
        levels=LEVELS[str(settings.get("consistency") or "All")],
        timeout=number(settings.get("timeout"), 10.0),
        username=reveal(settings.get("username")),
        password=Secret(reveal(settings.get("password"))),
        encryption=Encryption.read(settings) if settings.get("enableHostVerification") is True else None,
        hides_name=is_hidden(settings.get("keyspace")) or is_hidden(settings.get("table")),
    )
