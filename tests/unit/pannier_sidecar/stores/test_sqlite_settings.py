"""Reading a component's SQLite settings: paths, URIs and defaults."""

import logging
from collections.abc import Mapping

import pytest
from unit.tables import each_row

from pannier_sidecar.state.store import Setting
from pannier_sidecar.stores.sqlite.settings import Location, locate, read_settings


@each_row(
    ("text", "location"),
    [
        ("data.db", Location("data.db", "file:data.db?mode=rwc")),
        (" /var/lib/app/data.db ", Location("/var/lib/app/data.db", "file:/var/lib/app/data.db?mode=rwc")),
        ("file:data.db", Location("data.db", "file:data.db?mode=rwc")),
        ("FILE:data.db", Location("data.db", "file:data.db?mode=rwc")),
        ("file:///var/data.db", Location("/var/data.db", "file:/var/data.db?mode=rwc")),
        ("file://localhost/var/data.db", Location("/var/data.db", "file:/var/data.db?mode=rwc")),
        ("file:a%20b%3Fc.db", Location("a b?c.db", "file:a%20b%3Fc.db?mode=rwc")),
        ("a b#c%.db", Location("a b#c%.db", "file:a%20b%23c%25.db?mode=rwc")),
        ("x.db?mode=ro", Location("x.db", "file:x.db?mode=ro", True, False)),
        ("x.db?mode=rw", Location("x.db", "file:x.db?mode=rw", False, False)),
        ("x.db?immutable=1", Location("x.db", "file:x.db?mode=rwc&immutable=1", True, True)),
        ("x.db?_txlock=immediate&cache=shared", Location("x.db", "file:x.db?mode=rwc")),
        (
            "x.db?_pragma=synchronous(NORMAL)&_pragma=cache_size(-500)",
            Location("x.db", "file:x.db?mode=rwc", pragmas=("synchronous=NORMAL", "cache_size=-500")),
        ),
        (":memory:", Location("", "file::memory:")),
        ("file::memory:?cache=shared", Location("", "file::memory:")),
        ("file:anything?mode=memory&cache=shared", Location("", "file::memory:")),
    ],
)
def test_where_the_database_is(text: str, location: Location) -> None:
    assert locate(text) == location


def test_an_unknown_parameter_is_reported(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        locate("x.db?vfs=s3cret")
    assert "a parameter that is not known" in caplog.text and "s3cret" not in caplog.text


def test_settings_have_defaults() -> None:
    settings = read_settings({"connectionString": "x.db"})
    assert (settings.table, settings.metadata_table) == ("state", "metadata")
    assert (settings.timeout, settings.busy_timeout, settings.cleanup_interval) == (20, 2, 3600)
    assert settings.uses_wal


@each_row(
    ("given", "name", "value"),
    [
        ({"tableName": "orders"}, "table", "orders"),
        ({"metadataTableName": "_m1"}, "metadata_table", "_m1"),
        ({"timeout": 1.5}, "timeout", 1.5),
        ({"busyTimeout": -1.0}, "busy_timeout", 0),
        ({"cleanupInterval": 0}, "cleanup_interval", 0),
        ({"cleanupInterval": -1.0}, "cleanup_interval", 0),
        ({"cleanupInterval": None}, "cleanup_interval", 3600),
        ({"disableWAL": True}, "uses_wal", False),
        ({"disableWAL": False}, "uses_wal", True),
    ],
)
def test_what_is_given(given: Mapping[str, Setting], name: str, value: object) -> None:
    assert getattr(read_settings({"connectionString": "x.db", **given}), name) == value
