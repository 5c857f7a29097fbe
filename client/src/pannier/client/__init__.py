"""A client of Pannier's state API over HTTP, sync and async.

    sync, aio    `Client` and `AsyncClient`: the calls over httpx
    held         the locks of both clients while they are held: what renews them, and reports a loss
    over_httpx   what httpx reports, in the words of `calls`
    events       the events of a watch, and where it goes on after a lost connection
    locks        a lock that is a leased key: acquiring, renewing, releasing
    calls        what each call sends, and what its answer means; when a request is made again
    errors       what can go wrong, and whether a write may have happened

Each knows only those below it. The last four do no I/O.
"""

from .aio import AsyncClient
from .calls import Delete, Item, Upsert
from .errors import (
    ConflictError,
    LockLostError,
    LockTakenError,
    OutcomeUnknownError,
    PannierError,
    RefusedError,
    UnreachableError,
)
from .events import Event
from .held import AsyncLock, Lock
from .sync import Client

__all__ = [
    "AsyncClient",
    "AsyncLock",
    "Client",
    "ConflictError",
    "Delete",
    "Event",
    "Item",
    "Lock",
    "LockLostError",
    "LockTakenError",
    "OutcomeUnknownError",
    "PannierError",
    "RefusedError",
    "UnreachableError",
    "Upsert",
]
