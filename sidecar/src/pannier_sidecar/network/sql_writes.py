"""What stores over SQL do alike with writes: transactions that check locked keys first, and parts for one statement."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, ClassVar, Generic, Protocol, TypeVar

from pannier_sidecar.state.errors import ETagMismatchError, StoreError
from pannier_sidecar.state.requests import Delete

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from pannier_sidecar.state.requests import Set, Write


class TransactionConnection(Protocol):
    """A connection that carries out transactions."""

    def is_closed(self) -> bool: ...

    async def begin(self) -> None: ...

    async def commit(self) -> None: ...

    async def rollback(self) -> None: ...


Connected = TypeVar("Connected", bound=TransactionConnection)


class CheckedTransaction(ABC, Generic[Connected]):
    """Several writes between BEGIN and COMMIT, whose preconditions are checked first."""

    _answered: ClassVar[type[Exception]]
    """The class of errors that the server has answered."""

    def __init__(self, writes: Sequence[Write]):
        self._writes = writes
        self._is_ending = False

    def may_be_done(self) -> bool:
        """Return whether COMMIT was sent; without it, everything is undone."""
        return self._is_ending

    async def run(self, connection: Connected) -> None:
        """Carry all out. Raises ETagMismatchError, having changed nothing, and the connection's errors."""
        failed = await self._run(connection, all_or_none=True)
        if failed:
            raise next(iter(failed.values()))

    async def run_each(self, connection: Connected) -> list[StoreError | None]:
        """Carry out those whose precondition holds; the keys must differ. Return each one's error or None."""
        failed = await self._run(connection, all_or_none=False)
        return [failed.get(write.key) for write in self._writes]

    async def _run(self, connection: Connected, *, all_or_none: bool) -> dict[str, ETagMismatchError]:
        self._is_ending = False
        await connection.begin()
        try:
            failed = await self._failed(connection)
            if failed and all_or_none:
                await connection.rollback()
                return failed
            await self._write(connection, [write for write in self._writes if write.key not in failed])
        except (StoreError, self._answered):
            if not connection.is_closed():
                await connection.rollback()
            raise
        self._is_ending = True
        await connection.commit()
        return failed

    @abstractmethod
    async def _failed(self, connection: Connected) -> dict[str, ETagMismatchError]:
        """Lock the keys with preconditions, and return the error of each whose precondition does not hold."""

    @abstractmethod
    async def _write(self, connection: Connected, writes: Sequence[Write]) -> None:
        """Carry out the last write of each key."""


def has_happened(write: Write, rows: int) -> bool:
    """Return whether a statement that found or changed so many rows did what it had to."""
    if isinstance(write, Delete):
        if not write.is_conditional:
            return True
        return rows == 0 if write.if_absent else rows > 0
    return rows > 0


def key_of(write: Write) -> str:
    """Return the key of a write, by which statements are sorted so that they lock rows in one order."""
    return write.key


def parts(sets: Iterable[Set], *, max_bytes: int, max_length: int | None = None) -> Iterator[list[Set]]:
    """Cut writes into parts for one statement each, of so many writes and bytes of values; one value may be larger.

    `max_length` None: as many writes as their sizes allow.
    """
    part: list[Set] = []
    size = 0
    for write in sets:
        size += len(write.value)
        if part and (size > max_bytes or len(part) == max_length):
            yield part
            part, size = [], len(write.value)
        part.append(write)
    if part:
        yield part
