"""`TYPE`: TITLE."""

from __future__ import annotations

from typing import Final

from pannier_crds.addresses import hosts
from pannier_crds.catalogue import every_state_store
from pannier_crds.catalogue.model import ComponentType, Field
from pannier_crds.catalogue.timeouts import timeout

TYPES: Final = (
    ComponentType(
        "TYPE",
        title="TITLE",
        features=("ETAG", "TTL"),
        fields=(
            Field(
                "host",
                description="host or host:port of the server",
                reads=hosts.host_port,
                required=True,
                places_data=True,
            ),
            Field("username", description="User"),
            Field("password", description="Password", sensitive=True),
            timeout(5.0),
            *every_state_store.FIELDS,
        ),
    ),
)
