"""Whatever bytes are stored come back byte for byte."""

import asyncio
import os

import pytest
from conformance.calls import (
    agree,
    begun_get,
    begun_write,
    error_of,
    needs_begun_calls,
    outcomes,
    present,
    read_all,
    value_in,
    write_all,
    written,
)
from conformance.conftest import Keys
from servers.database import Database
from servers.reads import value_of

from pannier_sidecar.state.errors import StoreRefusedError
from pannier_sidecar.state.requests import Get, Set
from pannier_sidecar.state.store import Feature, Store, StoredValue

pytestmark = pytest.mark.topic("values")

VALUES = {
    "nothing": b"",
    "a space": b" ",
    "an integer": b"1",
    "a large integer": b"123456789012345678901234567890",
    "a float of many digits": b"0.30000000000000004e-300",
    "true": b"true",
    "null": b"null",
    "a string": b'"text"',
    "an empty string": b'""',
    "a string that looks like JSON": b'"{\\"a\\": 1}"',
    "an object in its own order and spacing": b'{ "b":1,\n\t"a" : [ 1.0, 1e3 ] }',
    "keys that are there twice": b'{"a":1,"a":2}',
    "broken JSON": b'{"a":',
    "text without JSON": b"hello",
    "markup": b"<a href='x'>&amp;</a>",
    "quotes and backslashes": b"'\"\\'; DROP TABLE state; --",
    "text of many planes": "zażółć ひ 😀 \u2028 \uffff".encode(),
    "a byte order mark": b"\xef\xbb\xbf{}",
    "NUL in text": b"a\0b",
    "only NUL": b"\0",
    "line ends": b"\r\n\n\r",
    "no UTF-8": b"\xff\xfe\x80",
    "half a character": "ü".encode()[:1],
    "an encoded surrogate": b"\xed\xa0\x80",
    "what looks like base64": b"aGVsbG8=",
    "a protobuf message": b"\x08\x96\x01\x12\x07testing\x1a\x03\x08\x96\x01",
    "every byte": bytes(range(256)),
    "what looks like a Redis reply": b"$-1\r\n*2\r\n+OK\r\n",
    "a negative zero": b"-0.0",
    "a float with a zero at its end": b"1.10",
    "a float beyond 64 bits": b"1e400",
    "a float of more digits than it keeps": b"0.1000000000000000055511151231257827",
    "an empty list": b"[]",
    "an empty object": b"{}",
    "escapes that need not be": b'"\\u00fc \\/ \\n"',
    "nested objects in their own order": b'{"z":1,"a":2,"m":{"y":1,"b":[1,2.0,3]}}',
    "a list nested deeply": b"[" * 200 + b"]" * 200,
}


SIZES = (65_535, 65_536, 1 << 20, 4 << 20, (6 << 20) + 1)


async def test_come_back_byte_for_byte(store: Store, key: Keys, subtests: pytest.Subtests) -> None:
    """All at once, and the same in every kind of read."""

    async def there_and_back(name: str, value: bytes) -> tuple[StoredValue | None, StoredValue | None]:
        await store.set(Set(key(name), value))
        return await store.get(Get(key(name))), await store.get(Get(key(name), strong=True))

    found = await outcomes(there_and_back(name, value) for name, value in VALUES.items())
    together = await read_all(store, [key(name) for name in VALUES])
    for name, alone, in_bulk in zip(VALUES, found, together, strict=True):
        with subtests.test(name):
            assert isinstance(in_bulk, StoredValue)
            assert (in_bulk.value, in_bulk.expires_at) == (VALUES[name], None)
            assert alone == (in_bulk, in_bulk)
    assert await store.get(Get(key("never written"))) is None


@needs_begun_calls
async def test_come_back_byte_for_byte_in_calls_that_are_begun(
    store: Store, key: Keys, subtests: pytest.Subtests
) -> None:
    """All at once, with calls that are awaited between them."""
    await asyncio.gather(*(begun_write(store, Set(key(name), value, ttl=900)) for name, value in VALUES.items()))
    *found, absent = await asyncio.gather(
        *(way(store, Get(key(name))) for name in VALUES for way in (begun_get, type(store).get)),
        begun_get(store, Get(key("never written"))),
    )
    for name, begun, awaited in zip(VALUES, found[::2], found[1::2], strict=True):
        with subtests.test(name):
            assert begun is not None
            assert begun.value == VALUES[name]
            assert agree(begun, awaited)
    assert absent is None


async def test_large_values_come_back(subject: Database, store: Store, key: Keys, subtests: pytest.Subtests) -> None:
    for size in SIZES:
        is_taken = subject.largest_value is None or size <= subject.largest_value
        text, binary = (b'{"a": "0123456789"}' * (size // 19 + 1))[:size], os.urandom(size)
        for kind, value in (("text", text), ("binary", binary)):
            with subtests.test(f"{size} bytes, {kind}"):
                if is_taken:
                    await store.set(Set(key(kind), value))
                    comes_back = await value_of(store, key(kind)) == value  # a difference is too long to be shown
                    assert comes_back
                else:
                    await is_refused_for_its_size(store, key(kind), value)


async def is_refused_for_its_size(store: Store, key: str, value: bytes) -> None:
    before = await written(store, key)
    error = await error_of(store.set(Set(key, value)))
    assert isinstance(error, StoreRefusedError)
    assert "too large" in str(error)
    assert await present(store, key) == before


async def test_a_smaller_value_replaces_a_larger_one_whole(store: Store, key: Keys) -> None:
    await store.set(Set(key("k"), b"x" * 10_000))
    await store.set(Set(key("k"), b"\xff"))
    assert await value_of(store, key("k")) == b"\xff"
    await store.set(Set(key("k"), b"{}"))
    assert await value_of(store, key("k")) == b"{}"


async def test_values_written_together_come_back_byte_for_byte(
    store: Store, key: Keys, subtests: pytest.Subtests
) -> None:
    await write_all(store, [Set(key(name), value) for name, value in VALUES.items()])
    await come_back(store, key, subtests)


@pytest.mark.topic("transactions", Feature.TRANSACTIONAL)
async def test_values_of_a_transaction_come_back_byte_for_byte(
    store: Store, key: Keys, subtests: pytest.Subtests
) -> None:
    await store.transact([Set(key(name), value) for name, value in VALUES.items()])
    await come_back(store, key, subtests)


async def come_back(store: Store, key: Keys, subtests: pytest.Subtests) -> None:
    found = await read_all(store, [key(name) for name in VALUES])
    for name, entry in zip(VALUES, found, strict=True):
        with subtests.test(name):
            assert value_in(entry) == VALUES[name]
