"""`state.redis`: Redis, or a database that speaks its protocol: one node, nodes behind Sentinel, or a cluster."""

from __future__ import annotations

from typing import Final

from pannier_crds.addresses import hosts
from pannier_crds.catalogue import every_state_store, redis_rules, tokens
from pannier_crds.catalogue.certificates import INSECURE, authority, client_certificate
from pannier_crds.catalogue.changes import CHANGES
from pannier_crds.catalogue.model import ComponentType, Field, Form
from pannier_crds.catalogue.timeouts import timeout

_ONE_CONNECTION: Final = "all calls share one connection, so there is no pool to set"
_NO_QUERIES: Final = "a query reads the values, so no index is made"
_OIDC_REFUSED: Final = (
    "signing in with OpenID Connect is not served",
    "take this field out and write redisUsername and redisPassword, or useEntraID",
)

_ADDRESS: Final = (
    Field(
        "redisHost",
        description="host or host:port, several separated by commas for Sentinel and Cluster",
        reads=hosts.host_list,
        required=True,
        places_data=True,
    ),
    Field(
        "redisPort",
        "integer",
        description="Port of hosts written without one",
        minimum=1,
        maximum=65535,
        places_data=True,
    ),
    Field("redisUsername", description="User of Redis 6 and later"),
    Field("redisPassword", description="Password", sensitive=True),
    Field("redisDB", "integer", description="Number of the database", default=0, minimum=0, places_data=True),
    Field(
        "redisType",
        "choice",
        description="Whether redisHost is one node (also one behind Sentinel) or a Redis Cluster",
        default="node",
        choices=("node", "cluster"),
        places_data=True,
    ),
    Field("failover", "boolean", description="Whether redisHost lists Sentinels", default=False, places_data=True),
    Field("sentinelMasterName", description="Name under which the Sentinels know the master", places_data=True),
    Field("sentinelUsername", description="User of the Sentinels"),
    Field("sentinelPassword", description="Password of the Sentinels", sensitive=True),
)

_ENCRYPTED_CONNECTION: Final = (
    Field("enableTLS", "boolean", description="Whether to use TLS", default=False),
    INSECURE,
    authority(),
    *client_certificate(),
)

_TIMEOUTS_AND_RETRIES: Final = (
    timeout(5.0, "Timeout of connecting", name="dialTimeout", bare_unit="ms"),
    timeout(3.0, "Timeout of an answer", name="readTimeout", bare_unit="ms"),
    timeout(3.0, "Timeout of sending a call", name="writeTimeout", bare_unit="ms"),
    Field(
        "redisMaxRetries",
        "integer",
        description="How often a call that may be repeated is repeated; 0 or -1: never",
        default=3,
        aliases=("maxRetries",),
        minimum=-1,
    ),
    Field(
        "redisMinRetryInterval",
        "duration",
        description="Shortest pause before trying again",
        default=0.008,
        bare_unit="ms",
    ),
    Field(
        "redisMaxRetryInterval",
        "duration",
        description="Longest pause before trying again",
        default=2.0,
        bare_unit="ms",
    ),
    Field(
        "maxRetryBackoff",
        "duration",
        description="Older name of redisMinRetryInterval, in nanoseconds",
        bare_unit="ns",
        stands_for="redisMinRetryInterval",
    ),
)

_PUB_SUB: Final = "it is for pub/sub over Redis, and this is a state store"

_WITHOUT_EFFECT: Final = tuple(
    Field(name, ignored=_ONE_CONNECTION)
    for name in ("poolSize", "poolTimeout", "minIdleConns", "maxConnAge", "idleTimeout", "idleCheckFrequency")
) + (
    Field("queryIndexes", ignored=_NO_QUERIES),
    *(
        Field(name, ignored=_PUB_SUB)
        for name in (
            "consumerID",
            "redeliverInterval",
            "processingTimeout",
            "queueDepth",
            "concurrency",
            "maxLenApprox",
        )
    ),
    *tokens.OIDC,
)

_REFUSED: Final = (Field("useOIDC", "boolean", refused=_OIDC_REFUSED),)
_TOKENS: Final = (
    tokens.entra_id("useEntraID", "useAzureAD"),
    tokens.AWS_IAM,
    Field(
        "cacheName",
        description="Name of the replication group or of the serverless cache in ElastiCache, for useAWSIAM",
        form=Form(
            r"(?a:[a-zA-Z][a-zA-Z0-9-]{0,49})",
            "the name of a cache",
            "write letters, digits and '-', as ElastiCache has it",
        ),
    ),
    Field(
        "isServerlessCache",
        "boolean",
        description="Whether cacheName is a serverless cache",
        default=False,
    ),
    *tokens.AZURE,
    *tokens.AWS,
)
TYPES: Final = (
    ComponentType(
        "state.redis",
        title="Redis",
        features=("ETAG", "TRANSACTIONAL", "TTL", "KEYS_LIKE"),
        fields=(
            *_ADDRESS,
            *_ENCRYPTED_CONNECTION,
            *_TIMEOUTS_AND_RETRIES,
            *every_state_store.FIELDS,
            CHANGES,
            *_TOKENS,
            *tokens.PROVIDER,
            *_WITHOUT_EFFECT,
            *_REFUSED,
        ),
        rules=(*redis_rules.RULES, *tokens.rules("useEntraID")),
    ),
)
