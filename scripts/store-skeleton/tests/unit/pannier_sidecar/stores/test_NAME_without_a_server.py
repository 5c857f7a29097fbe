"""What TITLE's store decides without its server."""

import pytest

from pannier_sidecar.state.errors import OutcomeUnknownError, StoreRefusedError, StoreUnavailableError
from pannier_sidecar.state.requests import Set
from pannier_sidecar.stores.NAME import errors, layout
from pannier_sidecar.stores.NAME.settings import DEFAULT_PORT, read_settings


def test_settings_of_NAME_have_defaults() -> None:
    settings = read_settings({"host": "db.example"})
    assert (settings.host, settings.port, settings.timeout) == ("db.example", DEFAULT_PORT, 5.0)


def test_an_address_of_NAME_that_is_none_is_refused() -> None:
    with pytest.raises(StoreRefusedError, match="host is no address"):
        read_settings({"host": "a b"})


def test_a_password_of_NAME_is_not_shown() -> None:
    assert "letmein" not in repr(read_settings({"host": "db.example", "password": "letmein"}))


def test_a_value_of_NAME_comes_back_until_it_expires() -> None:
    record = layout.record(Set("key", b"value", ttl=10), "1", 100.5)
    found = layout.stored_value(record, 109.0)
    assert found is not None
    assert (found.value, found.etag, found.expires_at) == (b"value", "1", 110)
    assert layout.stored_value(record, 110.0) is None


def test_a_lost_write_to_NAME_may_have_happened() -> None:
    assert type(errors.translate(ConnectionResetError(), "TITLE", is_write=True)) is OutcomeUnknownError
    assert type(errors.translate(ConnectionResetError(), "TITLE", is_write=False)) is StoreUnavailableError
