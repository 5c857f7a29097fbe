"""Writes to several keys, all or none, in a transaction of MongoDB's."""

from __future__ import annotations

import asyncio
import random
from time import monotonic
from typing import TYPE_CHECKING, Final

import pymongo
from pymongo import ReadPreference
from pymongo.errors import BulkWriteError, PyMongoError
from pymongo.read_concern import ReadConcern
from pymongo.write_concern import WriteConcern

from pannier_sidecar.state.errors import NotSupportedError, OutcomeUnknownError, StoreError

from . import errors
from .errors import CLIENT_ERRORS, DUPLICATE_KEY
from .writing import as_operation, carry_out

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pannier_sidecar.state.requests import Write

    from .client import Server

MAX_PAUSE_S: Final = 0.05
"""Maximum pause before a transaction that conflicted with another one is retried."""
TRANSIENT: Final = "TransientTransactionError"
COMMIT_UNKNOWN: Final = "UnknownTransactionCommitResult"


async def write_together(server: Server, writes: Sequence[Write]) -> None:
    """Carry out writes to distinct keys, all or none. Raises a StoreError."""
    if not server.has_transactions:
        raise NotSupportedError(
            f"{server.settings} is a single server, which has no transactions over several keys; make it a replica "
            "set, be it of one member (rs.initiate()), or change one key at a time"
        )
    try:
        await _retry_conflicts(server, writes)
    except CLIENT_ERRORS as error:
        raise _error_from(error, server) from error


async def _retry_conflicts(server: Server, writes: Sequence[Write]) -> None:
    deadline = monotonic() + server.settings.timeout
    with pymongo.timeout(server.settings.timeout):
        while True:
            try:
                return await _attempt(server, writes)
            except PyMongoError as error:
                if not _is_conflict(error) or monotonic() > deadline:
                    raise
            await asyncio.sleep(random.uniform(0, MAX_PAUSE_S))


async def _attempt(server: Server, writes: Sequence[Write]) -> None:
    async with (
        server.client.start_session() as session,
        await session.start_transaction(
            ReadConcern("snapshot"), WriteConcern("majority"), read_preference=ReadPreference.PRIMARY
        ),
    ):
        for write in writes:
            if write.is_conditional:
                await carry_out(server.eventual, write, session)
        plain = [as_operation(write) for write in writes if not write.is_conditional]
        if plain:
            await server.eventual.bulk_write(plain, session=session)


def _is_conflict(error: PyMongoError) -> bool:
    """Return whether a transaction failed because of a conflict with another one, so that it may be retried."""
    if isinstance(error, BulkWriteError):
        parts = (error.details or {}).get("writeErrors", ())
        return any(part.get("code") == DUPLICATE_KEY for part in parts) or error.has_error_label(TRANSIENT)
    return error.has_error_label(TRANSIENT)


def _error_from(error: Exception, server: Server) -> StoreError:
    """Return the error of a transaction; its outcome can be unknown only after the commit was sent."""
    if isinstance(error, PyMongoError) and error.has_error_label(COMMIT_UNKNOWN):
        found = errors.translate(error, server.settings, is_write=True, repeats_writes=server.repeats_writes)
        return found if isinstance(found, OutcomeUnknownError) else errors.unknown(error, server.settings)
    return errors.translate(error, server.settings, is_write=False)
