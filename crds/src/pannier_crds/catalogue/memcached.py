"""`state.memcached`: one memcached, or several that share the keys."""

from __future__ import annotations

from typing import Final

from pannier_crds.addresses import hosts
from pannier_crds.catalogue import every_state_store
from pannier_crds.catalogue.certificates import INSECURE, authority
from pannier_crds.catalogue.model import ComponentType, Field
from pannier_crds.catalogue.timeouts import timeout

TYPES: Final = (
    ComponentType(
        "state.memcached",
        title="Memcached",
        features=("ETAG", "TTL"),
        fields=(
            Field(
                "hosts",
                description="host or host:port or the path of a Unix socket, several separated by commas",
                reads=hosts.socket_or_host_list,
                required=True,
                places_data=True,
            ),
            timeout(1.0, "Timeout of connecting, and of a probe", bare_unit="ms"),
            Field("username", description="User, where memcached runs with -Y"),
            Field("password", description="Password", sensitive=True),
            Field("enableTLS", "boolean", description="Whether to use TLS", default=False),
            INSECURE,
            authority(),
            *every_state_store.FIELDS,
            Field("maxIdleConnections", ignored="all calls share one connection to each server"),
        ),
    ),
)
