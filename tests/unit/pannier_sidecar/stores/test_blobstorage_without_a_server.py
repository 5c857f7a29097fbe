"""What the store over Azure Blob Storage decides without a server: names of blobs, ETags, lists, errors, settings."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pannier_sidecar.network import azure_storage
from pannier_sidecar.network.http_client import Answer
from pannier_sidecar.state.cursors import RangeCursor, read_range_cursor
from pannier_sidecar.state.errors import (
    InvalidCursorError,
    InvalidETagError,
    KeyRefusedError,
    OutcomeUnknownError,
    StoreRefusedError,
    StoreUnavailableError,
)
from pannier_sidecar.state.requests import Set
from pannier_sidecar.stores.blobstorage import layout, listing
from pannier_sidecar.stores.blobstorage.settings import read_settings

KEYS = st.one_of(
    st.text(st.sampled_from("ab.|/\\=%E2 ü\x00"), max_size=8), st.text(st.characters(codec="utf-8"), max_size=8)
)
GIVEN = {"accountName": "acc", "accountKey": "bGV0bWVpbg==", "containerName": "states"}


@given(KEYS)
def test_every_key_is_found_again_under_its_name(key: str) -> None:
    name = layout.name_of(key)
    assert layout.key_of(name) == key
    assert "\\" not in name
    assert not any(segment.endswith(".") for segment in name.split("/"))


@given(KEYS, KEYS)
def test_the_keys_with_a_prefix_are_in_its_ranges(prefix: str, rest: str) -> None:
    name = layout.name_of(prefix + rest)
    assert any(name.startswith(beginning) for beginning in layout.beginnings(prefix))


def test_keys_that_dapr_can_write_have_the_names_that_dapr_gives_them() -> None:
    for key in ("app||42", "app||T||1||k", "app||a/b", "app||a.b", "app||ü %", "alone"):
        assert layout.name_of(key) == key
    names = {"a||..": "=a||%2E%2E", "a||b\\c": "=a||b%5Cc", "=x": "=%3Dx", "a/": "=a%2F", "a.": "=a%2E", "": "="}
    assert {key: layout.name_of(key) for key in names} == names


def test_names_that_no_key_has_are_left_out_of_lists() -> None:
    assert [layout.key_of(name) for name in ("=abc", "=%2e", "=%FF", "a.", "=" + "%00" * 2000)] == [None] * 5


def test_a_key_that_cannot_be_a_name_is_refused() -> None:
    with pytest.raises(KeyRefusedError, match="surrogate"):
        layout.name_of("a||\ud800")
    with pytest.raises(KeyRefusedError, match="1501 characters encoded"):
        layout.name_of("\0" * 500)


def test_version_v1_leaves_the_prefix_out_and_refuses_keys_of_which_it_would_keep_nothing_else() -> None:
    assert [layout.unprefixed(key) for key in ("app||k", "k", "a|||k", "app||")] == ["k", "k", "|k", ""]
    with pytest.raises(KeyRefusedError, match="has 4 parts.*write version: v2"):
        layout.unprefixed("app||T||1||k")
    assert layout.unprefixed_beginnings("app||us") == ("us", "=us")
    assert layout.unprefixed_beginnings("ap") == ("",)
    assert layout.unprefixed_beginnings("app||T||") == ()


def test_version_v1_knows_whose_a_blob_is_by_its_record() -> None:
    record = layout.record_of("app||k")
    assert layout.unprefixed_key_of("k", record, "other||") == "app||k"
    assert layout.unprefixed_key_of("k", None, "app||") == "app||k"
    assert layout.unprefixed_key_of("k", None, "") == "k"
    assert layout.unprefixed_key_of("k", layout.record_of("app||other"), "app||") is None
    assert layout.unprefixed_key_of("k", layout.record_of("a||b||k"), "app||") is None
    assert layout.key_in("no base64!") is None


def test_only_what_azure_gives_is_an_etag() -> None:
    assert layout.precondition(Set("k", b"", '"0x8DB0AF"')) == {"If-Match": '"0x8DB0AF"'}
    assert layout.precondition(Set("k", b"", if_absent=True)) == {"If-None-Match": "*"}
    assert layout.precondition(Set("k", b"")) == {}
    for etag in ("*", '"0x1","0x2"', "0x1", 'W/"0x1"', '"x"', '"0x1"\r\nx: y', ""):
        with pytest.raises(InvalidETagError, match="of key k; read it again"):
            layout.precondition(Set("k", b"", etag))


def test_metadata_of_a_request_becomes_properties_and_metadata_of_its_blob_as_in_dapr() -> None:
    given = {
        "contentType": "text/plain",
        "CacheControl": "no-cache",
        "my-Note": "a\r\nb: ü",
        "1": "x",
        "ttlInSeconds": "-1",
    }
    assert layout.fields_of(Set("k", b"", metadata={**given, "pannierKey": "x"})) == {
        "x-ms-blob-type": "BlockBlob",
        "Content-Type": "application/octet-stream",
        "x-ms-blob-content-type": "text/plain",
        "x-ms-blob-cache-control": "no-cache",
        "x-ms-meta-mynote": "ab:",
    }


def test_lists_of_blobs_are_read() -> None:
    page = listing.read_page(
        b"\xef\xbb\xbf<?xml version='1.0' encoding='utf-8'?><EnumerationResults><Blobs><Blob><Name>a||b</Name>"
        b"<Properties><Etag>0x8D</Etag></Properties><Metadata><pannierkey>YQ==</pannierkey></Metadata></Blob>"
        b"<Blob><Name Encoded='true'>a%20b</Name></Blob></Blobs>"
        b"<NextMarker>more</NextMarker></EnumerationResults>",
        2,
    )
    assert page == ([("a||b", '"0x8D"', "YQ=="), ("a b", "", None)], "more")
    for body in (
        b"",
        b"<a/>",
        b"<EnumerationResults>",
        b"<EnumerationResults><Blobs><Blob/></Blobs></EnumerationResults>",
        b"<EnumerationResults><Blobs><Blob><Name>a</Name></Blob></Blobs></EnumerationResults>",
        b"<!DOCTYPE a [<!ENTITY b 'c'>]><EnumerationResults/>",
        b"<EnumerationResults><NextMarker>" + b"x" * 9000 + b"</NextMarker></EnumerationResults>",
    ):
        with pytest.raises(ValueError, match=r".+"):
            listing.read_page(body, 0)


def test_a_cursor_comes_back_and_a_foreign_one_is_refused() -> None:
    cursor = RangeCursor("app||", 1, "marker")
    assert read_range_cursor(str(cursor), "app||", 2) == cursor
    for text, prefix, ranges in ((str(cursor), "other||", 2), (str(cursor), "app||", 1), ("x", "app||", 2)):
        with pytest.raises(InvalidCursorError):
            read_range_cursor(text, prefix, ranges)


def test_errors_of_azure_say_what_to_change_and_whether_a_write_happened() -> None:
    def of(status: int, code: str = "", *, is_write: bool = True) -> tuple[type, str]:
        answer = Answer(status, {"x-ms-error-code": code}, b"")
        error = azure_storage.failure(answer, "container c", "create it", is_write=is_write)
        return type(error), str(error)

    assert of(404) == (StoreRefusedError, "container c is not there (404); create it")
    assert of(403)[0] is StoreRefusedError
    assert "the end of its SAS" in of(403)[1]
    assert of(412, "LeaseIdMissing")[0] is StoreRefusedError
    assert "too large" in of(413)[1]
    assert [of(503, "ServerBusy")[0], of(429)[0], of(409, "ContainerBeingDeleted")[0]] == [StoreUnavailableError] * 3
    assert [of(500)[0], of(500, is_write=False)[0]] == [OutcomeUnknownError, StoreUnavailableError]
    assert [of(302)[0], of(200)[0], of(400, "secret")[1]] == [
        OutcomeUnknownError,
        OutcomeUnknownError,
        "container c refused the call (400)",
    ]


def test_settings_of_blobstorage_have_defaults_and_show_no_key() -> None:
    settings = read_settings(GIVEN)
    assert str(settings.account.url) == "https://acc.blob.core.windows.net"
    assert (settings.timeout, settings.may_create, settings.public_access) == (20.0, True, "")
    assert settings.what == "container states of Azure Blob Storage at https://acc.blob.core.windows.net"
    assert "bGV0" not in repr(settings)
    own = read_settings({**GIVEN, "endpoint": "http://127.0.0.1:10000", "azureEnvironment": "AzureChinaCloud"})
    assert str(own.account.url) == "http://127.0.0.1:10000/acc"
    china = read_settings({**GIVEN, "azureEnvironment": "AzureChinaCloud"})
    assert str(china.account.url) == "https://acc.blob.core.chinacloudapi.cn"


def test_wrong_settings_of_blobstorage_are_refused() -> None:
    for field, text in (("accountName", "A"), ("accountKey", "!"), ("endpoint", "h"), ("connectionString", "x")):
        with pytest.raises(StoreRefusedError, match=f"^{field} is no address"):
            read_settings({**GIVEN, field: text})
    with pytest.raises(StoreRefusedError, match="is sent by https:// only; correct endpoint"):
        read_settings({**GIVEN, "accountKey": None, "endpoint": "http://127.0.0.1:1"})
