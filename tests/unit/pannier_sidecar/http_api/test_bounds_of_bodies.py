"""How many items a body has, before it is read."""

import pytest

from pannier_sidecar.http_api.bounds import check_items, check_keys
from pannier_sidecar.state.errors import MalformedRequest, TooManyItems


@pytest.mark.parametrize(
    "item", [b'{"key":""}', b'{"\\u006bey":""}', b'{"value":[1,2],"key":"k"}', b'{"key":"k","value":{"key":"key"}}']
)
def test_one_item_too_many_is_refused_and_one_less_is_not(item: bytes) -> None:
    check_items(b"[" + b",".join([item] * 20) + b"]", 20)
    with pytest.raises(TooManyItems, match="over 20 items"):
        check_items(b"[" + b",".join([item] * 21) + b"]", 20)


def test_a_value_may_hold_any_number_of_keys() -> None:
    value = b"[" + b",".join([b'{"key":"k"}'] * 500) + b"]"
    check_items(b'[{"key":"k","value":' + value + b"}]", 20)
    check_items(b'{"operations":[{"operation":"upsert","request":{"key":"k","value":' + value + b"}}]}", 20)


def test_operations_are_counted() -> None:
    operation = b'{"operation":"delete","request":{"key":"k"}}'
    check_items(b'{"operations":[' + b",".join([operation] * 20) + b"]}", 20)
    with pytest.raises(TooManyItems):
        check_items(b'{"operations":[' + b",".join([operation] * 21) + b"]}", 20)


def test_keys_of_a_bulk_get_are_counted_by_their_quotes() -> None:
    check_keys(b'{"keys":[' + b",".join([b'"\\"a\\""'] * 10_000) + b"]}", 10_000)
    with pytest.raises(TooManyItems):
        check_keys(b'{"keys":[' + b",".join([b'"a"'] * 30_000) + b"]}", 10_000)


def test_metadata_are_measured_and_values_are_not() -> None:
    check_items(b'[{"key":"k","metadata":{"a":"b"},"value":"' + b"x" * 100_000 + b'"}]', 20)
    with pytest.raises(MalformedRequest, match="metadata of over 16384 bytes"):
        check_items(b'[{"key":"k","metadata":{"a":"' + b"x" * 100_000 + b'"}}]', 20)
