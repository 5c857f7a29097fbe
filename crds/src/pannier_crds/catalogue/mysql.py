"""`state.mysql`: rows of a table of MySQL or MariaDB, as Dapr lays them out."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from pannier_crds.addresses import mysql
from pannier_crds.catalogue import every_state_store, tokens
from pannier_crds.catalogue.model import ComponentType, Field, Form
from pannier_crds.catalogue.two_tables import TIMES, connections, metadata_table, state_table, tables_differ
from pannier_crds.problems import InvalidValueError, error, metadata_path, warning
from pannier_crds.secret import Secret, reveal

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from pannier_crds.catalogue.model import Setting
    from pannier_crds.problems import Problem

_NAME: Final = Form(r"(?a:\w{1,64})", "a name", "write up to 64 letters, digits and underscores")


def _authority_is_used(settings: Mapping[str, Setting], given: frozenset[str]) -> Iterator[Problem]:
    """Refuse tls=custom without a file, and a file without tls=custom, with which nothing would be encrypted."""
    address = settings.get("connectionString")
    if not isinstance(address, str | Secret):
        return
    try:
        is_custom = mysql.data_source(reveal(address)).tls == "custom"
    except InvalidValueError:
        return
    if is_custom and "pemPath" not in given:
        advice = "add pemPath, the file of the authority that signed the server's certificate, or write tls=true"
        yield error("spec.metadata", "connectionString has tls=custom, and pemPath is missing", advice)
    if "pemPath" in given and not is_custom:
        path = metadata_path("pemPath", "value")
        advice = "write tls=custom into connectionString, or take pemPath out"
        yield error(path, "pemPath is used only with tls=custom in connectionString", advice)


def _token_can_be_sent(settings: Mapping[str, Setting], given: frozenset[str]) -> Iterator[Problem]:
    by_azure, by_aws = settings.get("useAzureAD") is True, settings.get("useAWSIAM") is True
    address = settings.get("connectionString")
    if not (by_azure or by_aws) or not isinstance(address, str | Secret):
        return
    try:
        source = mysql.data_source(reveal(address))
        mysql.check_token(source, by_aws=by_aws and not by_azure)
    except InvalidValueError as wrong:
        yield error(metadata_path("connectionString", "value"), wrong.message, wrong.advice)
        return
    if source.password:
        message = f"the password has no effect beside {'useAzureAD' if by_azure else 'useAWSIAM'}"
        yield warning(metadata_path("connectionString", "value"), message, "write USER@ without a password")


TYPES: Final = (
    ComponentType(
        "state.mysql",
        title="MySQL and MariaDB",
        features=("ETAG", "TRANSACTIONAL", "TTL", "KEYS_LIKE"),
        fields=(
            Field(
                "connectionString",
                description="USER:PASSWORD@tcp(HOST:3306)/?tls=true, without a database. Parameters that only Dapr's "
                "driver needs, such as allowNativePasswords and parseTime, have no effect",
                aliases=("url",),
                required=True,
                sensitive=True,
                reads=mysql.read,
                places_data=True,
            ),
            Field(
                "schemaName",
                description="Database that holds the tables; created if it is missing and the user may",
                default="dapr_state_store",
                form=_NAME,
                places_data=True,
            ),
            state_table(_NAME),
            metadata_table(_NAME, "dapr_metadata"),
            Field(
                "pemPath",
                description="File of the authority that signed the server's certificate, for tls=custom",
            ),
            *TIMES,
            *connections(300.0),
            *every_state_store.FIELDS,
            tokens.entra_id(),
            tokens.AWS_IAM,
            *tokens.AZURE,
            *tokens.AWS,
        ),
        rules=(tables_differ, _authority_is_used, _token_can_be_sent, *tokens.rules()),
    ),
)
