"""What the Cosmos DB store decides without a call, and how it treats answers that no emulator gives."""

import pytest
from azure.core.exceptions import ServiceRequestError, ServiceResponseError
from azure.cosmos.exceptions import CosmosHttpResponseError
from hypothesis import given
from hypothesis import strategies as st
from unit.tables import each_row

from pannier_sidecar.network.connections import Connections
from pannier_sidecar.state.errors import (
    NotSupportedError,
    OutcomeUnknownError,
    StoreError,
    StoreRefusedError,
    StoreUnavailableError,
)
from pannier_sidecar.state.requests import Set
from pannier_sidecar.stores.cosmosdb import errors, layout, settings
from pannier_sidecar.stores.cosmosdb.client import Client

SETTINGS = settings.read_settings({"url": "https://x", "database": "d", "collection": "c", "masterKey": "a2V5"})


@each_row("key", ["shop||k", "shop||a b", "shop||100%25", "ключ", "a=b", "shop||..", 'a"b', "a+b&c"])
def test_an_ordinary_key_is_its_own_id(key: str) -> None:
    assert layout.id_of(key) == key


@each_row(
    ("key", "identity"),
    [
        ("a/b", "=a%2Fb"),
        ("a\\b?c#d", "=a%5Cb%3Fc%23d"),
        ("a\0b\n", "=a%00b%0A"),
        ("a ", "=a%20"),
        (" a", "=%20a"),
        ("=a", "=%3Da"),
        ("..", "=.."),
        ("ü/", "=%C3%BC%2F"),
    ],
)
def test_a_key_that_cannot_be_an_id_is_encoded(key: str, identity: str) -> None:
    assert layout.id_of(key) == identity


@given(st.text(min_size=1, max_size=30), st.text(min_size=1, max_size=30))
def test_no_two_keys_have_one_id_and_each_id_is_valid(one: str, other: str) -> None:
    identity = layout.id_of(one)
    assert (identity == layout.id_of(other)) is (one == other)
    assert not set(identity) & set("/\\?#\0\n")
    assert identity == identity.strip(" ")


def test_an_encoded_key_that_is_too_long_is_a_digest() -> None:
    ids = {layout.id_of("/" * 1022 + last) for last in "ab"}
    assert len(ids) == 2
    assert all(identity.startswith("=sha256-") and len(identity) < 100 for identity in ids)


def test_a_value_that_no_item_holds_is_refused() -> None:
    with pytest.raises(StoreRefusedError, match="key k is too large: Cosmos DB takes items of up to 2097152 bytes"):
        layout.item_of(Set("k", b"x" * 1_600_000), None)


def test_the_longest_time_is_one_that_cosmos_db_takes() -> None:
    assert layout.item_of(Set("k", b"", ttl=2**31 - 1), -1)["ttl"] == 2**31 - 1


@each_row(
    ("status", "kind", "words"),
    [
        (401, StoreRefusedError, "correct masterKey"),
        (403, StoreRefusedError, "Cosmos DB Built-in Data Contributor"),
        (404, StoreRefusedError, "--partition-key-path /partitionKey"),
        (413, StoreRefusedError, "too large"),
        (429, StoreUnavailableError, "give it more request units"),
        (449, StoreUnavailableError, "failed for now"),
        (503, OutcomeUnknownError, "read the key before writing again"),
        (408, OutcomeUnknownError, "read the key before writing again"),
        (400, StoreRefusedError, "refused the call"),
    ],
)
def test_an_answer_to_a_write_says_what_to_change(status: int, kind: type[StoreError], words: str) -> None:
    fault = errors.translate(CosmosHttpResponseError(status, "why\nand more"), SETTINGS, is_write=True)
    assert type(fault) is kind
    assert words in str(fault)
    assert "and more" not in str(fault)


def test_a_write_that_was_never_sent_did_not_happen() -> None:
    assert type(errors.translate(ServiceRequestError("refused"), SETTINGS, is_write=True)) is StoreUnavailableError
    assert type(errors.translate(ServiceResponseError("reset"), SETTINGS, is_write=True)) is OutcomeUnknownError
    assert type(errors.translate(ServiceResponseError("reset"), SETTINGS, is_write=False)) is StoreUnavailableError


@pytest.mark.parametrize("level", ["Eventual", "ConsistentPrefix"])
def test_an_account_without_strong_consistency_is_reported(level: str) -> None:
    account = Client(SETTINGS, None, Connections(1, 1.0), None, level)  # type: ignore[arg-type]
    with pytest.raises(NotSupportedError, match=f"is {level}, which no call can strengthen"):
        account.check_strong_reads()
