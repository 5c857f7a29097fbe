"""Values that are kept in parts: they come back byte for byte, whole or not at all, whatever happens meanwhile."""

import asyncio
from collections.abc import Callable
from time import time

import pytest
from conformance.calls import all_keys, begun_get, begun_write, error_of, present, value_in
from conformance.conftest import Keys
from servers.database import Database

from pannier_sidecar.large_values.layout import MARK, ROOT
from pannier_sidecar.large_values.layout import Keys as PartKeys
from pannier_sidecar.large_values.part_store import PartStore, Sizes
from pannier_sidecar.large_values.part_writer import BytesBody
from pannier_sidecar.large_values.sweeping import sweep
from pannier_sidecar.large_values.value_in_parts import ValueInParts
from pannier_sidecar.state.errors import ETagMismatchError, NotSupportedError, ValueInPartsError, ValueTooLargeError
from pannier_sidecar.state.requests import PARTITION, Delete, Get, Set
from pannier_sidecar.state.store import Feature, Store, StoredValue


def names_parts(database: Database) -> bool:
    """Return whether its store takes the keys of parts: blobs of version v1 have only a part of a key as their name."""
    return not database.keeps_one_app


pytestmark = [
    pytest.mark.topic("large values", Feature.ETAG, Feature.KEYS_LIKE),
    pytest.mark.on.with_args(names_parts),
]

PART = 1000
SIZES = Sizes(part=PART, value=100_000, joined=10_000, joined_together=20_000)
LARGE = bytes(range(256)) * 12 + b"the end"
LARGEST = bytes(range(256)) * 100


@pytest.fixture
def part_keys(prefix: str) -> PartKeys:
    return PartKeys(prefix)


@pytest.fixture
def parts(store: Store, part_keys: PartKeys) -> PartStore:
    return PartStore(store, part_keys, SIZES)


async def parts_left(store: Store, keys: PartKeys) -> int:
    return len(await all_keys(store, keys.root))


async def sweep_up(store: Store, keys: PartKeys) -> int:
    """Sweep twice without a grace, as two sweeps that are far apart."""
    return await sweep(store, keys, 0) + await sweep(store, keys, 0)


async def test_they_come_back_in_every_kind_of_read(parts: PartStore, key: Keys, subtests: pytest.Subtests) -> None:
    values = {
        "nothing": b"",
        "a part": b"x" * PART,
        "a byte more than a part": b"x" * (PART + 1),
        "three parts": b"y" * (3 * PART),
        "every byte": LARGE,
        "what looks like a manifest": MARK + b'm{"version":"' + b"0" * 32 + b'","size":3000,"part_size":1000}',
        "what begins as what is no manifest": MARK + b"v" + LARGE,
        "the mark": MARK,
    }
    for name, value in values.items():
        await parts.set(Set(key(name), value))
    found = await parts.bulk_get([Get(key(name)) for name in values])
    for (name, value), entry in zip(values.items(), found, strict=True):
        with subtests.test(name):
            assert (await present(parts, key(name))).value == value
            assert value_in(entry) == value
            again = await begun_get(parts, Get(key(name)))
            assert again is not None and again.value == value
            await begun_write(parts, Set(key(name), value[::-1]))
            assert (await present(parts, key(name))).value == value[::-1]


async def test_neither_lists_nor_reads_show_a_part(
    parts: PartStore, store: Store, part_keys: PartKeys, key: Keys, prefix: str
) -> None:
    await parts.set(Set(key("large"), LARGE))
    assert await all_keys(parts, prefix) == [key("large")]
    assert await all_keys(parts, part_keys.root) == []
    assert all(stored.startswith(ROOT) for stored in await all_keys(store, part_keys.root))
    assert await parts_left(store, part_keys) == 5  # and the record of the four


async def test_one_etag_is_that_of_the_whole(parts: PartStore, store: Store, part_keys: PartKeys, key: Keys) -> None:
    name = key("large")
    await parts.set(Set(name, LARGE, if_absent=True))
    first = (await present(parts, name)).etag
    assert isinstance(await error_of(parts.set(Set(name, LARGE, if_absent=True))), ETagMismatchError)
    await parts.set(Set(name, LARGE[::-1], if_match=first))
    second = await present(parts, name)
    assert (second.value, second.etag == first) == (LARGE[::-1], False)
    assert isinstance(await error_of(parts.set(Set(name, LARGE, if_match=first))), ETagMismatchError)
    assert isinstance(await error_of(parts.delete(Delete(name, first))), ETagMismatchError)
    assert await present(parts, name) == second
    await parts.delete(Delete(name, second.etag))
    assert await parts.get(Get(name)) is None
    assert await sweep_up(store, part_keys) == 2
    assert await parts_left(store, part_keys) == 0


async def test_what_replaces_them_leaves_no_part(
    parts: PartStore, store: Store, part_keys: PartKeys, key: Keys
) -> None:
    ways: dict[str, Callable[[str], object]] = {
        "a small value": lambda name: parts.set(Set(name, b"small")),
        "another large one": lambda name: parts.set(Set(name, LARGE[::-1])),
        "a delete": lambda name: parts.delete(Delete(name)),
        "a bulk of deletes": lambda name: parts.bulk_write([Delete(name)]),
        "a bulk of both": lambda name: parts.bulk_write([Set(name, LARGE), Delete(key("none")), Set(name, b"1")]),
    }
    for name, replace in ways.items():
        await parts.set(Set(key(name), LARGE))
        await replace(key(name))  # type: ignore[misc]  # each returns an awaitable
    assert await sweep(store, part_keys) == 0, "what was noted just now is left alone"
    assert await sweep_up(store, part_keys) == 6
    assert await parts_left(store, part_keys) == 5, "those of the value that is there"
    assert (await present(parts, key("another large one"))).value == LARGE[::-1]


async def test_the_parts_of_a_value_in_a_partition_of_its_own_are_kept(
    parts: PartStore, store: Store, part_keys: PartKeys, key: Keys
) -> None:
    place = {PARTITION: key("place")}
    await parts.set(Set(key("k"), LARGE, metadata=place))
    await parts.set(Set(key("k"), LARGE[::-1], metadata=place))
    assert await sweep_up(store, part_keys) == 1, "the version before"
    assert await sweep_up(store, part_keys) == 0
    found = await parts.get(Get(key("k"), metadata=place))
    assert found is not None and found.value == LARGE[::-1]


async def test_a_writer_that_fails_leaves_nothing_to_see(
    parts: PartStore, store: Store, part_keys: PartKeys, key: Keys
) -> None:
    class Cut(BytesBody):
        async def read(self, size: int) -> bytes:
            if self._at > 2 * PART:
                raise ConnectionError
            return await super().read(size)

    await parts.set(Set(key("k"), b"before"))
    with pytest.raises(ConnectionError):
        await parts.write(Set(key("k"), b""), Cut(LARGE))
    assert (await present(parts, key("k"))).value == b"before"
    assert await parts_left(store, part_keys) == 0
    with pytest.raises(ValueTooLargeError):
        await parts.set(Set(key("k"), b"x" * (SIZES.value + 1)))
    assert await parts_left(store, part_keys) == 0


async def test_parts_of_a_killed_writer_are_swept(
    parts: PartStore, store: Store, part_keys: PartKeys, key: Keys
) -> None:
    """The task is cancelled when some parts are written, and so does nothing more."""
    reached = asyncio.Event()

    class Endless(BytesBody):
        async def read(self, size: int) -> bytes:
            if self._at > 2 * PART:
                reached.set()
                await asyncio.Event().wait()
            return await super().read(size)

    writing = asyncio.create_task(parts.write(Set(key("k"), b""), Endless(LARGE)))
    await reached.wait()
    writing.cancel()
    await asyncio.wait([writing])
    assert await parts.get(Get(key("k"))) is None
    assert await parts_left(store, part_keys) > 1
    assert await sweep_up(store, part_keys) == 1
    assert await parts_left(store, part_keys) == 0


async def test_a_writer_whose_parts_were_swept_does_not_finish(
    parts: PartStore, store: Store, part_keys: PartKeys, key: Keys, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pannier_sidecar.large_values.part_writer.NOTED_EVERY_S", -1.0)

    class Late(BytesBody):
        async def read(self, size: int) -> bytes:
            if self._at == 3 * PART:
                await sweep_up(store, part_keys)
            return await super().read(size)

    error = await error_of(parts.write(Set(key("k"), b""), Late(LARGE)))
    assert "stood still" in str(error)
    assert await parts.get(Get(key("k"))) is None
    assert await parts_left(store, part_keys) == 0


async def test_a_reader_never_gets_parts_of_two_versions(
    parts: PartStore, store: Store, part_keys: PartKeys, key: Keys
) -> None:
    """Of two writers and two readers at once, with a sweep that has no grace."""
    versions = [bytes([number]) * (2 * PART + number) for number in range(1, 9)]
    await parts.set(Set(key("k"), versions[0]))

    async def write(some: list[bytes]) -> None:
        for value in some:
            await parts.set(Set(key("k"), value))
            await sweep_up(store, part_keys)

    writers = [asyncio.create_task(write(versions[::2])), asyncio.create_task(write(versions[1::2]))]

    async def read() -> set[bytes]:
        found = set()
        while not all(writer.done() for writer in writers):
            value = await parts.get(Get(key("k"), True))
            assert value is not None
            found.add(value.value)
            await asyncio.sleep(0)
        return found

    seen = await asyncio.gather(read(), read())
    await asyncio.gather(*writers)
    assert set().union(*seen) <= set(versions)
    assert (await present(parts, key("k"))).value in (versions[-1], versions[-2])


async def test_too_large_ones_are_read_part_by_part(parts: PartStore, key: Keys) -> None:
    name = key("k")
    await parts.set(Set(name, LARGEST))
    error = await error_of(parts.get(Get(name)))
    assert isinstance(error, ValueInPartsError)
    assert str(error) == (
        "the value has 25,600 bytes, and this call returns values of up to 10,000; "
        "read it over HTTP: GET /v1.0/state/STORE/KEY"
    )
    value = error.value
    assert isinstance(value, ValueInParts)
    for start, stop in ((0, len(LARGEST)), (0, 1), (PART - 1, PART + 1), (PART, 2 * PART), (25_599, 25_600)):
        assert b"".join([part async for part in value.read(start, stop)]) == LARGEST[start:stop]
    [entry] = await parts.bulk_get([Get(name)])
    assert isinstance(entry, ValueInPartsError)
    await parts.set(Set(key("other"), LARGEST[:9000]))
    await parts.set(Set(key("third"), LARGEST[:9000]))
    found = await parts.bulk_get([Get(key(each)) for each in ("other", "third", "other")])
    assert [isinstance(each, StoredValue) for each in found] == [True, True, False]


@pytest.mark.needs(Feature.TTL)
async def test_they_expire_as_a_whole(parts: PartStore, store: Store, part_keys: PartKeys, key: Keys) -> None:
    before = time()
    await parts.set(Set(key("k"), LARGE, ttl=1000))
    found = await present(parts, key("k"))
    assert found.expires_at is not None and before + 998 <= found.expires_at <= time() + 1002
    for stored in await all_keys(store, part_keys.root):
        part = await present(store, stored)
        assert part.expires_at is not None and part.expires_at > found.expires_at
    if store.keeps_expiry:
        await parts.set(Set(key("k"), LARGE[::-1], if_match=found.etag, kept_expiry=found.expires_at))
        again = await present(parts, key("k"))
        assert (again.value, again.expires_at) == (LARGE[::-1], found.expires_at)
        for stored in await all_keys(store, part_keys.root):
            assert (await present(store, stored)).expires_at is not None
    await parts.set(Set(key("k"), LARGE))
    assert (await present(parts, key("k"))).expires_at is None


@pytest.mark.needs(Feature.TRANSACTIONAL)
async def test_a_transaction_takes_small_values_only(parts: PartStore, prefix: str) -> None:
    await parts.set(Set(prefix + "k", LARGE))
    error = await error_of(parts.transact([Set(prefix + "k", LARGE[::-1])]))
    assert isinstance(error, NotSupportedError)
    assert "a transaction takes only values in one piece, of up to 1,000; save it alone" in str(error)
    assert (await present(parts, prefix + "k")).value == LARGE
    await parts.transact([Set(prefix + "k", MARK)])
    assert (await present(parts, prefix + "k")).value == MARK
