"""The one table of preconditions, cell by cell, for single writes, bulks and transactions (docs: the writing rule)."""

from collections.abc import Sequence
from dataclasses import dataclass

import pytest
from conformance.calls import REFUSED, read_all, send_each, sets, value_in, ways_of, write_all
from conformance.conftest import Keys
from servers.database import Database

from pannier_sidecar.state.requests import Delete, Set, Write
from pannier_sidecar.state.store import Feature, Store, StoredValue

pytestmark = pytest.mark.topic("ETags", Feature.ETAG)

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


@pytest.mark.parametrize("kind", [Set, Delete])
async def test_a_write_happens_if_its_precondition_holds_and_else_changes_nothing(
    subject: Database, store: Store, key: Keys, kind: type[Write], subtests: pytest.Subtests
) -> None:
    for way in ways_of(subject):
        names = [key(f"{way} {number}") for number in range(len(CELLS))]
        etags = await arrange(store, names, key("other"))
        before = await read_all(store, names)
        writes = [
            Set(name, b'"after"', etag, cell.is_first_write) if kind is Set else Delete(name, etag, cell.is_first_write)
            for name, etag, cell in zip(names, etags, CELLS, strict=True)
        ]
        errors = await send_each(store, way, writes)
        after = await read_all(store, names)
        for cell, name, was, error, found in zip(CELLS, names, before, errors, after, strict=True):
            with subtests.test(f"{cell}, {way}"):
                assert (was is not None) is cell.is_present
                if cell.is_carried_out:
                    assert error is None
                    assert value_in(found) == (b'"after"' if kind is Set else None)
                else:
                    assert isinstance(error, REFUSED)
                    assert name in str(error)
                    assert found == was


async def arrange(store: Store, names: Sequence[str], other: str) -> list[str | None]:
    """Create the situation of each cell under its name; return the ETags to write with."""
    await write_all(store, sets([*names, other], b'"earlier"'))
    earlier = await read_all(store, names)
    await write_all(
        store,
        [Set(name, b'"before"') if cell.is_present else Delete(name) for name, cell in zip(names, CELLS, strict=True)],
    )
    *current, others = await read_all(store, [*names, other])
    found = {CURRENT: current, EARLIER: earlier, OTHERS: [others] * len(names)}
    wanted = [found[cell.etag][place] if cell.etag else None for place, cell in enumerate(CELLS)]
    return [each.etag if isinstance(each, StoredValue) else None for each in wanted]
