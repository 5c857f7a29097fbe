"""Bodies that are measured before they are read: however a name is written, and whatever stands in values."""

import pytest

from pannier_sidecar.http_api.bounds import LARGE, MAX_METADATA, check_items, check_keys
from pannier_sidecar.state.errors import MalformedRequest, TooManyItems

LONG = b"x" * LARGE
MUCH = b'{"a":"%b"}' % (b"m" * MAX_METADATA)
NAMES = [b"metadata", rb"\u006detadata", rb"metad\u0061ta", rb"me\u0074adata", rb"m\u0065tadata", rb"meta\u0064ata"]


def item(name: bytes, metadata: bytes, *, texts: int = 0) -> bytes:
    value = b"[%b]" % b",".join([b'"t"'] * texts + [b'"%b"' % LONG])
    return b'{"key":"k","value":%b,"%b":%b}' % (value, name, metadata)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("texts", [0, 200])
def test_much_metadata_is_refused_however_its_name_is_written(name: bytes, texts: int) -> None:
    for shape in (b"[%b]", b'{"operations":[{"operation":"upsert","request":%b}]}'):
        with pytest.raises(MalformedRequest, match="metadata of over 16384 bytes"):
            check_items(shape % item(name, MUCH, texts=texts), 10_000)
    with pytest.raises(MalformedRequest, match="metadata of over 16384 bytes"):
        check_keys(b'{"keys":["%b"],"%b":%b}' % (LONG, name, MUCH), 10_000)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("texts", [0, 200])
def test_little_metadata_beside_a_large_value_is_taken(name: bytes, texts: int) -> None:
    check_items(b"[%b]" % item(name, b'{"a":"b"}', texts=texts), 10_000)


@pytest.mark.parametrize("value", [b'{"metadata":%b}' % MUCH, b'"\\"metadata\\": %b"' % LONG, b'"\\u0065%b"' % LONG])
def test_what_values_say_of_metadata_is_the_apps_own(value: bytes) -> None:
    check_items(b'[{"key":"k","value":%b,"etag":"%b"}]' % (value, LONG), 10_000)


@pytest.mark.parametrize("name", [b"key", rb"\u006bey", rb"k\u0065y", rb"ke\u0079"])
@pytest.mark.parametrize("most", [10, 63, 64, 100, 1000])
def test_more_items_than_may_be_are_refused_however_key_is_written(name: bytes, most: int) -> None:
    one = b'{"%b":"k"}' % name
    check_items(b"[%b]" % b",".join([one] * most), most)
    with pytest.raises(TooManyItems):
        check_items(b"[%b]" % b",".join([one] * (most + 1)), most)


def test_one_value_of_many_objects_is_one_item() -> None:
    check_items(b'[{"key":"k","value":[%b]}]' % b",".join([b'{"key":1}'] * 5000), 1000)
