"""`state.sqlserver`: rows of a table of SQL Server or Azure SQL, in the layouts of Dapr's two versions of it."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Final, NamedTuple

from pannier_crds.addresses import sqlserver
from pannier_crds.catalogue import azure_profile, every_state_store, tokens
from pannier_crds.catalogue.model import ComponentType, Field, Form
from pannier_crds.catalogue.two_tables import TIMES, connections, metadata_table, state_table, tables_differ
from pannier_crds.problems import InvalidValueError, error, metadata_path
from pannier_crds.secret import Secret, reveal

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from pannier_crds.catalogue.model import Setting
    from pannier_crds.problems import Problem

NAME: Final = re.compile(r"(?a:\w{1,110})")
"""Names of databases, schemas, tables and columns: 128 characters less what names of constraints have before them."""
_NAME: Final = Form(NAME.pattern, "a name", "write up to 110 letters, digits and underscores")
_PROPERTY: Final = re.compile(r"(?a:\w[\w.\[\]]{0,199})")
_TYPE: Final = re.compile(r"(?a:[A-Za-z]\w{0,30}(\( *(\d{1,4}|max)( *, *\d{1,2})? *\))?)", re.IGNORECASE)
_PROPERTIES: Final = 'write [{"column": "NAME", "property": "a.b", "type": "nvarchar(100)"}]'


class IndexedProperty(NamedTuple):
    """A property of JSON values that has a column, and an index, of its own."""

    column: str
    property: str
    """Its path in the value, without `$.` before it."""
    type: str


def indexed_properties(text: str) -> tuple[IndexedProperty, ...]:
    """Return what the text of `indexedProperties` lists. Raises InvalidValueError."""
    try:
        listed = json.loads(text) if text.strip() else []
    except (ValueError, RecursionError):
        raise InvalidValueError("it is no JSON", _PROPERTIES) from None
    if not isinstance(listed, list):
        raise InvalidValueError("it is no list", _PROPERTIES)
    return tuple(_property(place, each) for place, each in enumerate(listed, 1))


def _property(place: int, listed: object) -> IndexedProperty:
    patterns = {"column": NAME, "property": _PROPERTY, "type": _TYPE}
    if not isinstance(listed, dict) or listed.keys() != patterns.keys():
        raise InvalidValueError(f"entry {place} has not column, property and type", _PROPERTIES)
    for name, pattern in patterns.items():
        if not isinstance(listed[name], str) or pattern.fullmatch(listed[name]) is None:
            raise InvalidValueError(f"{name} of entry {place} has characters that are not allowed", _PROPERTIES)
    return IndexedProperty(**listed)


def _one_login(settings: Mapping[str, Setting], given: frozenset[str]) -> Iterator[Problem]:
    """Yield what is wrong if there is no user, or one beside a token."""
    address = settings.get("connectionString")
    if not isinstance(address, str | Secret):
        return
    try:
        user = sqlserver.data_source(reveal(address)).user
    except InvalidValueError:
        return
    uses_token = settings.get("useAzureAD") is True
    if uses_token and user:
        message = "connectionString has a user, and useAzureAD signs in without one"
        yield error("spec.metadata", message, "take the user and the password out of connectionString")
    if not uses_token and not user and not isinstance(settings.get("useAzureAD"), Secret):
        message = "connectionString has no user"
        yield error("spec.metadata", message, "write user id and password into it, or add useAzureAD: true")


def _key_has_a_length(settings: Mapping[str, Setting], given: frozenset[str]) -> Iterator[Problem]:
    if "keyLength" in given and settings.get("keyType", "string") != "string":
        path = metadata_path("keyLength")
        yield error(path, "keyLength is for keys that are strings", "take it out, or write keyType: string")


_FIELDS: Final = (
    Field(
        "connectionString",
        description="server=HOST;user id=USER;password=PASSWORD;encrypt=true, or odbc:..., or sqlserver://...",
        aliases=("url",),
        required=True,
        sensitive=True,
        reads=sqlserver.read,
        places_data=True,
    ),
    Field(
        "databaseName",
        description="Database, if connectionString names none; created if it is missing and the user may",
        aliases=("database",),
        default="dapr",
        form=_NAME,
        places_data=True,
    ),
    Field(
        "schemaName",
        description="Schema of the tables; created if it is missing and the user may",
        aliases=("schema",),
        default="dbo",
        form=_NAME,
        places_data=True,
    ),
    state_table(_NAME),
    metadata_table(_NAME, "dapr_metadata"),
    Field(
        "keyType",
        "choice",
        description="What keys are: with uuid and integer, keys are such, and keyPrefix must be none",
        default="string",
        choices=("string", "uuid", "integer"),
    ),
    Field(
        "keyLength",
        "integer",
        description="Characters of a key, prefix included, if the table has to be created",
        default=200,
        minimum=1,
        maximum=450,
    ),
    Field(
        "indexedProperties",
        description="Properties of JSON values that get a column and an index: "
        '[{"column": "NAME", "property": "a.b", "type": "nvarchar(100)"}]',
        reads=indexed_properties,
    ),
    tokens.entra_id(),
    *tokens.AZURE,
    *TIMES,
    *connections(300.0),
)
_RULES: Final = (tables_differ, _one_login, _key_has_a_length, *azure_profile.RULES)

TYPES: Final = (
    ComponentType(
        "state.sqlserver",
        title="SQL Server",
        features=("ETAG", "TRANSACTIONAL", "TTL", "KEYS_LIKE"),
        fields=(*_FIELDS, *every_state_store.FIELDS),
        rules=_RULES,
    ),
    ComponentType(
        "state.sqlserver",
        title="SQL Server, version 2",
        versions=("v2",),
        features=("ETAG", "TRANSACTIONAL", "TTL", "KEYS_LIKE"),
        fields=(
            *_FIELDS,
            Field(
                "bulkGetChunkSize",
                "integer",
                description="Maximum number of keys that one statement reads",
                default=1000,
                minimum=1,
                maximum=2000,
            ),
            *every_state_store.FIELDS,
        ),
        rules=_RULES,
    ),
)
