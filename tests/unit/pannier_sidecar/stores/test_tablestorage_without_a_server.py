"""What the store over Azure Table Storage decides without a server: names of entities, filters, ETags, settings."""

import re
from time import time

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import json

from pannier_sidecar.network import azure_storage
from pannier_sidecar.network.http_client import Answer
from pannier_sidecar.state.errors import (
    ETagMismatchError,
    InvalidETagError,
    KeyRefusedError,
    StoreRefusedError,
    StoreUnavailableError,
)
from pannier_sidecar.state.requests import Set
from pannier_sidecar.stores.tablestorage import layout
from pannier_sidecar.stores.tablestorage.layout import Entity, EntityName, Layout
from pannier_sidecar.stores.tablestorage.settings import read_settings

KEYS = st.one_of(
    st.text(st.sampled_from("ab.|/\\=%#?'E2 ü\x00\x7f\x9f\ud7ff\ue000\ufffd\uffff😀"), max_size=8),
    st.text(st.characters(codec="utf-8"), max_size=8),
)
AZURE, COSMOS = Layout(is_cosmos=False), Layout(is_cosmos=True)
GIVEN = {"accountName": "acc", "accountKey": "bGV0bWVpbg==", "tableName": "states"}
ETAG = "W/\"datetime'2026-11-28T05%3A09%3A35.9055707Z'\""


@given(KEYS, st.booleans())
def test_every_key_is_found_again_under_its_name(key: str, is_cosmos: bool) -> None:
    naming = Layout(is_cosmos=is_cosmos)
    name = naming.name_of(key)
    assert naming.key_of(name) == key
    assert not re.search(r"[/\\#?\x00-\x1f\x7f-\x9f]", "".join(name))
    assert name.row or not is_cosmos


@given(KEYS, KEYS)
def test_the_keys_with_a_prefix_are_found_by_one_of_its_filters(prefix: str, rest: str) -> None:
    name = AZURE.name_of(prefix + rest)
    assert sum(finds(each, name) for each in layout.filters_for(prefix)) == 1


def finds(filter_: str, name: EntityName) -> bool:
    """Return whether a filter finds an entity, as Azure compares: by code units of UTF-16."""
    values = {"PartitionKey": units(name.partition), "RowKey": units(name.row)}
    comparisons = {"eq": bytes.__eq__, "ge": bytes.__ge__, "lt": bytes.__lt__}
    parts = re.findall(r"(PartitionKey|RowKey) (eq|ge|lt) '((?:[^']|'')*)'", filter_)
    return all(comparisons[how](values[which], units(text.replace("''", "'"))) for which, how, text in parts)


def units(text: str) -> bytes:
    return text.encode("utf-16-be")


def test_keys_that_dapr_can_write_have_the_names_that_dapr_gives_them() -> None:
    for key in ("app||42", "app||a.b", "app||ü %'", "a.b||c:d", "app|||k"):
        assert AZURE.name_of(key) == COSMOS.name_of(key) == EntityName(*key.split("||"))
    assert AZURE.name_of("alone") == ("alone", "")
    assert COSMOS.name_of("alone") == ("alone", "_dapr_empty_row_key_value_")
    names = {
        "app||": ("app", "="),
        "app||T||1||k": ("app", "=T||1||k"),
        "app||a/b": ("app", "=a=2Fb"),
        "app||=x": ("app", "==3Dx"),
        "a/b||k": ("=a=2Fb", "k"),
        "": ("", ""),
    }
    assert {key: AZURE.name_of(key) for key in names} == names
    assert COSMOS.name_of("app||_dapr_empty_row_key_value_") == ("app", "=_dapr_empty_row_key_value_")


def test_names_that_no_key_has_are_left_out_of_lists() -> None:
    rows = ("=abc", "=a=2f", "==FF", "a||b", "=" + "=00" * 200)
    assert [AZURE.key_of(EntityName("app", row)) for row in rows] == [None] * 5


def test_a_key_that_cannot_be_a_name_is_refused() -> None:
    with pytest.raises(KeyRefusedError, match="surrogate"):
        AZURE.name_of("a||\ud800")
    with pytest.raises(KeyRefusedError, match="more than 512 characters encoded"):
        AZURE.name_of("\0" * 200)


def test_only_what_azure_gives_is_an_etag() -> None:
    assert layout.condition_of(Set("k", b"", ETAG)) == ETAG
    assert layout.condition_of(Set("k", b"")) is None
    for etag in ("*", '"0x1"', f"{ETAG},{ETAG}", "W/x", f'{ETAG}\r\nx: y"', "", f'{ETAG[:-1]}@x"'):
        with pytest.raises(InvalidETagError, match="of key k; read it again"):
            layout.condition_of(Set("k", b"", etag))


def test_the_etag_of_a_value_that_expires_says_when() -> None:
    later, earlier = int(time()) + 100, int(time()) - 100
    found = layout.stored(Entity("a", "b", "", "1", expires=str(later)), ETAG)
    assert found.expires_at == later
    assert layout.condition_of(Set("k", b"", found.etag)) == ETAG
    expired = layout.stored(Entity("a", "b", "", "1", expires=str(earlier)), ETAG)
    with pytest.raises(ETagMismatchError):
        layout.condition_of(Set("k", b"", expired.etag))
    for of_another_program in (True, 1.5, "soon", "", "1" * 20):
        assert Entity("a", "b", "", "1", expires=of_another_program).expires_at is None


def test_values_are_text_where_azure_takes_them_so_and_otherwise_binary() -> None:
    def sent(value: bytes) -> dict[str, str]:
        return json.decode(layout.body_of(Set("k", value), EntityName("a", "b"), None))

    names = {"PartitionKey": "a", "RowKey": "b"}
    assert sent('{"a": "ü"}'.encode()) == {**names, "Value": '{"a": "ü"}'}
    for value in (b"\xff", b"\0", "\uffff".encode(), b"x" * 40_000):
        assert sent(value)["Value@odata.type"] == "Edm.Binary"
    with pytest.raises(StoreRefusedError, match="65537 bytes, and a property takes 65536"):
        sent(b"x" * 65537)
    for entity in (Entity(value=1), Entity(value="1", type="Edm.Int64"), Entity(value="?", type="Edm.Binary")):
        with pytest.raises(ValueError, match=r".+"):
            layout.stored(entity, ETAG)


def test_codes_of_errors_are_read_from_the_body_too() -> None:
    def of(body: bytes, status: int = 404) -> str:
        return azure_storage.code_of(Answer(status, {}, body))

    assert of(b'{"odata.error":{"code":"TableNotFound","message":{}}}') == "TableNotFound"
    assert [of(body) for body in (b"", b"[]", b"{}", b'{"odata.error":3}', b"\xff", b"[" * 100_000)] == [""] * 6
    assert of(b'{"odata.error":{"code":"TableNotFound"}}', 200) == ""
    too_large = Answer(400, {}, b'{"odata.error":{"code":"PropertyValueTooLarge"}}')
    assert "too large for table t" in str(azure_storage.failure(too_large, "table t", "create it", is_write=True))
    busy = Answer(409, {}, b'{"odata.error":{"code":"TableBeingDeleted"}}')
    assert type(azure_storage.failure(busy, "table t", "create it", is_write=True)) is StoreUnavailableError


def test_settings_of_tablestorage_have_defaults_and_show_no_key() -> None:
    settings = read_settings(GIVEN)
    assert str(settings.account.url) == "https://acc.table.core.windows.net"
    assert (settings.timeout, settings.may_create, settings.is_cosmos, settings.cleanup_interval) == (
        15,
        True,
        False,
        3600,
    )
    assert settings.what == "table states of Azure Table Storage at https://acc.table.core.windows.net"
    assert "bGV0" not in repr(settings)
    cosmos = read_settings({**GIVEN, "cosmosDbMode": True, "azureEnvironment": "AzureChinaCloud"})
    assert str(cosmos.account.url) == "https://acc.table.cosmos.azure.cn"
    own = read_settings({**GIVEN, "serviceURL": "http://127.0.0.1:10002/acc/"})
    assert str(own.account.url) == "http://127.0.0.1:10002/acc"


def test_wrong_settings_of_tablestorage_are_refused() -> None:
    for field, text in (("accountName", "A"), ("accountKey", "!"), ("serviceURL", "h"), ("connectionString", "x")):
        with pytest.raises(StoreRefusedError, match=f"^{field} is no address"):
            read_settings({**GIVEN, field: text})
    with pytest.raises(StoreRefusedError, match="is sent by https:// only; correct serviceURL"):
        read_settings({**GIVEN, "accountKey": None, "serviceURL": "http://127.0.0.1:1"})
