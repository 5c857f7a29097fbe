"""What the MongoDB store decides without a call: where the server is, and what fits into a call."""

import pytest

from pannier_sidecar.state.cursors import first_after
from pannier_sidecar.state.errors import StoreRefusedError
from pannier_sidecar.state.requests import Set
from pannier_sidecar.stores.mongodb import layout, settings
from pannier_sidecar.stores.mongodb.store import MAX_KEYS_BYTES, _chunks

OWN = "appName=pannier&w=1&journal=true&retryWrites=false"


@pytest.mark.parametrize(
    ("given", "url"),
    [
        ({"host": "a:1,b:2"}, f"mongodb://a:1,b:2/daprStore?{OWN}"),
        ({"server": "c.example"}, f"mongodb+srv://c.example/daprStore?{OWN}"),
        (
            {"host": "a", "username": "an:n", "password": "p@ss/w"},
            f"mongodb://an%3An:p%40ss%2Fw@a/daprStore?{OWN}",
        ),
        ({"host": "a", "databaseName": "my db"}, f"mongodb://a/my+db?{OWN}"),
        (
            {"host": "a", "params": "?replicaSet=rs0&W=majority"},
            "mongodb://a/daprStore?replicaSet=rs0&W=majority&appName=pannier&journal=true&retryWrites=false",
        ),
        ({"connectionString": "mongodb://a"}, f"mongodb://a/?{OWN}"),
        (
            {"connectionString": "mongodb://ann:x@a/db?journal=false&appname=mine&w=2"},
            "mongodb://ann:x@a/db?journal=false&appname=mine&w=2&retryWrites=false",
        ),
    ],
)
def test_a_component_becomes_a_url(given: dict[str, str], url: str) -> None:
    assert settings.read_settings(given).url.reveal().rstrip("&") == url


def test_only_the_hosts_of_a_url_may_be_shown() -> None:
    read = settings.read_settings({"connectionString": "mongodb://ann:p%40ss@a:1,b:2/db?w=1"})
    assert str(read) == "MongoDB at a:1, b:2"


def test_keys_are_requested_in_chunks_that_a_command_can_hold() -> None:
    keys = [f"{number:04}" + "k" * 60_000 for number in range(100)]
    chunks = list(_chunks(keys))
    assert sum(chunks, []) == keys
    assert len(chunks) > 1
    assert all(sum(map(len, chunk)) < MAX_KEYS_BYTES for chunk in chunks)


@pytest.mark.parametrize(
    ("prefix", "following"),
    [("a", "b"), ("a||", "a|}"), ("", None), ("\U0010ffff", None), ("a\U0010ffff", "b"), ("\ud7ff", "\ue000")],
)
def test_a_list_of_keys_ends_before_the_first_other_one(prefix: str, following: str | None) -> None:
    assert first_after(prefix) == following


def test_a_value_that_no_document_holds_is_refused() -> None:
    with pytest.raises(StoreRefusedError, match="key k is too large: MongoDB takes documents of up to 16777216 bytes"):
        layout.document(Set("k", b"x" * layout.MAX_DOCUMENT_BYTES), 0)
