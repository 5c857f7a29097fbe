"""`secretstores.aws.parameterstore`: the parameters of AWS Systems Manager."""

from __future__ import annotations

from typing import Final

from pannier_crds.catalogue import aws_profile, every_secret_store
from pannier_crds.catalogue.model import ComponentType, Field

TYPES: Final = (
    ComponentType(
        "secretstores.aws.parameterstore",
        title="AWS Parameter Store",
        fields=(
            Field("prefix", description="Prefix of the names of the parameters, such as /shop/", default=""),
            *aws_profile.fields(),
            *every_secret_store.FIELDS,
        ),
        rules=aws_profile.RULES,
    ),
)
