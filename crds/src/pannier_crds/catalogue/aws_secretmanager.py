"""`secretstores.aws.secretmanager`: the secrets of AWS Secrets Manager."""

from __future__ import annotations

from typing import Final

from pannier_crds.catalogue import aws_profile, every_secret_store
from pannier_crds.catalogue.model import ComponentType, Field

TYPES: Final = (
    ComponentType(
        "secretstores.aws.secretmanager",
        title="AWS Secrets Manager",
        fields=(
            Field(
                "multipleKeyValuesPerSecret",
                "boolean",
                description="Whether a secret that is a JSON object has its fields as keys; otherwise a secret is one "
                "text",
                default=False,
            ),
            *aws_profile.fields(),
            *every_secret_store.FIELDS,
        ),
        rules=aws_profile.RULES,
    ),
)
