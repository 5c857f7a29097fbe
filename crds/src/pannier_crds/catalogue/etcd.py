"""`state.etcd`: keys of etcd, in the layouts of Dapr's two versions of it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from pannier_crds.addresses import hosts
from pannier_crds.catalogue import every_state_store
from pannier_crds.catalogue.certificates import authority, client_certificate
from pannier_crds.catalogue.model import ComponentType, Field
from pannier_crds.catalogue.pairs import both_or_none, needs
from pannier_crds.catalogue.timeouts import timeout
from pannier_crds.problems import error, metadata_path

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from pannier_crds.catalogue.model import Setting
    from pannier_crds.problems import Problem

FIELDS: Final = (
    Field(
        "endpoints",
        description="host:port, several separated by commas for the members of one cluster",
        reads=hosts.http_url_list,
        required=True,
        places_data=True,
    ),
    Field(
        "keyPrefixPath",
        description="Prefix of each stored key; a slash follows it",
        default="",
        places_data=True,
    ),
    Field("tlsEnable", "boolean", description="Whether to use TLS", default=False),
    authority("ca"),
    *client_certificate("cert", "key"),
    Field("username", description="User of etcd's own authentication"),
    Field("password", description="Password", sensitive=True),
    timeout(5.0),
    Field(
        "maxTxnOps",
        "integer",
        description="Maximum number of operations in a transaction; the servers' --max-txn-ops",
        default=128,
        minimum=1,
    ),
)


def _certificates_need_tls(settings: Mapping[str, Setting], given: frozenset[str]) -> Iterator[Problem]:
    endpoints = settings.get("endpoints")
    by_tls = settings.get("tlsEnable") is True or (isinstance(endpoints, str) and "https://" in endpoints)
    for name in ("ca", "cert", "key"):
        if name in given and not by_tls and "endpoints" in settings and "tlsEnable" in settings:
            yield error(metadata_path(name), f"{name} needs TLS", f'add tlsEnable: "true", or remove {name}')
            return


_RULES: Final = (
    _certificates_need_tls,
    needs(*both_or_none("cert", "key"), *both_or_none("username", "password")),
)

TYPES: Final = tuple(
    ComponentType(
        "state.etcd",
        title=title,
        versions=(version,),
        features=("ETAG", "TRANSACTIONAL", "TTL", "KEYS_LIKE"),
        fields=(*FIELDS, *every_state_store.FIELDS),
        rules=_RULES,
    )
    for title, version in (("etcd", "v1"), ("etcd, version 2", "v2"))
)
