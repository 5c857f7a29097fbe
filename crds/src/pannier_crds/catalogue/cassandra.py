"""`state.cassandra`: a table of Apache Cassandra, or of a database that speaks its protocol."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from pannier_crds.addresses import hosts
from pannier_crds.catalogue import every_state_store
from pannier_crds.catalogue.certificates import authority, client_certificate
from pannier_crds.catalogue.model import ComponentType, Field, Form
from pannier_crds.catalogue.pairs import both_or_none, needs
from pannier_crds.catalogue.timeouts import timeout
from pannier_crds.problems import error, metadata_path

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from pannier_crds.catalogue.model import Rule, Setting
    from pannier_crds.problems import Problem

_NAME: Final = Form(
    r"(?a:[A-Za-z]\w{0,47})", "a name in Cassandra", "write up to 48 letters, digits and underscores, a letter first"
)

FIELDS: Final = (
    Field(
        "hosts",
        description="Host or host:port to connect to first, several separated by commas; the driver learns the others "
        "from them",
        reads=hosts.host_list,
        required=True,
        places_data=True,
    ),
    Field(
        "port",
        "integer",
        description="Port of hosts written without one, and of those that the driver learns of",
        default=9042,
        minimum=1,
        maximum=65535,
        places_data=True,
    ),
    Field("username", description="Role that logs in"),
    Field("password", description="Its password", sensitive=True),
    Field("keyspace", description="Keyspace of the table", default="dapr", form=_NAME, places_data=True),
    Field("table", description="Table that holds the state", default="items", form=_NAME, places_data=True),
    Field(
        "replicationFactor",
        "integer",
        description="Copies of each row, if Pannier creates the keyspace",
        default=1,
        minimum=1,
    ),
    Field(
        "consistency",
        "choice",
        description="How many replicas answer a read or acknowledge a write, unless the call is strong",
        default="All",
        choices=("Any", "One", "Two", "Three", "Quorum", "All", "LocalQuorum", "EachQuorum", "LocalOne"),
    ),
    Field(
        "enableHostVerification",
        "boolean",
        description="Whether to use TLS, and to require that each host's certificate is for its IP address",
        default=False,
    ),
    authority(whose="the hosts' certificates"),
    *client_certificate(),
    timeout(10.0),
    Field("protoVersion", "integer", ignored="the driver agrees with the server on the newest version that both know"),
)


_LOGIN_IS_WHOLE: Final = needs(
    *both_or_none("username", "password"), *both_or_none("clientCert", "clientKey"), or_remove=True
)


def _certificates_need_tls(settings: Mapping[str, Setting], given: frozenset[str]) -> Iterator[Problem]:
    for name in ("caCert", "clientCert"):
        if name in given and settings.get("enableHostVerification") is False:
            advice = f'add enableHostVerification: "true", or remove {name}'
            yield error(metadata_path(name), f"{name} needs TLS", advice)


RULES: Final[tuple[Rule, ...]] = (_LOGIN_IS_WHOLE, _certificates_need_tls)

TYPES: Final = (
    ComponentType(
        "state.cassandra",
        title="Apache Cassandra",
        features=("ETAG", "TTL", "KEYS_LIKE"),
        fields=(*FIELDS, *every_state_store.FIELDS),
        rules=RULES,
    ),
)
