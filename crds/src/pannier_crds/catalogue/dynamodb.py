"""`state.aws.dynamodb`: a table of Amazon DynamoDB, or of a server that speaks its protocol."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from pannier_crds.catalogue import aws_profile, every_state_store
from pannier_crds.catalogue.model import ComponentType, Field, Form
from pannier_crds.catalogue.timeouts import timeout
from pannier_crds.problems import error, metadata_path

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from pannier_crds.catalogue.model import Rule, Setting
    from pannier_crds.problems import Problem

_TABLE: Final = Form(
    r"(?a:[\w.-]{3,255}|arn:[\w-]+:dynamodb:\S+)",
    "a table",
    "write its name (3 to 255 letters, digits, '_', '-' or '.') or its ARN",
)

FIELDS: Final = (
    Field("table", description="Name or ARN of the table", required=True, form=_TABLE, places_data=True),
    *aws_profile.fields(places_data=True),
    Field(
        "partitionKey",
        description="Attribute that is the table's partition key, of type String",
        default="key",
        places_data=True,
    ),
    Field(
        "ttlAttributeName",
        description="Attribute for the time of expiry; enable the table's TTL on it, so that expired items are removed",
        # Dapr has no default and drops the TTL of every write without it, which is never done here.
        default="expiresAt",
    ),
    timeout(10.0, "Timeout of one call, further attempts included"),
    Field("maxConnections", "integer", description="Maximum number of connections", default=50, minimum=1),
)


def _attributes_differ(settings: Mapping[str, Setting], given: frozenset[str]) -> Iterator[Problem]:
    taken = {"value": "the value", "etag": "the ETag"}
    for name, what in (("partitionKey", "the key"), ("ttlAttributeName", "the time of expiry")):
        attribute = settings.get(name)
        if isinstance(attribute, str):
            if attribute in taken:
                message = f"{what} and {taken[attribute]} would share one attribute"
                yield error(metadata_path(name, "value"), message, "write another name")
            taken[attribute] = what


RULES: Final[tuple[Rule, ...]] = (*aws_profile.RULES, _attributes_differ)

TYPES: Final = (
    ComponentType(
        "state.aws.dynamodb",
        title="Amazon DynamoDB",
        features=("ETAG", "TRANSACTIONAL", "TTL", "KEYS_LIKE"),
        fields=(*FIELDS, *every_state_store.FIELDS),
        rules=RULES,
    ),
)
