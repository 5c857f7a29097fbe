"""`state.postgresql` and `state.cockroachdb`: rows of a table, in the layouts of Dapr's two versions of it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from pannier_crds.addresses import postgresql
from pannier_crds.catalogue import every_state_store, tokens
from pannier_crds.catalogue.changes import CHANGES
from pannier_crds.catalogue.model import ComponentType, Field, Form
from pannier_crds.catalogue.two_tables import TIMES, connections, metadata_table, state_table, tables_differ
from pannier_crds.problems import InvalidValueError, error, warning

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from pannier_crds.catalogue.model import Setting
    from pannier_crds.problems import Problem

_NAME: Final = r"[A-Za-z_]\w{0,62}"
_TABLE: Final = Form(
    rf"(?a:({_NAME}\.)?{_NAME})",
    "the name of a table",
    "write letters, digits and underscores, with the schema and a dot before it if need be, such as public.state",
)
# `state` follows it, and the whole name may have 63 letters.
_TABLE_PREFIX: Final = Form(
    rf"(?a:({_NAME}\.)?([A-Za-z_]\w{{0,57}})?)",
    "the beginning of a table's name",
    "write letters, digits and underscores, with the schema and a dot before them if need be, such as public.shop_",
)
_ADDRESS: Final = (
    Field(
        "connectionString",
        description="URL (postgresql://user@host/database?sslmode=require) or keywords (host=... user=...)",
        aliases=("url",),
        sensitive=True,
        reads=postgresql.read,
        places_data=True,
    ),
    Field("host", description="Host, or the folder of a Unix socket", reads=postgresql.read_hosts, places_data=True),
    Field(
        "hostaddr", description="IP address, instead of the host's name", reads=postgresql.read_hosts, places_data=True
    ),
    Field("port", "integer", description="Port, 5432 by default", minimum=1, maximum=65535, places_data=True),
    Field("database", description="Name of the database", places_data=True),
    Field("user", description="User"),
    Field("password", description="Password", sensitive=True),
    Field("sslRootCert", description="File of the authority that signed the server's certificate"),
)
_TIMEOUTS_AND_CONNECTIONS: Final = (
    *TIMES,
    *connections(1800.0),
    Field(
        "queryExecMode",
        "choice",
        description="Whether direct connections keep prepared statements: only with cache_statement. "
        "Connections to a pooler such as PgBouncer never keep them",
        default="cache_statement",
        choices=("cache_statement", "cache_describe", "describe_exec", "exec", "simple_protocol"),
    ),
)
_METADATA_TABLE: Final = metadata_table(_TABLE, "dapr_metadata")
_TOKENS: Final = (tokens.entra_id(), tokens.AWS_IAM, *tokens.AZURE, *tokens.AWS)


_TABLE_PREFIX_FIELD: Final = Field(
    "tablePrefix",
    description="Beginning of the name of the table that holds the state; 'state' follows",
    form=_TABLE_PREFIX,
    places_data=True,
)
_NO_TABLE_NAME: Final = Field("tableName", ignored="version v2 names its table by tablePrefix")
_PASSWORD_INSTEAD: Final = (
    "CockroachDB takes no tokens of Azure or AWS",
    "take this field out and write user and password, or a connectionString that has them",
)
_REFUSED_BY_COCKROACHDB: Final = (
    Field("useAzureAD", "boolean", refused=_PASSWORD_INSTEAD),
    Field("useAWSIAM", "boolean", refused=_PASSWORD_INSTEAD),
)
"""Dapr hands them on in version 2, because its code is that of PostgreSQL."""
_FEATURES: Final = ("ETAG", "TRANSACTIONAL", "TTL", "KEYS_LIKE")


def _has_an_address(settings: Mapping[str, Setting], given: frozenset[str]) -> Iterator[Problem]:
    if given.isdisjoint({"connectionString", "host", "hostaddr"}):
        yield error("spec.metadata", "connectionString is missing", "add connectionString, or host, database and user")


def _token_can_be_sent(settings: Mapping[str, Setting], given: frozenset[str]) -> Iterator[Problem]:
    by_aws = settings.get("useAWSIAM") is True
    if not by_aws and settings.get("useAzureAD") is not True:
        return
    fields = {name: settings.get(name) for name in postgresql.FIELDS}
    if any(name in given and settings.get(name) is None for name in (*fields, "connectionString")):
        return  # a reference that is not read yet, or a wrong value
    try:
        parameters = postgresql.combined(settings.get("connectionString"), fields)
        postgresql.check_token(parameters, by_aws=by_aws and settings.get("useAzureAD") is not True)
    except InvalidValueError as wrong:
        yield error("spec.metadata", wrong.message, wrong.advice)
        return
    if parameters.get("password"):
        switch = "useAzureAD" if settings.get("useAzureAD") is True else "useAWSIAM"
        yield warning("spec.metadata", f"the password has no effect beside {switch}", "take it out")


_RULES: Final = (_has_an_address, _token_can_be_sent, *tokens.rules())

TYPES: Final = (
    ComponentType(
        "state.postgresql",
        title="PostgreSQL",
        aliases=("state.postgres",),
        features=_FEATURES,
        fields=(
            *_ADDRESS,
            state_table(_TABLE),
            _METADATA_TABLE,
            *_TIMEOUTS_AND_CONNECTIONS,
            *every_state_store.FIELDS,
            CHANGES,
            *_TOKENS,
        ),
        rules=(*_RULES, tables_differ),
    ),
    ComponentType(
        "state.postgresql",
        title="PostgreSQL, version 2",
        versions=("v2",),
        aliases=("state.postgres",),
        features=_FEATURES,
        fields=(
            *_ADDRESS,
            _TABLE_PREFIX_FIELD,
            _METADATA_TABLE,
            *_TIMEOUTS_AND_CONNECTIONS,
            *every_state_store.FIELDS,
            CHANGES,
            _NO_TABLE_NAME,
            *_TOKENS,
        ),
        rules=_RULES,
    ),
    ComponentType(
        "state.cockroachdb",
        title="CockroachDB",
        features=_FEATURES,
        fields=(
            *_ADDRESS,
            state_table(_TABLE),
            _METADATA_TABLE,
            *_TIMEOUTS_AND_CONNECTIONS,
            *every_state_store.FIELDS,
        ),
        rules=(_has_an_address, tables_differ),
    ),
    ComponentType(
        "state.cockroachdb",
        title="CockroachDB, version 2",
        versions=("v2",),
        features=_FEATURES,
        fields=(
            *_ADDRESS,
            _TABLE_PREFIX_FIELD,
            _METADATA_TABLE,
            *_TIMEOUTS_AND_CONNECTIONS,
            *every_state_store.FIELDS,
            _NO_TABLE_NAME,
            *_REFUSED_BY_COCKROACHDB,
        ),
        rules=(_has_an_address,),
    ),
)
