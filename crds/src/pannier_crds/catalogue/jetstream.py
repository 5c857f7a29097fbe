"""`state.jetstream`: a key/value bucket of NATS JetStream."""

from __future__ import annotations

from typing import Final

from pannier_crds.addresses import nats
from pannier_crds.catalogue import every_state_store
from pannier_crds.catalogue.certificates import INSECURE, authority, client_certificate
from pannier_crds.catalogue.model import ComponentType, Field, Form
from pannier_crds.catalogue.pairs import both_or_none, needs
from pannier_crds.catalogue.timeouts import timeout

TYPES: Final = (
    ComponentType(
        "state.jetstream",
        title="NATS JetStream",
        features=("ETAG", "TTL", "KEYS_LIKE"),
        fields=(
            Field(
                "natsURL",
                description="nats://host:port, or tls://host:port; several separated by commas. The login before "
                "the host is user:password@ or token@",
                reads=nats.server_list,
                required=True,
                sensitive=True,
                places_data=True,
            ),
            Field(
                "bucket",
                description="Name of a key/value bucket that exists: nats kv add BUCKET",
                required=True,
                form=Form(r"[A-Za-z0-9_-]{1,200}", "the name of a bucket", "write letters, digits, '-' and '_'"),
                places_data=True,
            ),
            Field(
                "name",
                description="Name of the connection in the server's lists",
                default="dapr.io - statestore.jetstream",
            ),
            Field("jwt", description="JWT of a user, where accounts are decentralized", sensitive=True),
            Field("seedKey", description="Seed of the user's nkey, which begins with SU", sensitive=True),
            timeout(5.0),
            INSECURE,
            authority(),
            *client_certificate(),
            *every_state_store.FIELDS,
        ),
        rules=(needs(*both_or_none("jwt", "seedKey"), *both_or_none("clientCert", "clientKey")),),
    ),
)
