"""`secretstores.local.env` and `secretstores.local.file`: secrets from this machine."""

from __future__ import annotations

from typing import Final

from pannier_crds.catalogue.model import ComponentType, Field

TYPES: Final = (
    ComponentType(
        "secretstores.local.env",
        title="Environment variables",
        fields=(Field("prefix", description="Prefix of the names of the variables", default=""),),
    ),
    ComponentType(
        "secretstores.local.file",
        title="JSON file",
        fields=(
            Field("secretsFile", description="path of a JSON file that holds the secrets", required=True),
            Field(
                "nestedSeparator",
                description="Separator between the names of nested secrets",
                default=":",
            ),
            Field(
                "multiValued",
                "boolean",
                description="Whether a top-level object is one secret with several keys",
                default=False,
            ),
        ),
    ),
)
