"""A write is one statement that checks its precondition: the server decides, and no other write comes between."""

from __future__ import annotations

from time import time
from typing import TYPE_CHECKING, Final

from pymongo import DeleteOne, ReplaceOne
from pymongo.errors import DuplicateKeyError

from pannier_sidecar.state.preconditions import absent_or_changed, exists_already
from pannier_sidecar.state.requests import Set

from . import errors, layout
from .errors import CLIENT_ERRORS

if TYPE_CHECKING:
    from pymongo.asynchronous.client_session import AsyncClientSession

    from pannier_sidecar.state.requests import Delete, Write

    from .client import Collection, Server

    Session = AsyncClientSession | None

ATTEMPTS: Final = 10
"""Attempts at an unconditional write while others create the key at the same moment."""


async def write_one(server: Server, write: Write) -> None:
    """Carry out one write. Raises a StoreError."""
    try:
        await carry_out(server.collection(strong=write.strong), write)
    except CLIENT_ERRORS as error:
        raise errors.translate(error, server.settings, is_write=True, repeats_writes=server.repeats_writes) from error


async def carry_out(collection: Collection, write: Write, session: Session = None) -> None:
    """Carry out one write. Raises ETagMismatchError, StoreRefusedError and the client's errors."""
    if isinstance(write, Set):
        await _set(collection, write, session)
    else:
        await _delete(collection, write, session)


def as_operation(write: Write) -> ReplaceOne[layout.Document] | DeleteOne:
    """Return an unconditional write as a part of a bulk. Raises StoreRefusedError."""
    if isinstance(write, Set):
        return ReplaceOne({"_id": write.key}, layout.document(write, time()), upsert=True)
    return DeleteOne({"_id": write.key})


async def _set(collection: Collection, write: Set, session: Session) -> None:
    now = time()
    document = layout.document(write, now)
    if write.if_match is not None:
        where = _present(write.key, write.if_match, now)
        if write.kept_expiry is None:
            done = await collection.replace_one(where, document, session=session)
        else:
            done = await collection.update_one(where, {"$set": document}, session=session)
        if not done.matched_count:
            raise absent_or_changed(write)
    elif write.if_absent:
        await _create(collection, write, document, now, session)
    else:
        await _upsert(collection, write.key, document, session)


async def _create(
    collection: Collection, write: Write, document: layout.Document, now: float, session: Session
) -> None:
    # This replaces an expired document. A live one does not match, and inserting another one fails.
    where = {"_id": write.key, "_ttl": layout.expired(now)}
    try:
        await collection.replace_one(where, document, upsert=True, session=session)
    except DuplicateKeyError:
        raise exists_already(write) from None


async def _upsert(collection: Collection, key: str, document: layout.Document, session: Session) -> None:
    for attempt in range(1, ATTEMPTS + 1):
        try:
            await collection.replace_one({"_id": key}, document, upsert=True, session=session)
            return
        except DuplicateKeyError:  # another insert of the key was faster
            if session is not None or attempt == ATTEMPTS:
                raise


async def _delete(collection: Collection, write: Delete, session: Session) -> None:
    now = time()
    if write.if_match is not None:
        done = await collection.delete_one(_present(write.key, write.if_match, now), session=session)
        if not done.deleted_count:
            raise absent_or_changed(write)
    elif write.if_absent:
        await _check_absent(collection, write, now, session)
    else:
        await collection.delete_one({"_id": write.key}, session=session)


async def _check_absent(collection: Collection, write: Delete, now: float, session: Session) -> None:
    if session is not None:
        # A transaction protects only the documents that it writes: after a read, another client could still create the
        # key.
        await _create(collection, write, {"value": ""}, now, session)
        await collection.delete_one({"_id": write.key}, session=session)
    elif await collection.find_one({"_id": write.key, "_ttl": layout.alive(now)}, {"_id": 1}):
        raise exists_already(write)


def _present(key: str, etag: str, now: float) -> layout.Document:
    return {"_id": key, "_etag": etag, "_ttl": layout.alive(now)}
