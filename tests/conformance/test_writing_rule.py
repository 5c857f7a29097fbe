"""The one table of preconditions, cell by cell, for single writes, bulks and transactions (docs: the writing rule)."""

from dataclasses import dataclass

import pytest
from conformance.calls import WAYS, present, send, value_of, written
from conformance.conftest import Keys

from pannier_sidecar.state.errors import ETagMismatchError
from pannier_sidecar.state.requests import Delete, Set, Write
from pannier_sidecar.state.store import Feature, Store

pytestmark = [pytest.mark.topic("ETags", Feature.ETAG), pytest.mark.parametrize("way", WAYS)]

CURRENT = "the current ETag"
EARLIER = "an earlier ETag"
OTHERS = "the ETag of another key"


@dataclass(frozen=True)
class Cell:
    """One cell of the table."""

    etag: str | None
    is_first_write: bool
    is_present: bool
    is_carried_out: bool

    def __str__(self) -> str:
        rule = self.etag or ("first-write without ETag" if self.is_first_write else "no precondition")
        return f"{rule}, key {'present' if self.is_present else 'absent'}"


CELLS = (
    Cell(None, False, False, True),
    Cell(None, False, True, True),
    Cell(CURRENT, False, True, True),
    Cell(EARLIER, False, True, False),
    Cell(EARLIER, False, False, False),
    Cell(OTHERS, False, True, False),
    Cell(OTHERS, False, False, False),
    Cell(None, True, False, True),
    Cell(None, True, True, False),
)


async def test_set(store: Store, key: Keys, way: str, subtests: pytest.Subtests) -> None:
    for number, cell in enumerate(CELLS):
        with subtests.test(str(cell)):
            name = key(str(number))
            etag = await arrange(store, name, cell)
            before = await value_of(store, name)
            error = await send(store, way, Set(name, b'"after"', etag, cell.is_first_write))
            assert isinstance(error, ETagMismatchError) is not cell.is_carried_out
            assert await value_of(store, name) == (b'"after"' if cell.is_carried_out else before)


async def test_delete(store: Store, key: Keys, way: str, subtests: pytest.Subtests) -> None:
    for number, cell in enumerate(CELLS):
        with subtests.test(str(cell)):
            name = key(str(number))
            etag = await arrange(store, name, cell)
            before = await value_of(store, name)
            error = await send(store, way, Delete(name, etag, cell.is_first_write))
            assert isinstance(error, ETagMismatchError) is not cell.is_carried_out
            assert await value_of(store, name) == (None if cell.is_carried_out else before)


@pytest.mark.parametrize("kind", [Set, Delete])
async def test_a_refused_write_leaves_the_etag(store: Store, key: Keys, way: str, kind: type[Write]) -> None:
    before = await written(store, key("k"))
    write = Set(key("k"), b"2", "1") if kind is Set else Delete(key("k"), "1")
    assert isinstance(await send(store, way, write), ETagMismatchError)
    assert await present(store, key("k")) == before


async def test_the_fault_names_the_key(store: Store, key: Keys, way: str) -> None:
    error = await send(store, way, Set(key("the key"), b"2", "1"))
    assert key("the key") in str(error)


async def arrange(store: Store, key: str, cell: Cell) -> str | None:
    """Create the situation of the cell; return the ETag to write with."""
    earlier = await written(store, key, b'"earlier"')
    if cell.is_present:
        current = await written(store, key, b'"before"')
    else:
        current = earlier
        await store.delete(Delete(key))
    other = await written(store, f"{key} other")
    return {None: None, CURRENT: current.etag, EARLIER: earlier.etag, OTHERS: other.etag}[cell.etag]
