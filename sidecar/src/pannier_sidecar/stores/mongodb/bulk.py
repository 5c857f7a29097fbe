"""Many independent writes: those without a precondition in one request, the others concurrently."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

from pymongo.errors import BulkWriteError, OperationFailure

from pannier_sidecar.state.errors import StoreError, TooFewReplicasError
from pannier_sidecar.state.joining import with_distinct_keys

from . import errors
from .errors import CLIENT_ERRORS, DUPLICATE_KEY
from .writing import as_operation, write_one

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from pannier_sidecar.state.requests import Write

    from .client import Server

    Errors = dict[int, StoreError]
    """Errors by the places of their writes in the bulk."""

AT_ONCE: Final = 16
"""Maximum number of conditional writes that are in flight together."""


async def write_each(server: Server, writes: Sequence[Write]) -> list[StoreError | None]:
    """Carry out the writes independently, but those to one key in their order; return each one's error or None."""
    failed: Errors = {}
    for run in with_distinct_keys(writes):
        failed |= await _write_run(server, {place: writes[place] for place in run})
    return [failed.get(place) for place in range(len(writes))]


async def _write_run(server: Server, writes: Mapping[int, Write]) -> Errors:
    """Carry out writes to distinct keys."""
    plain = {place: write for place, write in writes.items() if not write.is_conditional}
    if len(plain) == 1:
        plain = {}
    alone = {place: write for place, write in writes.items() if place not in plain}
    parts = await asyncio.gather(_write_together(server, plain), _write_side_by_side(server, alone))
    return {**parts[0], **parts[1]}


async def _write_side_by_side(server: Server, writes: Mapping[int, Write]) -> Errors:
    room = asyncio.Semaphore(AT_ONCE)
    failed: Errors = {}

    async def attempt(place: int, write: Write) -> None:
        async with room:
            try:
                await write_one(server, write)
            except StoreError as error:
                failed[place] = error

    await asyncio.gather(*(attempt(place, write) for place, write in writes.items()))
    return failed


async def _write_together(server: Server, writes: Mapping[int, Write]) -> Errors:
    failed: Errors = {}
    operations = {}
    for place, write in writes.items():
        try:
            operations[place] = as_operation(write)
        except StoreError as error:
            failed[place] = error
    if not operations:
        return failed
    collection = server.collection(strong=any(writes[place].strong for place in operations))
    try:
        await collection.bulk_write(list(operations.values()), ordered=False)
    except BulkWriteError as error:
        parts = dict(_errors_of_parts(server, error, list(operations)))
        lost = {place: writes[place] for place, error in parts.items() if error is None}
        failed |= {place: error for place, error in parts.items() if error is not None}
        failed |= await _write_side_by_side(server, lost)
    except CLIENT_ERRORS as error:
        failed |= dict.fromkeys(operations, _error_from(error, server))
    return failed


def _errors_of_parts(
    server: Server, error: BulkWriteError, places: Sequence[int]
) -> Iterator[tuple[int, StoreError | None]]:
    """Yield the error of each write that failed; None if another writer created that key at the same moment."""
    details = error.details or {}
    if details.get("writeConcernErrors"):
        too_few = TooFewReplicasError(f"{server.settings} has the write, but not on as many members as asked for")
        yield from ((place, too_few) for place in places)
    for part in details.get("writeErrors", ()):
        failure = OperationFailure(part.get("errmsg", ""), part.get("code"), part)
        is_race = failure.code == DUPLICATE_KEY
        yield (
            places[part["index"]],
            None if is_race else _error_from(failure, server),
        )


def _error_from(error: Exception, server: Server) -> StoreError:
    return errors.translate(error, server.settings, is_write=True, repeats_writes=server.repeats_writes)
