"""`state.cassandra`: a table of Apache Cassandra, or of a database that speaks its protocol."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from pannier_crds.addresses import hosts
from pannier_crds.catalogue import every_state_store
from pannier_crds.catalogue.model import ComponentType, Field, Form
from pannier_crds.problems import error, metadata_path

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from pannier_crds.catalogue.model import Rule, Setting
    from pannier_crds.problems import Problem

_NAME: Final = Form(
    r"(?a:[A-Za-z]\w{0,47})", "a name in Cassandra", "write up to 48 letters, digits and underscores, a letter first"
)
_HOSTS: Final = Form(
    r"\s*[^\s,:/@]+\s*(,\s*[^\s,:/@]+\s*)*",
    "a list of hosts",
    "separate host names by commas, and write the port into port",
)

FIELDS: Final = (
    Field(
        "hosts",
        description="Hosts to connect to first, separated by commas; they name the others",
        reads=hosts.bare_host_list,
        required=True,
        form=_HOSTS,
        places_data=True,
    ),
    Field("port", "integer", description="Port of all hosts", default=9042, minimum=1, maximum=65535, places_data=True),
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
    Field("caCert", description="The authority that signed the hosts' certificates, PEM text or a file's path"),
    Field("clientCert", description="The client's certificate, PEM text or a file's path"),
    Field("clientKey", description="The client's private key, PEM text or a file's path", sensitive=True),
    Field(
        "timeout",
        "duration",
        description="Timeout of one call",
        default=10.0,
        bare_unit="s",
        must_be_positive=True,
    ),
    Field("protoVersion", "integer", ignored="the driver agrees with the server on the newest version that both know"),
)


def _login_is_whole(settings: Mapping[str, Setting], given: frozenset[str]) -> Iterator[Problem]:
    for name, other in (
        ("username", "password"),
        ("password", "username"),
        ("clientCert", "clientKey"),
        ("clientKey", "clientCert"),
    ):
        if name in given and other not in given:
            yield error(metadata_path(name), f"{name} needs {other}", f"add {other}, or take {name} out")


def _certificates_need_tls(settings: Mapping[str, Setting], given: frozenset[str]) -> Iterator[Problem]:
    for name in ("caCert", "clientCert"):
        if name in given and settings.get("enableHostVerification") is False:
            advice = f'add enableHostVerification: "true", or take {name} out'
            yield error(metadata_path(name), f"{name} needs TLS", advice)


RULES: Final[tuple[Rule, ...]] = (_login_is_whole, _certificates_need_tls)

TYPES: Final = (
    ComponentType(
        "state.cassandra",
        title="Apache Cassandra",
        features=("ETAG", "TTL", "KEYS_LIKE"),
        fields=(*FIELDS, *every_state_store.FIELDS),
        rules=RULES,
    ),
)
