"""The number of items and the size of metadata are checked while a body is read, however names are written and whatever
values contain.
"""

import asyncio

import pytest
from unit.tables import each_row

from pannier_sidecar.http_api.bounds import LARGE, MAX_METADATA
from pannier_sidecar.http_api.decoding import NO_DEFAULTS, Decoding
from pannier_sidecar.state.errors import MalformedRequestError, TooManyItemsError

LONG = b"x" * LARGE
MUCH = b'{"a":"%b"}' % (b"m" * MAX_METADATA)
NAMES = [b"metadata", rb"\u006detadata", rb"metad\u0061ta", rb"me\u0074adata", rb"m\u0065tadata", rb"meta\u0064ata"]


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


# --- large bodies -----------------------------------------------------------------------------------------------------


def item(name: bytes, metadata: bytes, *, texts: int = 0) -> bytes:
    value = b"[%b]" % b",".join([b'"t"'] * texts + [b'"%b"' % LONG])
    return b'{"key":"k","value":%b,"%b":%b}' % (value, name, metadata)


@each_row("name", NAMES)
@pytest.mark.parametrize("texts", [0, 200])
def test_much_metadata_is_refused_however_its_name_is_written(name: bytes, texts: int) -> None:
    for shape in (b"[%b]", b'{"operations":[{"operation":"upsert","request":%b}]}'):
        with pytest.raises(MalformedRequestError, match="metadata of over 16384 bytes"):
            read(shape % item(name, MUCH, texts=texts), 10_000)
    with pytest.raises(MalformedRequestError, match="metadata of over 16384 bytes"):
        read_keys(b'{"keys":["%b"],"%b":%b}' % (LONG, name, MUCH), 10_000)


@each_row("name", NAMES)
@pytest.mark.parametrize("texts", [0, 200])
def test_little_metadata_beside_a_large_value_is_taken(name: bytes, texts: int) -> None:
    read(b"[%b]" % item(name, b'{"a":"b"}', texts=texts), 10_000)


@pytest.mark.parametrize("value", [b'{"metadata":%b}' % MUCH, b'"\\"metadata\\": %b"' % LONG, b'"\\u0065%b"' % LONG])
def test_metadata_inside_values_belong_to_the_app(value: bytes) -> None:
    read(b'[{"key":"k","value":%b,"etag":"%b"}]' % (value, LONG), 10_000)


@pytest.mark.parametrize("name", [b"key", rb"\u006bey", rb"k\u0065y", rb"ke\u0079"])
@each_row("most", [10, 63, 64, 100, 1000])
def test_more_items_than_may_be_are_refused_however_key_is_written(name: bytes, most: int) -> None:
    one = b'{"%b":"k"}' % name
    read(b"[%b]" % b",".join([one] * most), most)
    with pytest.raises(TooManyItemsError):
        read(b"[%b]" % b",".join([one] * (most + 1)), most)


def test_one_value_of_many_objects_is_one_item() -> None:
    read(b'[{"key":"k","value":[%b]}]' % b",".join([b'{"key":1}'] * 5000), 1000)


@pytest.mark.parametrize(
    "metadata",
    [b"1", b'{"a":1}', b'{"a":{"b":2}}', b"[]", b'"text"'],
)
def test_wrong_metadata_are_reported_in_a_large_body_as_in_a_small_one(metadata: bytes) -> None:
    for shape in (b"[%b]", b'{"operations":[{"operation":"upsert","request":%b}]}'):
        messages = []
        for value in (b"1", b'"%b"' % LONG):
            with pytest.raises(MalformedRequestError) as refused:
                read(shape % (b'{"key":"k","value":%b,"metadata":%b}' % (value, metadata)), 10_000)
            messages.append(str(refused.value))
        assert messages[0] == messages[1]
    assert "metadata" in messages[0]


def test_metadata_of_a_large_body_are_read() -> None:
    body = b'[{"key":"k","value":"%b","metadata":{"ttlInSeconds":"5","a":null}},{"key":"l","metadata":null}]' % LONG
    first, second = asyncio.run(Decoding(is_lenient=False, max_items=1000).items(body, NO_DEFAULTS))
    assert (first.metadata, dict(second.metadata)) == ({"ttlInSeconds": "5"}, {})
