"""`state.hashicorp.consul`: Consul's key/value store."""

from __future__ import annotations

from typing import Final

from pannier_crds.addresses import hosts
from pannier_crds.catalogue import every_state_store
from pannier_crds.catalogue.certificates import INSECURE, authority
from pannier_crds.catalogue.model import ComponentType, Field, Form
from pannier_crds.catalogue.timeouts import timeout

TYPES: Final = (
    ComponentType(
        "state.hashicorp.consul",
        title="HashiCorp Consul",
        aliases=("state.consul",),
        features=("ETAG", "TRANSACTIONAL", "TTL", "KEYS_LIKE"),
        fields=(
            Field(
                "httpAddr",
                description="host:port of the agent, https:// before it for TLS",
                reads=hosts.agent_url,
                default="127.0.0.1:8500",
                places_data=True,
            ),
            Field(
                "scheme",
                "choice",
                description="Protocol of the agent's address",
                default="http",
                choices=("http", "https"),
            ),
            Field("datacenter", description="Datacenter with the state; by default the agent's", places_data=True),
            Field("aclToken", description="Secret id of a token that may write under the prefix", sensitive=True),
            Field(
                "keyPrefixPath",
                description="Folder in Consul that holds the stored keys",
                default="dapr",
                form=Form(
                    r"/*[A-Za-z0-9_~|.-]*[A-Za-z0-9_~|-][A-Za-z0-9_~|.-]*(/[A-Za-z0-9_~|.-]*[A-Za-z0-9_~|-][A-Za-z0-9_~|.-]*)*/*",
                    "the path of a folder",
                    "write names of letters, digits, '-', '_' and '.' with '/' between them",
                ),
                places_data=True,
            ),
            timeout(10.0),
            Field(
                "cleanupInterval",
                "duration",
                description="Time between removals of expired keys; 0 or less: never",
                default=3600.0,
                bare_unit="s",
            ),
            INSECURE,
            authority(whose="the agent's certificate"),
            *every_state_store.FIELDS,
        ),
    ),
)
