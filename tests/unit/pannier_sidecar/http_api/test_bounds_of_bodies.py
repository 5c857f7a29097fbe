"""How many items a body has, found out while it is read."""

import asyncio

import pytest

from pannier_sidecar.http_api.decoding import NO_DEFAULTS, Decoding
from pannier_sidecar.state.errors import MalformedRequestError, TooManyItemsError


def read(body: bytes, most: int) -> None:
    """Read the body of a save, or of a transaction."""
    decoding = Decoding(is_lenient=False, max_items=most)
    if body.startswith(b"["):
        asyncio.run(decoding.items(body, NO_DEFAULTS))
    else:
        asyncio.run(decoding.transaction(body, NO_DEFAULTS))


def read_keys(body: bytes, most: int) -> None:
    asyncio.run(Decoding(is_lenient=False, max_items=most).bulk_get(body))


@pytest.mark.parametrize(
    "item", [b'{"key":"k"}', b'{"\\u006bey":"k"}', b'{"value":[1,2],"key":"k"}', b'{"key":"k","value":{"key":"key"}}']
)
def test_one_item_too_many_is_refused_and_one_less_is_not(item: bytes) -> None:
    read(b"[" + b",".join([item] * 20) + b"]", 20)
    with pytest.raises(TooManyItemsError, match="over 20 items"):
        read(b"[" + b",".join([item] * 21) + b"]", 20)


def test_a_value_may_hold_any_number_of_keys() -> None:
    value = b"[" + b",".join([b'{"key":"k"}'] * 500) + b"]"
    read(b'[{"key":"k","value":' + value + b"}]", 20)
    read(b'{"operations":[{"operation":"upsert","request":{"key":"k","value":' + value + b"}}]}", 20)


def test_operations_are_counted() -> None:
    operation = b'{"operation":"delete","request":{"key":"k"}}'
    read(b'{"operations":[' + b",".join([operation] * 20) + b"]}", 20)
    with pytest.raises(TooManyItemsError):
        read(b'{"operations":[' + b",".join([operation] * 21) + b"]}", 20)


def test_keys_of_a_bulk_get_are_counted_by_their_quotes() -> None:
    read_keys(b'{"keys":[' + b",".join([b'"\\"a\\""'] * 10_000) + b"]}", 10_000)
    with pytest.raises(TooManyItemsError):
        read_keys(b'{"keys":[' + b",".join([b'"a"'] * 30_000) + b"]}", 10_000)


def test_metadata_are_measured_and_values_are_not() -> None:
    read(b'[{"key":"k","metadata":{"a":"b"},"value":"' + b"x" * 100_000 + b'"}]', 20)
    with pytest.raises(MalformedRequestError, match="metadata of over 16384 bytes"):
        read(b'[{"key":"k","metadata":{"a":"' + b"x" * 100_000 + b'"}}]', 20)
