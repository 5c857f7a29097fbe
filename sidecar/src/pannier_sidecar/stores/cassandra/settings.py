"""The store's settings, read from the component's metadata."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from cassandra import ConsistencyLevel

from pannier_crds.addresses.hosts import HostPort, host_list
from pannier_crds.given_settings import GivenSettings
from pannier_crds.secret import Secret, is_hidden
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

    @property
    def listing(self) -> int:
        """The replicas that are asked for all ETags: Cassandra has no serial reads of several keys."""
        is_local = self.serial == _C.LOCAL_SERIAL
        return int(_C.LOCAL_QUORUM if is_local else _C.QUORUM)


_C: Final = ConsistencyLevel
LEVELS: Final[Mapping[str, Levels]] = {
    "Any": Levels(_C.ONE, _C.ANY, _C.QUORUM, _C.SERIAL),  # a read cannot have the level Any
    "One": Levels(_C.ONE, _C.ONE, _C.QUORUM, _C.SERIAL),
    "Two": Levels(_C.TWO, _C.TWO, _C.QUORUM, _C.SERIAL),
    "Three": Levels(_C.THREE, _C.THREE, _C.QUORUM, _C.SERIAL),
    "Quorum": Levels(_C.QUORUM, _C.QUORUM, _C.QUORUM, _C.SERIAL),
    "All": Levels(_C.ALL, _C.ALL, _C.ALL, _C.SERIAL),
    "EachQuorum": Levels(_C.QUORUM, _C.ALL, _C.ALL, _C.SERIAL),  # not a level of lightweight transactions
    "LocalQuorum": Levels(_C.LOCAL_QUORUM, _C.LOCAL_QUORUM, _C.LOCAL_QUORUM, _C.LOCAL_SERIAL),
    "LocalOne": Levels(_C.LOCAL_ONE, _C.LOCAL_ONE, _C.LOCAL_QUORUM, _C.LOCAL_SERIAL),
}


@dataclass(frozen=True, slots=True)
class CassandraSettings:
    """The component's settings; times in seconds."""

    hosts: tuple[HostPort, ...]
    """Each with its port."""
    shown_hosts: str
    port: int
    """Of hosts that the driver learns of, where they announce none."""
    keyspace: str
    table: str
    replication_factor: int
    levels: Levels
    timeout: float
    username: str
    """Empty: no login."""
    password: Secret
    encryption: Encryption | None
    hides_name: bool
    """Whether keyspace or table came from a secret."""

    @property
    def where(self) -> str:
        return f"Cassandra at {self.shown_hosts}"

    @property
    def name(self) -> str:
        return f"{self.keyspace}.{self.table}"

    @property
    def shown_name(self) -> str:
        """The table's name for messages."""
        return "KEYSPACE.TABLE" if self.hides_name else self.name


def read_settings(settings: Mapping[str, Setting]) -> CassandraSettings:
    """Return the settings, with Dapr's defaults."""
    given = GivenSettings("state.cassandra", settings)
    port = given.whole_number("port")
    written = read_field("hosts", given["hosts"], host_list)
    hosts = tuple(each if each.port is not None else HostPort(each.host, port) for each in written)
    return CassandraSettings(
        hosts=hosts,
        shown_hosts=shown_addresses("hosts", given["hosts"], hosts),
        port=port,
        # Dapr writes names without quotes, so Cassandra takes them in lower case.
        keyspace=given.text("keyspace").lower(),
        table=given.text("table").lower(),
        replication_factor=given.whole_number("replicationFactor"),
        levels=LEVELS[given.text("consistency")],
        timeout=given.number("timeout"),
        username=given.text("username"),
        password=given.secret("password"),
        encryption=Encryption.read(given) if given.is_on("enableHostVerification") else None,
        hides_name=is_hidden(given["keyspace"]) or is_hidden(given["table"]),
    )
