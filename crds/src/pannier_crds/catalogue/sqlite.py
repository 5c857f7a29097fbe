"""`state.sqlite`: an embedded database in one file."""

from __future__ import annotations

from typing import Final

from pannier_crds.addresses import sqlite
from pannier_crds.catalogue import every_state_store
from pannier_crds.catalogue.model import ComponentType, Field, Form
from pannier_crds.catalogue.two_tables import TIMES, metadata_table, state_table, tables_differ

_TABLE_NAME: Final = Form(
    r"(?a:[A-Za-z_]\w{0,62})",
    "a table name",
    "write letters, digits and underscores, starting with a letter or an underscore, 63 at most",
)

FIELDS: Final = (
    Field(
        "connectionString",
        description="Path or file: URI of the database file, or :memory:; without it a file in the user's data folder",
        reads=sqlite.read,
        aliases=("url",),
        places_data=True,
        names_a_file=True,
    ),
    state_table(_TABLE_NAME),
    metadata_table(_TABLE_NAME, "metadata"),
    *TIMES,
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
)

TYPES: Final = (
    ComponentType(
        "state.sqlite",
        title="SQLite",
        aliases=("state.sqlite3",),
        features=("ETAG", "TRANSACTIONAL", "TTL", "KEYS_LIKE"),
        fields=(*FIELDS, *every_state_store.FIELDS),
        rules=(tables_differ,),
    ),
)
