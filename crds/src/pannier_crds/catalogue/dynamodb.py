"""`state.aws.dynamodb`: a table of Amazon DynamoDB, or of a server that speaks its protocol."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from pannier_crds.addresses import hosts
from pannier_crds.catalogue import every_state_store
from pannier_crds.catalogue.model import ComponentType, Field, Form
from pannier_crds.catalogue.pairs import both_or_none, needs
from pannier_crds.catalogue.timeouts import timeout
from pannier_crds.problems import error, metadata_path

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from pannier_crds.catalogue.model import Rule, Setting
    from pannier_crds.problems import Problem

_ROLES_REFUSED: Final = (
    "signing in as another role is not served",
    "take this field out, and give the role to the pod's service account (EKS Pod Identity or IRSA)",
)
_TABLE: Final = Form(
    r"(?a:[\w.-]{3,255}|arn:[\w-]+:dynamodb:\S+)",
    "a table",
    "write its name (3 to 255 letters, digits, '_', '-' or '.') or its ARN",
)
_ADDRESS: Final = Form(
    r"https?://[^\s/]+/?", "an endpoint", "write a URL such as http://localhost:8000, without a path"
)

FIELDS: Final = (
    Field("table", description="Name or ARN of the table", required=True, form=_TABLE, places_data=True),
    Field(
        "region",
        description="AWS region, such as eu-central-1; without it the one of AWS_REGION or of the AWS configuration",
        aliases=("awsRegion",),
        places_data=True,
    ),
    Field(
        "endpoint",
        description="URL of a server other than the region's, such as http://localhost:8000",
        reads=hosts.full_url,
        form=_ADDRESS,
        places_data=True,
    ),
    Field(
        "accessKey",
        description="Access key; without it the credentials that AWS gives the pod, the host or the environment",
        sensitive=True,
    ),
    Field("secretKey", description="Secret of the access key", sensitive=True),
    Field("sessionToken", description="Token of temporary credentials", sensitive=True),
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
    *(Field(name, refused=_ROLES_REFUSED) for name in ("assumeRoleArn", "trustAnchorArn", "trustProfileArn")),
    Field(
        "sessionName",
        aliases=("assumeRoleSessionName",),
        ignored="it names the session of an assumed role, and no role is assumed",
    ),
)


_KEYS_ARE_WHOLE: Final = needs(*both_or_none("accessKey", "secretKey"), ("sessionToken", "accessKey"), or_remove=True)


def _attributes_differ(settings: Mapping[str, Setting], given: frozenset[str]) -> Iterator[Problem]:
    taken = {"value": "the value", "etag": "the ETag"}
    for name, what in (("partitionKey", "the key"), ("ttlAttributeName", "the time of expiry")):
        attribute = settings.get(name)
        if isinstance(attribute, str):
            if attribute in taken:
                message = f"{what} and {taken[attribute]} would share one attribute"
                yield error(metadata_path(name, "value"), message, "write another name")
            taken[attribute] = what


RULES: Final[tuple[Rule, ...]] = (_KEYS_ARE_WHOLE, _attributes_differ)

TYPES: Final = (
    ComponentType(
        "state.aws.dynamodb",
        title="Amazon DynamoDB",
        features=("ETAG", "TRANSACTIONAL", "TTL", "KEYS_LIKE"),
        fields=(*FIELDS, *every_state_store.FIELDS),
        rules=RULES,
    ),
)
