"""Connection strings as Dapr's driver accepts them: URLs and keywords, with other settings in addition."""

from __future__ import annotations

from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from unit.tables import each_row

from pannier_sidecar.state.errors import StoreRefusedError
from pannier_sidecar.stores.postgresql.address import read_address
from pannier_sidecar.stores.postgresql.settings import read_settings


def parameters(connection_string: str, **fields: Any) -> dict[str, str]:
    url = read_address(connection_string, fields).url.reveal()
    found = {name: values[-1] for name, values in parse_qs(urlsplit(url).query).items()}
    assert found.pop("application_name") == "pannier"
    return found


@each_row(
    ("text", "expected"),
    [
        ("postgresql://u:p@h:5433/d", {"user": "u", "password": "p", "host": "h:5433", "dbname": "d"}),
        ("postgres://u%40x:p%2Fp@h/d%20e?sslmode=require",
         {"user": "u@x", "password": "p/p", "host": "h", "dbname": "d e", "sslmode": "require"}),
        ("postgresql:///d?host=/run/postgresql&user=u", {"dbname": "d", "host": "/run/postgresql", "user": "u"}),
        ("postgresql://a:1,b:2/d?target_session_attrs=read-write",
         {"host": "a:1,b:2", "dbname": "d", "target_session_attrs": "read-write"}),
        ("host=h port=5433 user=u password=p database=d",
         {"host": "h", "port": "5433", "user": "u", "password": "p", "dbname": "d"}),
        (" host = h  password = 'it''s' ", None),
        (r"host=h password='it\'s a \\ secret' dbname=d", {"host": "h", "password": r"it's a \ secret", "dbname": "d"}),
        ("host=::1 dbname=d", {"host": "[::1]", "dbname": "d"}),
        ("host=h hostaddr=127.0.0.1", {"host": "127.0.0.1"}),
        ("host=h pool_max_conns=3 pool_min_conns=1 connect_timeout=7", {"host": "h"}),
        ("host=h password=''", {"host": "h"}),
    ],
)  # fmt: skip
def test_strings_of_both_kinds_are_read(text: str, expected: dict[str, str] | None) -> None:
    if expected is None:
        with pytest.raises(StoreRefusedError, match="can't be read after its character"):
            parameters(text)
    else:
        assert parameters(text) == expected


def test_other_settings_go_before_the_string() -> None:
    found = parameters("postgresql://u:p@h:1/d", port=5433, password="q/", database="e", host="g")
    assert found == {"user": "u", "password": "q/", "host": "g", "port": "5433", "dbname": "e"}


def test_options_of_the_pool_reach_the_pool() -> None:
    address = read_address("host=h pool_max_conns=3 connect_timeout=7", {})
    assert (address.size, address.connect_timeout) == (3, 7)
    assert read_settings({"connectionString": "host=h pool_max_conns=3"}).size == 3
    assert read_settings({"connectionString": "host=h pool_max_conns=3", "maxConns": 5}).size == 5
    assert read_settings({"connectionString": "host=h"}).size >= 4


@pytest.mark.parametrize("text", ["http://h/d", "mysql://u:secret@h/d", "user secret", "host=h password='secret"])
def test_a_text_that_is_neither_a_url_nor_keywords_is_refused_without_showing_a_password(text: str) -> None:
    with pytest.raises(StoreRefusedError, match="connectionString") as caught:
        read_address(text, {})
    assert "secret" not in str(caught.value)


def test_no_password_is_in_what_is_shown() -> None:
    address = read_address("postgresql://u:secret@h:1/d", {"password": "secret"})
    assert "secret" not in f"{address!r} {address.where}"
    assert address.where == "h:1"


@pytest.mark.parametrize(
    ("given", "table"),
    [
        ({}, '"state"'),
        ({"tableName": "Orders"}, '"orders"'),
        ({"tableName": "shop.orders"}, '"shop"."orders"'),
        ({"tablePrefix": "shop_"}, '"shop_state"'),
        ({"tablePrefix": "shop."}, '"shop"."state"'),
    ],
)
def test_names_of_tables_are_read_as_unquoted_names(given: dict[str, str], table: str) -> None:
    assert read_settings({"connectionString": "host=h", **given}).table == table


@each_row("name", ["a b", 'a"b', "1a", "a.b.c", "ä", "a;b"])
@pytest.mark.parametrize("field", ["tableName", "tablePrefix", "metadataTableName"])
def test_an_invalid_name_is_refused_here(name: str, field: str) -> None:
    with pytest.raises(StoreRefusedError, match=f"^{field} can't name a table; write letters"):
        read_settings({"connectionString": "host=h", field: name})


@each_row(
    ("text", "sslmode"),
    [
        ("host=db.example user=u password=p", "require"),
        ("host=db.example user=u sslmode=prefer", "require"),
        ("host=127.0.0.1,db.example user=u", "require"),
        ("user=u", "require"),
        ("host=db.example user=u sslmode=verify-full", "verify-full"),
        ("host=127.0.0.1 user=u", None),
        ("host=/run/postgresql user=u", None),
    ],
)
def test_a_token_goes_to_other_machines_by_tls_alone(text: str, sslmode: str | None) -> None:
    found = parameters(text, useAzureAD=True)
    assert found.get("sslmode") == sslmode
    assert "password" not in found


@each_row(
    ("text", "fields", "signed"),
    [
        ("postgresql://u@h:5433/d", {}, "https://h:5433/"),
        ("host=h user=u port=5433", {}, "https://h:5433/"),
        ("host=h user=u", {"hostaddr": "10.0.0.1"}, "https://10.0.0.1:5432/"),
        ("host=h hostaddr=10.0.0.1 user=u", {}, "https://h:5432/"),
        ("host=h user=u", {"host": "other"}, "https://other:5432/"),
    ],
)
def test_aws_credentials_sign_for_the_host_and_its_port(text: str, fields: dict[str, str], signed: str) -> None:
    address = read_address(text, {**fields, "useAWSIAM": True})
    assert (address.signed_url, address.user) == (signed, "u")
