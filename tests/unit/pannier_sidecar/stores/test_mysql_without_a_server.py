"""What MySQL's store decides without its server."""

from base64 import b64encode

import aiomysql
import pytest
from hypothesis import given
from hypothesis import strategies as st
from unit.tables import each_row

from pannier_sidecar.state.errors import (
    KeyRefusedError,
    OutcomeUnknownError,
    StoreRefusedError,
    StoreUnavailableError,
)
from pannier_sidecar.state.requests import Set
from pannier_sidecar.stores.mysql import errors, layout
from pannier_sidecar.stores.mysql.settings import read_settings
from pannier_sidecar.stores.mysql.statements import Statements
from pannier_sidecar.stores.mysql.writing import check_write

ADDRESS = "u:letmein@tcp(db.example)/"


def test_settings_of_mysql_name_the_server_and_hide_the_password() -> None:
    settings = read_settings({"connectionString": ADDRESS})
    assert settings.where == "MySQL at db.example:3306"
    assert (settings.user, settings.password.reveal(), settings.tls) == ("u", "letmein", "false")
    assert "letmein" not in repr(settings)


@each_row(
    ["settings", "words"],
    {
        "no address": ({"connectionString": "db.example"}, "connectionString is no address"),
        "a name": ({"connectionString": ADDRESS, "schemaName": "a`b"}, "schemaName is no name"),
        "an authority that is not used": ({"connectionString": ADDRESS, "pemPath": "/ca"}, "go together"),
        "an authority that is not there": (
            {"connectionString": f"{ADDRESS}?tls=custom", "pemPath": "/no/such"},
            "pemPath is no file",
        ),
    },
)
def test_settings_of_mysql_that_cannot_work_are_refused(settings, words):
    with pytest.raises(StoreRefusedError, match=words):
        read_settings(settings)


@each_row(
    ["value", "kind"],
    {
        "a word": (b"true", "0"),
        "a number": (b"-12", "0"),
        "a text": ('"für alle"'.encode(), "0"),
        "a number that MySQL would round": (b"1234567890123456789", "1"),
        "an object": (b'{"a":1}', "1"),
        "an escape": (b'"\\u00fc"', "1"),
        "nothing": (b"", "1"),
        "bytes": (b'"\xff"', "1"),
    },
)
def test_values_that_json_would_change_are_base64(value, kind):
    assert layout.value_and_kind(value)[1] == kind


def test_no_character_of_a_key_or_a_value_is_in_a_statement_as_it_is() -> None:
    statement = Statements("`s`.`t`", layout.Table()).write([Set("'; DROP \\", b"'; DROP \\")])
    assert "DROP" not in statement


def test_writes_that_the_table_cannot_hold_are_refused() -> None:
    with pytest.raises(KeyRefusedError, match="has 6 characters.*holds 5"):
        check_write(Set("ääääää", b""), 5, 0.0)
    with pytest.raises(StoreRefusedError, match="2038"):
        check_write(Set("k", b"", ttl=2**31 - 1), 5, 1.0)
    check_write(Set("ääääa", b"", ttl=60), 5, 1.0)


LOST = aiomysql.OperationalError(2013, "letmein")


@each_row(
    ["error", "is_unknown", "kind"],
    {
        "a lost write": (LOST, True, OutcomeUnknownError),
        "a lost read": (LOST, False, StoreUnavailableError),
        "a broken answer": (errors.BrokenProtocolError(), False, StoreUnavailableError),
        "a refused connection": (ConnectionRefusedError(111, "letmein"), False, StoreUnavailableError),
        "too many connections": (aiomysql.OperationalError(1040, "letmein"), False, StoreUnavailableError),
        "a password": (aiomysql.OperationalError(1045, "letmein"), False, StoreRefusedError),
        "a key": (aiomysql.DataError(1406, "letmein"), False, KeyRefusedError),
        "anything else": (aiomysql.InternalError(1815, "letmein"), False, StoreRefusedError),
    },
)
def test_errors_of_mysql_say_what_to_change_and_quote_nothing(error, is_unknown, kind):
    found = errors.translate(error, "MySQL", is_unknown=is_unknown)
    assert type(found) is kind
    assert "letmein" not in str(found)


def test_what_the_server_reports_did_not_happen_unless_the_connection_is_lost() -> None:
    assert errors.may_have_happened(aiomysql.OperationalError(2006, ""))
    assert errors.may_have_happened(aiomysql.OperationalError(1180, ""))
    assert not errors.may_have_happened(aiomysql.OperationalError(1213, ""))
    assert not errors.may_have_happened(aiomysql.OperationalError(1205, ""))


@given(st.binary(max_size=6), st.binary(max_size=9), st.binary(max_size=6))
def test_a_text_is_found_in_base64_wherever_it_begins(before: bytes, text: bytes, after: bytes) -> None:
    encoded = b64encode(before + text + after)
    assert layout.in_base64(text)[len(before) % 3] in encoded
