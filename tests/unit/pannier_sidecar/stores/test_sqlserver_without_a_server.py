"""What SQL Server's store decides without its server."""

from typing import Any

import pytest
from servers.tsql_in_sqlite import compiled
from unit.tables import each_row

from pannier_sidecar.state.errors import (
    InvalidETagError,
    KeyRefusedError,
    OutcomeUnknownError,
    StoreRefusedError,
    StoreUnavailableError,
)
from pannier_sidecar.state.requests import Delete, Set
from pannier_sidecar.stores.sqlserver import errors
from pannier_sidecar.stores.sqlserver.layout import EXACT, Layout, LayoutV2, Table, stored_value, version_of
from pannier_sidecar.stores.sqlserver.schema import Schema
from pannier_sidecar.stores.sqlserver.settings import read_settings
from pannier_sidecar.stores.sqlserver.statements import Statement, Statements
from pannier_sidecar.stores.sqlserver.tds.errors import BrokenProtocolError, ServerError
from pannier_sidecar.stores.sqlserver.writing import check_write, statement_of_many

ADDRESS = "server=db.example;user id=u;password=letmein"
ETAG = "00000000000007d1"


def test_settings_of_sqlserver_name_the_server_and_hide_the_password() -> None:
    settings = read_settings({"connectionString": ADDRESS})
    assert settings.where == "SQL Server at db.example:1433"
    assert (settings.user, settings.password.reveal(), settings.may_make_database) == ("u", "letmein", True)
    assert "letmein" not in repr(settings)
    settings = read_settings({"connectionString": f"{ADDRESS};database=shop"})
    assert (settings.database, settings.may_make_database) == ("shop", False)


@each_row(
    ["settings", "words"],
    {
        "no address": ({"connectionString": "letmein"}, "connectionString is no address"),
        "a name": ({"connectionString": ADDRESS, "schemaName": "a]b"}, "schemaName is no name"),
        "two ways to sign in": ({"connectionString": ADDRESS, "useAzureAD": True}, "one of them"),
        "none": ({"connectionString": "server=h"}, "one of them"),
        "a token without TLS": (
            {"connectionString": "server=h;encrypt=disable", "useAzureAD": True},
            "a token would be readable",
        ),
        "an authority that is not there": (
            {"connectionString": f"{ADDRESS};encrypt=true;certificate=/no/such"},
            "certificate in connectionString is no file",
        ),
    },
)
def test_settings_of_sqlserver_that_cannot_work_are_refused(settings, words):
    with pytest.raises(StoreRefusedError, match=words) as caught:
        read_settings(settings)
    assert "letmein" not in str(caught.value)


def test_a_token_is_for_the_databases_of_the_components_cloud() -> None:
    china: dict[str, Any] = {"connectionString": "server=h", "useAzureAD": True, "azureEnvironment": "AzureChinaCloud"}
    settings = read_settings(china)
    assert settings.scope == "https://database.chinacloudapi.cn/.default"
    assert not settings.trusts_any_certificate


BYTES = (b"", b"text", "ü😀\uffff".encode(), b"a\0b", b"\xff\xfe\x80", b"\xed\xa0\x80", bytes(range(256)))


def test_any_bytes_come_back_from_both_layouts() -> None:
    for layout in (Layout(), LayoutV2()):
        for value in BYTES:
            stored = layout.encoded(value)
            units = [each.encode("utf-16-le", "surrogatepass") if isinstance(each, str) else each for each in stored]
            back = [
                each.decode("utf-16-le", "surrogatepass") if isinstance(old, str) else each
                for each, old in zip(units, stored, strict=True)
            ]
            assert layout.decoded("k", back) == value


@each_row(
    ["value", "stored"],
    {
        "an object": (b'{"a":  1}', ('{"a":  1}', None, 0)),
        "a text": ('"ü"'.encode(), ('"ü"', None, 0)),
        "text without JSON": (b"text", (None, b"text", 1)),
        "nothing": (b"", (None, b"", 1)),
        "no UTF-8": (b'"\xff"', (None, b'"\xff"', 1)),
        "JSON beyond all depth": (b"[" * 100_000, (None, b"[" * 100_000, 1)),
    },
)
def test_version_2_keeps_json_as_text_and_all_else_as_bytes(value, stored):
    assert LayoutV2().encoded(value) == stored


def test_halves_of_characters_that_others_wrote_are_refused() -> None:
    with pytest.raises(StoreRefusedError, match="halves of characters"):
        stored_value(Layout(), "k", ("\ud800", b"12345678", None))


@each_row(
    ["table", "held", "refused"],
    {
        "text": (Table(max_key=5), ["aaaaa", "😀😀a", "aaa "], ["aaaaaa", "😀😀😀", "aaaa "]),
        "text that ignores case": (Table(max_key=5, collation="Latin1_General_CI_AS"), ["aaaa "], ["aaaaa "]),
        "numbers": (Table("integer"), ["0", "-1", "2147483647"], ["2147483648", "01", "+1", "-0", "a", " 1", ""]),
        "UUIDs": (
            Table("uuid"),
            ["0f5f8a1c-2b57-4d8e-9a0e-2f1c1a6e9d11"],
            ["0F5F8A1C-2B57-4D8E-9A0E-2F1C1A6E9D11", "{0f5f8a1c-2b57-4d8e-9a0e-2f1c1a6e9d11}", "a||0f5f8a1c"],
        ),
    },
)
def test_keys_are_those_that_the_column_can_hold(table, held, refused):
    for key in held:
        check_write(Set(key, b""), table)
    for key in refused:
        with pytest.raises(KeyRefusedError):
            check_write(Set(key, b""), table)


def test_blanks_at_the_end_of_a_key_are_stored_before_a_character_that_ends_it() -> None:
    table = Table()
    keys = ["a", "a ", "a  ", "a \uffff", "a \uffff\uffff", "a\uffff", " ", ""]
    stored = [table.stored(key) for key in keys]
    assert [table.named(each) for each in stored] == keys
    assert len({each.rstrip(" ") for each in stored}) == len(keys)
    caseless = Table(collation="SQL_Latin1_General_CP1_CI_AS")
    assert [caseless.stored(key) for key in keys] == keys


def test_an_etag_is_the_version_of_a_row_in_hexadecimal() -> None:
    assert version_of("k", ETAG.upper()) == bytes.fromhex(ETAG)
    assert stored_value(Layout(), "k", ("1", bytes.fromhex(ETAG), 60)).etag == ETAG
    for wrong in ("1", ETAG + "0", "0x" + ETAG[2:], "ü" * 16):
        with pytest.raises(InvalidETagError, match="16 hexadecimal digits"):
            check_write(Delete("k", wrong), Table())


SETTINGS = {"connectionString": ADDRESS, "indexedProperties": '[{"column": "c", "property": "a.b", "type": "int"}]'}


def statements(table: Table, layout: Layout) -> list[str]:
    """Return every kind of statement that a store sends."""
    made = Statements("[dbo].[state]", table, layout)
    key, other = {"string": ("'; DROP--", "b "), "integer": ("1", "2")}.get(
        table.key_type, ("0f5f8a1c-2b57-4d8e-9a0e-2f1c1a6e9d11",) * 2
    )
    sets = [Set(key, b"'; DROP--", ttl=1), Set(other, b"\xff")]
    prefix = key if table.key_type == "string" else ""
    return [
        each.text
        for each in (
            made.probe,
            made.read(key),
            made.read_many([key, other]),
            made.write(sets),
            made.create(sets[:1]),
            made.replace(sets[0], ETAG),
            made.delete([key, other]),
            made.delete_matching(key, ETAG),
            made.find(key),
            made.lock([key, other]),
            made.names(prefix, 10, None),
            made.names(prefix, 10, key),
            made.sweep(10),
        )
    ]


def test_every_statement_is_tsql_to_another_parser_and_has_no_character_of_a_key_or_a_value() -> None:
    for layout in (Layout(), LayoutV2()):
        for table in (Table(), Table(collation="Latin1_General_CI_AS"), Table("integer"), Table("uuid")):
            for text in statements(table, layout):
                assert "DROP" not in text
                assert compiled(text, "dapr")
            schema = Schema(read_settings({**SETTINGS, "keyType": table.key_type}), layout)
            made = [schema._state(schema.state), schema._metadata(schema.metadata), *schema._indexes({})]
            assert [len(compiled(text, "dapr")) for text in made] == [1] * len(made)


def test_writes_go_together_unless_one_may_be_taken_for_another() -> None:
    run = [Set("a", b"1"), Set("A", b"2")]
    exact, caseless = Table(), Table(collation="SQL_Latin1_General_CP1_CI_AS")
    made = Statements("[dbo].[state]", exact, Layout())
    assert isinstance(statement_of_many(run, made, exact), Statement)
    assert statement_of_many(run, made, caseless) is None
    assert statement_of_many([Set("a", bytes(600_000)), Set("b", bytes(600_000))], made, exact) is None


@each_row(
    ["error", "is_unknown", "kind", "words"],
    {
        "a lost write": (ConnectionResetError(), True, OutcomeUnknownError, "before it answered"),
        "a lost read": (ConnectionResetError(), False, StoreUnavailableError, "ended the connection"),
        "a broken answer": (BrokenProtocolError(), False, StoreUnavailableError, "does not keep to its protocol"),
        "a refused connection": (ConnectionRefusedError(111, "letmein"), False, StoreUnavailableError, "refused"),
        "too many connections": (ServerError(10928, 20, 1), False, StoreUnavailableError, "lower maxConns"),
        "a password": (ServerError(18456, 14, 1), False, StoreRefusedError, "password or the token"),
        "a key": (ServerError(2628, 16, 1), False, KeyRefusedError, "too long"),
        "a deadlock": (ServerError(1205, 13, 1), False, StoreUnavailableError, "too many writes"),
        "a server that goes down": (ServerError(6005, 14, 1), False, StoreUnavailableError, "ended the connection"),
        "a fatal error": (ServerError(824, 24, 2), True, OutcomeUnknownError, "before it answered"),
        "no TLS": (errors.TLSMissingError(), False, StoreRefusedError, "encrypt=disable"),
        "anything else": (ServerError(8134, 16, 1), False, StoreRefusedError, r"\(8134\)"),
    },
)
def test_errors_of_sqlserver_say_what_to_change_and_quote_nothing(error, is_unknown, kind, words):
    found = errors.translate(error, "SQL Server", is_unknown=is_unknown)
    assert type(found) is kind
    assert "letmein" not in str(found)
    with pytest.raises(kind, match=words):
        raise found


def test_what_sqlserver_reports_did_not_happen_unless_the_connection_is_lost() -> None:
    for number, severity in ((1205, 13), (2627, 14), (1222, 16), (3906, 16)):
        assert not errors.may_have_happened(ServerError(number, severity, 1))
    for error in (ServerError(40197, 20, 1), ServerError(824, 24, 1), ConnectionResetError(), BrokenProtocolError()):
        assert errors.may_have_happened(error)
    assert errors.was_undone(ServerError(1205, 13, 1))
    assert EXACT.endswith("_BIN2")
