"""Dapr's fields for signing in to AWS, which every component of an AWS service has."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from pannier_crds.addresses import hosts
from pannier_crds.catalogue.model import Field, Form
from pannier_crds.catalogue.pairs import both_or_none, needs
from pannier_crds.problems import metadata_path, warning

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from pannier_crds.catalogue.model import Rule, Setting
    from pannier_crds.problems import Problem

_ANYWHERE_REFUSED: Final = (
    "signing in by IAM Roles Anywhere is not served",
    "take this field out, and give the role to the pod's service account (EKS Pod Identity or IRSA)",
)
_ROLE: Final = Form(
    r"(?a:arn:[\w-]+:iam::\d{12}:role/[\w+=,.@/-]+)", "the ARN of a role", "write arn:aws:iam::123456789012:role/NAME"
)
_SESSION: Final = Form(
    r"(?a:[\w+=,.@-]{2,64})", "the name of a session", "write 2 to 64 letters, digits or characters of _+=,.@-"
)
_ADDRESS: Final = Form(
    r"https?://[^\s/]+/?", "an endpoint", "write a URL such as http://localhost:8000, without a path"
)


def fields(*, places_data: bool = False) -> tuple[Field, ...]:
    """Return the fields; `places_data` is that of region and endpoint."""
    return (
        Field(
            "region",
            description="AWS region, such as eu-central-1; without it the one of AWS_REGION or of the AWS "
            "configuration",
            aliases=("awsRegion",),
            places_data=places_data,
        ),
        Field(
            "endpoint",
            description="URL of a server other than the region's, such as http://localhost:8000",
            reads=hosts.full_url,
            form=_ADDRESS,
            places_data=places_data,
        ),
        Field(
            "accessKey",
            description="Access key; without it the credentials that AWS gives the pod, the host or the environment",
            sensitive=True,
            aliases=("awsAccessKey",),
        ),
        Field("secretKey", description="Secret of the access key", sensitive=True, aliases=("awsSecretKey",)),
        Field(
            "sessionToken",
            description="Token of temporary credentials",
            sensitive=True,
            aliases=("awsSessionToken",),
        ),
        Field(
            "assumeRoleArn",
            description="ARN of a role that is assumed with the credentials of the pod, the host or the environment",
            form=_ROLE,
        ),
        Field(
            "sessionName",
            description="Name of the session of an assumed role",
            default="DaprDefaultSession",
            aliases=("assumeRoleSessionName",),
            form=_SESSION,
        ),
        *(Field(name, refused=_ANYWHERE_REFUSED) for name in ("trustAnchorArn", "trustProfileArn")),
    )


def _keys_win(settings: Mapping[str, Setting], given: frozenset[str]) -> Iterator[Problem]:
    if "assumeRoleArn" in given and "accessKey" in given:  # the order is Dapr's
        message = "assumeRoleArn has no effect beside accessKey"
        yield warning(metadata_path("assumeRoleArn"), message, "keep one of them")


RULES: Final[tuple[Rule, ...]] = (
    needs(*both_or_none("accessKey", "secretKey"), ("sessionToken", "accessKey"), or_remove=True),
    _keys_win,
)
