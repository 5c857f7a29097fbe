"""What the store over NATS JetStream decides without a server: names of keys, ETags, answers, settings."""

from datetime import UTC, datetime, timedelta
from math import ceil

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pannier_sidecar.state.errors import (
    ETagMismatchError,
    InvalidETagError,
    KeyRefusedError,
    OutcomeUnknownError,
    StoreRefusedError,
)
from pannier_sidecar.state.errors import StoreUnavailableError as Unavailable
from pannier_sidecar.state.requests import Set
from pannier_sidecar.state.store import StoredValue
from pannier_sidecar.stores.jetstream import errors, layout
from pannier_sidecar.stores.jetstream.settings import read_settings

GIVEN = {"natsURL": "nats://db.example", "bucket": "b"}
KEYS = st.one_of(st.text(st.sampled_from("ab.|%/*> ü"), max_size=8), st.text(st.characters(codec="utf-8"), max_size=8))


@given(KEYS, KEYS)
def test_two_keys_never_have_one_name_and_every_name_is_a_subject(one: str, other: str) -> None:
    for key in (one, other, f"{one}||{other}"):
        name = layout.name_of(key)
        assert layout.key_of(name) == key
        assert all(name.split("."))
        assert not set(name) & set("*> \t\r\n")
        assert name.isascii()


def test_keys_that_dapr_can_write_have_the_names_that_dapr_gives_them() -> None:
    names = {"app||42": "app.42", "app||a.b/c=d_e-f": "app.a.b/c=d_e-f", "alone": "alone", "S-1||X": "S-1.X"}
    assert {key: layout.name_of(key) for key in names} == names
    others = {
        "a.b||c": "a%2Eb.c",
        "a||b||c": "a.b%7C%7Cc",
        "a||.b": "a.%2Eb",
        "a||b..c": "a.b%2E%2Ec",
        "a||": "a.%",
        "||": "%.%",
        "a.b": "a%2Eb",
        "a||ü *": "a.%C3%BC%20%2A",
    }
    assert {key: layout.name_of(key) for key in others} == others


def test_names_that_no_key_has_are_left_out_of_lists() -> None:
    assert [layout.key_of(name) for name in ("a.%41", "a.%2e", "%.%zz", "a.b%", "a.ü", "a.%FF")] == [None] * 6


def test_a_key_with_a_surrogate_is_refused() -> None:
    with pytest.raises(KeyRefusedError, match="surrogate"):
        layout.name_of("a||\ud800")


def test_lists_ask_for_the_names_of_a_prefix() -> None:
    asked = [layout.names_with(prefix) for prefix in ("", "ap", "app||", "a.b||c")]
    assert asked == [">", ">", "app.>", "a%2Eb.>"]


def test_an_etag_that_is_no_revision_is_refused() -> None:
    assert layout.revision(Set("k", b"", if_match="17")) == 17
    assert layout.revision(Set("k", b"", if_match="17-99999999999")) == 17
    for etag in ("0", "-1", "1.0", "x", "٣", "9" * 19, "1" * 20, "17-", "17-x", "17-0"):
        with pytest.raises(InvalidETagError, match="send the one that the last read returned"):
            layout.revision(Set("k", b"", if_match=etag))
    with pytest.raises(ETagMismatchError):
        layout.revision(Set("k", b"", if_match="17-1000000000"))


def test_markers_of_deleted_and_expired_keys_are_no_values() -> None:
    def is_marker(header: bytes) -> bool:
        return layout.Message("s", 1, b"", header).stored is None

    assert is_marker(b"NATS/1.0\r\nKV-Operation: DEL\r\n\r\n")
    assert is_marker(b"NATS/1.0\r\nKV-Operation: PURGE\r\nNats-Rollup: sub\r\n\r\n")
    assert is_marker(b"NATS/1.0\r\nNats-Marker-Reason: MaxAge\r\n\r\n")
    assert not is_marker(b"NATS/1.0\r\nMy-Header: KV-Operation: DEL\r\n\r\n")
    assert not is_marker(b"")


def test_a_value_expires_at_its_time_even_if_the_server_has_not_removed_it() -> None:
    def stored(ttl: bytes, at: datetime) -> StoredValue | None:
        # Servers write nanoseconds.
        time = at.strftime("%Y-%m-%dT%H:%M:%S.%f123Z")
        return layout.Message("s", 1, b"1", b"NATS/1.0\r\nNats-TTL: " + ttl + b"\r\n\r\n", time).stored

    now = datetime.now(UTC)
    found = stored(b"60", now)
    assert found is not None
    assert found.expires_at == ceil(now.timestamp() + 60)
    assert found.etag == f"1-{found.expires_at}"
    assert stored(b"1m0s", now) == found
    assert stored(b"60", now - timedelta(seconds=61)) is None
    assert stored(b"never", now) == StoredValue(b"1", "1")
    for wrong in (b"x", b"", b"\xff", b"1e400"):
        with pytest.raises(ValueError, match=r".+"):
            stored(wrong, now)
    with pytest.raises(ValueError, match="isoformat"):
        _ = layout.Message("s", 1, b"1", b"NATS/1.0\r\nNats-TTL: 1\r\n\r\n").stored


def test_the_size_of_a_header_is_that_of_its_bytes() -> None:
    assert layout.size({}) == 0
    assert layout.size({"KV-Operation": "DEL"}) == len(b"NATS/1.0\r\nKV-Operation: DEL\r\n\r\n")


def test_settings_of_jetstream_have_defaults_and_show_no_login() -> None:
    settings = read_settings({**GIVEN, "natsURL": "nats://u:letmein@db.example"})
    assert (settings.where, settings.timeout, settings.encryption) == ("NATS at db.example:4222", 5.0, None)
    assert "letmein" not in repr(settings)
    assert read_settings({**GIVEN, "natsURL": "tls://db.example"}).encryption is not None


def test_wrong_settings_of_jetstream_are_refused() -> None:
    with pytest.raises(StoreRefusedError, match="natsURL is no address"):
        read_settings({**GIVEN, "natsURL": "a b"})
    with pytest.raises(StoreRefusedError, match="seedKey is missing"):
        read_settings({**GIVEN, "jwt": "eyJ"})
    with pytest.raises(StoreRefusedError, match="seedKey is no seed of an nkey; write the line that begins with SU"):
        read_settings({**GIVEN, "jwt": "eyJ", "seedKey": "SUletmein"})


def test_errors_of_jetstream_say_what_to_change_and_whether_a_write_happened() -> None:
    settings = read_settings(GIVEN)

    def of(code: int, number: int, is_write: bool = True) -> tuple[type, str]:
        error = errors.of_api(layout.ApiError(code, number), settings, is_write=is_write)
        return type(error), str(error)

    assert of(404, 10059) == (StoreRefusedError, "NATS at db.example:4222 has no bucket b; make it: nats kv add b")
    assert of(503, 10008)[0] is Unavailable
    assert of(503, 10077)[0] is StoreRefusedError
    assert "--max-value-size" in of(400, 10054)[1]
    assert of(400, 1)[0] is StoreRefusedError
    assert [of(500, 1)[0], of(500, 1, is_write=False)[0]] == [OutcomeUnknownError, Unavailable]
