"""The fields with which a database takes a cloud's token instead of a password; those of Dapr's without effect."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final

from pannier_crds.catalogue import aws_profile, azure_profile
from pannier_crds.catalogue.model import Field, Form
from pannier_crds.problems import metadata_path, warning

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from pannier_crds.catalogue.model import Rule, Setting
    from pannier_crds.problems import Problem

_WHY: Final = "signing in with OpenID Connect is not served"
AZURE: Final = azure_profile.fields(environment="the database")
AWS: Final = tuple(
    replace(field, aliases=(*field.aliases, "awsIamRoleArn")) if field.name == "assumeRoleArn" else field
    for field in aws_profile.fields()
    if field.name != "endpoint"  # no service is called, only credentials are fetched
)
OIDC: Final = tuple(
    Field(name, ignored=_WHY, sensitive=name.endswith(("Secret", "Key")))
    for name in (
        "oidcTokenEndpoint",
        "oidcClientID",
        "oidcClientSecret",
        "oidcScopes",
        "oidcExtensions",
        "oidcResource",
        "oidcAudience",
        "oidcKid",
        "oidcClientAssertionCert",
        "oidcClientAssertionKey",
    )
)


def entra_id(name: str = "useAzureAD", *aliases: str) -> Field:
    """Return the field that has the sidecar sign in with Entra ID."""
    return Field(
        name,
        "boolean",
        description="Whether to sign in with a token of Entra ID instead of a password",
        default=False,
        aliases=aliases,
    )


AWS_IAM: Final = Field(
    "useAWSIAM",
    "boolean",
    description="Whether to sign in with a token of AWS IAM instead of a password",
    default=False,
)
CLASS: Final = Form(
    r"(?a:(?=.{1,200}\Z)[A-Za-z_]\w*(\.[A-Za-z_]\w*)*:[A-Za-z_]\w*(\.[A-Za-z_]\w*)*)",
    "the name of a class",
    "write module:Class, such as shop.credentials:Rotating",
)


def _arguments(text: str) -> object:
    from pannier_crds.credential_providers import arguments  # few components have any

    return arguments(text)


PROVIDER: Final = (
    Field(
        "credentialProvider",
        description="`module:Class` of a credential provider of redis-py, which the sidecar's owner must have listed",
        form=CLASS,
    ),
    Field(
        "credentialProviderArguments",
        description="A JSON object of the keyword arguments with which credentialProvider is called",
        sensitive=True,
        reads=_arguments,
    ),
    Field(
        "credentialProviderInterval",
        "duration",
        description="How often credentialProvider is asked again, unless it has said how long its credentials live",
        default=60.0,
        must_be_positive=True,
        bare_unit="s",
    ),
)
"""The fields with which Redis takes what a credential provider of redis-py gives; a component of another database has
none.
"""


def rules(switch: str = "useAzureAD") -> tuple[Rule, ...]:
    """Return the rules of the profiles, which hold if the component signs in so. `switch` is the field for Entra ID."""
    return (
        _profile_is_used(switch, AZURE),
        _profile_is_used(AWS_IAM.name, AWS),
        *(_if_on(switch, rule) for rule in azure_profile.RULES),
        *(_if_on(AWS_IAM.name, rule) for rule in aws_profile.RULES),
        _one_cloud(switch),
    )


def _profile_is_used(switch: str, fields: tuple[Field, ...]) -> Rule:
    def rule(settings: Mapping[str, Setting], given: frozenset[str]) -> Iterator[Problem]:
        unused = [field.name for field in fields if field.name in given]
        if unused and settings.get(switch) is False:
            advice = f'add {switch}: "true", or take it out'
            yield warning(metadata_path(unused[0]), f"{unused[0]} has no effect without {switch}", advice)

    return rule


def _if_on(switch: str, rule: Rule) -> Rule:
    def conditional(settings: Mapping[str, Setting], given: frozenset[str]) -> Iterator[Problem]:
        if settings.get(switch) is True:
            yield from rule(settings, given)

    return conditional


def _one_cloud(switch: str) -> Rule:
    def rule(settings: Mapping[str, Setting], given: frozenset[str]) -> Iterator[Problem]:
        if settings.get(switch) is True and settings.get(AWS_IAM.name) is True:  # the order is Dapr's
            message = f"{AWS_IAM.name} has no effect beside {switch}"
            yield warning(metadata_path(AWS_IAM.name), message, "keep one of them")

    return rule
