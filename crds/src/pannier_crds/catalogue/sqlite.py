"""`state.sqlite`: an embedded database in one file."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from pannier_crds.catalogue import every_state_store
from pannier_crds.catalogue.model import ComponentType, Field, Form
from pannier_crds.problems import error, metadata_path

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from pannier_crds.catalogue.model import Setting
    from pannier_crds.problems import Problem

_TABLE_NAME: Final = Form(
    r"(?a:[A-Za-z_]\w{0,62})",
    "a table name",
    "write letters, digits and underscores, starting with a letter or an underscore, 63 at most",
)

FIELDS: Final = (
    Field(
        "connectionString",
        description="Path or file: URI of the database file, or :memory:; without it a file in the user's data folder",
        aliases=("url",),
        places_data=True,
        names_a_file=True,
    ),
    Field("tableName", description="Table that holds the state", default="state", form=_TABLE_NAME, places_data=True),
    Field(
        "metadataTableName",
        description="Table that holds the layout's version and the time of the last clean-up",
        default="metadata",
        form=_TABLE_NAME,
    ),
    Field(
        "timeout",
        "duration",
        description="Longest time that one call may take",
        default=20.0,
        aliases=("timeoutInSeconds",),
        bare_unit="s",
        must_be_positive=True,
    ),
    Field(
        "busyTimeout",
        "duration",
        description="Longest wait for a lock that another process holds on the file",
        default=2.0,
        bare_unit="s",
    ),
    Field(
        "disableWAL",
        "boolean",
        description="Whether to keep SQLite's rollback journal, as network file systems need",
        default=False,
    ),
    Field(
        "cleanupInterval",
        "duration",
        description="Time between two removals of expired rows; 0 or less is never",
        default=3600.0,
        aliases=("cleanupIntervalInSeconds",),
        bare_unit="s",
    ),
)


def _tables_differ(settings: Mapping[str, Setting], given: frozenset[str]) -> Iterator[Problem]:
    # SQLite compares table names without regard to case.
    state, metadata = settings.get("tableName"), settings.get("metadataTableName")
    if isinstance(state, str) and isinstance(metadata, str) and state.lower() == metadata.lower():
        name = "tableName" if "tableName" in given else "metadataTableName"
        path = metadata_path(name, "value")
        yield error(path, f"state and metadata would share the table '{state}'", "give one of them another name")


TYPES: Final = (
    ComponentType(
        "state.sqlite",
        title="SQLite",
        aliases=("state.sqlite3",),
        features=("ETAG", "TRANSACTIONAL", "TTL", "KEYS_LIKE"),
        fields=(*FIELDS, *every_state_store.FIELDS),
        rules=(_tables_differ,),
    ),
)
