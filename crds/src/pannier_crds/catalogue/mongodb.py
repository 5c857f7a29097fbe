"""`state.mongodb`: MongoDB, or a database that speaks its protocol: one server, a replica set or a sharded cluster."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from pannier_crds.addresses import mongodb
from pannier_crds.catalogue import every_state_store
from pannier_crds.catalogue.model import ComponentType, Field, Form
from pannier_crds.catalogue.pairs import both_or_none, needs
from pannier_crds.catalogue.timeouts import timeout
from pannier_crds.problems import error, metadata_path, warning

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from pannier_crds.catalogue.model import Setting
    from pannier_crds.problems import Problem

_ADDRESSES: Final = ("host", "server", "connectionString")

_FIELDS: Final = (
    Field(
        "host",
        description="host or host:port, several separated by commas for a replica set",
        reads=mongodb.read_hosts,
        form=Form(r"[^\s/@?]+", "a list of hosts", "write host or host:port; a URL belongs into connectionString"),
        places_data=True,
    ),
    Field(
        "server",
        description="Name whose DNS SRV record lists the hosts, instead of host",
        reads=mongodb.read_server,
        form=Form(r"[^\s/@?:,]+", "a DNS name", "write a name such as cluster0.example.com"),
        places_data=True,
    ),
    Field(
        "connectionString",
        description="The whole mongodb:// or mongodb+srv:// URL, instead of host, server, username, password, params",
        reads=mongodb.read,
        sensitive=True,
        form=Form(r"mongodb(\+srv)?://\S+", "a MongoDB URL", "write mongodb://... or mongodb+srv://..."),
        places_data=True,
    ),
    Field("username", description="User, who exists in databaseName or in the authSource of params"),
    Field("password", description="Password", sensitive=True),
    Field(
        "params",
        description="Options of the connection, such as ?authSource=admin&tls=true&replicaSet=rs0. Writes whose answer "
        "was lost are sent again only with retryWrites=true",
        form=Form(r"\??([^\s=&?]+=[^\s&]*(&[^\s=&?]+=[^\s&]*)*)?", "a list of options", "write ?name=value&name=value"),
    ),
    Field("databaseName", description="Database that holds the collection", default="daprStore", places_data=True),
    Field("collectionName", description="Collection that holds the state", default="daprCollection", places_data=True),
    Field(
        "writeconcern",
        description="Members that acknowledge a write: majority or a number; 1 without it. Strong writes: majority",
        form=Form(r"(?a:majority|[1-9]\d{0,2})", "a write concern", "write majority, or a number from 1 to 999"),
    ),
    Field(
        "readconcern",
        "choice",
        description="What a read without strong consistency may see; by default local, or the URL's readConcernLevel",
        choices=("available", "local", "majority", "linearizable", "snapshot"),
    ),
    timeout(5.0, name="operationTimeout"),
)


def _one_address(settings: Mapping[str, Setting], given: frozenset[str]) -> Iterator[Problem]:
    addresses = [name for name in _ADDRESSES if name in given]
    if not addresses:
        advice = "add host (or server, where DNS lists the hosts) or connectionString under spec.metadata"
        yield error(metadata_path("host"), "state.mongodb needs the address of a server", advice)
    for name in addresses[1:]:
        yield error(metadata_path(name), f"{name} says where the server is, and so does {addresses[0]}", "keep one")


def _address_is_whole(settings: Mapping[str, Setting], given: frozenset[str]) -> Iterator[Problem]:
    if "connectionString" in given:
        for name in sorted({"username", "password", "params"} & given):
            message = f"{name} has no effect beside connectionString"
            yield warning(metadata_path(name), message, "write it into connectionString, and remove it here")


_LOGIN_IS_WHOLE: Final = needs(*both_or_none("username", "password"))


def _user_has_a_password(settings: Mapping[str, Setting], given: frozenset[str]) -> Iterator[Problem]:
    if "connectionString" in given or "authMechanism" in str(settings.get("params")):
        return
    yield from _LOGIN_IS_WHOLE(settings, given)


TYPES: Final = (
    ComponentType(
        "state.mongodb",
        title="MongoDB",
        features=("ETAG", "TRANSACTIONAL", "TTL", "KEYS_LIKE"),
        fields=(*_FIELDS, *every_state_store.FIELDS),
        rules=(_one_address, _address_is_whole, _user_has_a_password),
    ),
)
