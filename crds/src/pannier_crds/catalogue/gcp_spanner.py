"""`state.gcp.spanner`: Google Cloud Spanner. Dapr has no such store, so the fields are ours, in Spanner's terms."""

from __future__ import annotations

from typing import Final

from pannier_crds.addresses import hosts
from pannier_crds.catalogue import every_state_store
from pannier_crds.catalogue.model import ComponentType, Field, Form
from pannier_crds.catalogue.timeouts import timeout

_TABLE_NAME: Final = Form(
    r"(?a:[A-Za-z]\w{0,127}(\.[A-Za-z]\w{0,127})?)",
    "a table name",
    "write TABLE or SCHEMA.TABLE; each is letters, digits and underscores, and starts with a letter",
)

FIELDS: Final = (
    Field("projectId", description="Project that the instance belongs to", required=True, places_data=True),
    Field("instanceId", description="Spanner instance", required=True, aliases=("instance",), places_data=True),
    Field(
        "databaseId",
        description="Database of the instance, in GoogleSQL's dialect",
        required=True,
        aliases=("database",),
        places_data=True,
    ),
    Field(
        "tableName",
        description="Table that holds the state; it must exist",
        default="state",
        aliases=("table",),
        form=_TABLE_NAME,
        places_data=True,
    ),
    Field(
        "credentialsJSON",
        description="Key of a service account, JSON text; without it the application default credentials",
        aliases=("credentials",),
        sensitive=True,
    ),
    Field(
        "endpoint",
        description="host:port of the service",
        default="spanner.googleapis.com:443",
        reads=hosts.host_port,
        places_data=True,
    ),
    Field(
        "emulatorHost",
        description="host:port of an emulator, which is called without TLS and credentials",
        reads=hosts.host_port,
        places_data=True,
    ),
    timeout(10.0),
    Field(
        "maxSessions",
        "integer",
        description="Maximum number of sessions; each call in progress takes one",
        default=100,
        minimum=1,
        maximum=10_000,
    ),
)

TYPES: Final = (
    ComponentType(
        "state.gcp.spanner",
        title="GCP Spanner",
        features=("ETAG", "TRANSACTIONAL", "TTL", "KEYS_LIKE"),
        fields=(*FIELDS, *every_state_store.FIELDS),
    ),
)
