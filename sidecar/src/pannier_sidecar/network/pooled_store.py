"""A store whose calls are statements on the connections of a pool: which writes go together, and what follows from
errors.
"""

from __future__ import annotations

from abc import abstractmethod
from typing import TYPE_CHECKING, Any, Protocol

from pannier_sidecar.state.errors import OutcomeUnknownError, StoreError, StoreUnavailableError
from pannier_sidecar.state.joining import are_of_one_kind, with_distinct_keys
from pannier_sidecar.state.store import Store, or_error

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pannier_sidecar.network.connection_pool import ConnectionPool
    from pannier_sidecar.state.requests import Delete, Set, Write


class Transaction(Protocol):
    """Several writes, all or none."""

    async def run(self, connection: Any) -> None:
        """Carry them out. Raises ETagMismatchError, having changed nothing, and the client library's errors."""

    def may_be_done(self) -> bool:
        """Return whether the server was asked to commit."""


class PooledStore(Store):
    """What stores with a pool have in common. Subclasses write the statements."""

    _pool: ConnectionPool[Any] | None = None
    """None: the store is not open yet."""

    @property
    def _opened(self) -> ConnectionPool[Any]:
        if self._pool is None:
            raise StoreUnavailableError("the store is not open")
        return self._pool

    async def probe(self) -> None:
        try:
            await self.ping()
        except StoreUnavailableError as error:
            if not self._opened.is_full(error):
                raise

    async def set(self, write: Set) -> None:
        await self._write(write)

    async def delete(self, write: Delete) -> None:
        await self._write(write)

    async def bulk_write(self, writes: Sequence[Write]) -> Sequence[StoreError | None]:
        """Carry out consecutive writes of one kind together."""
        errors: list[StoreError | None] = []
        for run in with_distinct_keys(writes, go_together=are_of_one_kind):
            errors += await self._write_run(writes[run.start : run.stop])
            if isinstance(errors[-1], StoreUnavailableError | OutcomeUnknownError):  # the rest would wait as long
                rest = len(writes) - len(errors)
                return [*errors, *[StoreUnavailableError(f"not tried after an earlier item: {errors[-1]}")] * rest]
        return errors

    async def _write_run(self, run: Sequence[Write]) -> Sequence[StoreError | None]:
        if len(run) == 1:
            return [await or_error(self._write(run[0]))]
        try:
            return await self._write_together(run)
        except (StoreUnavailableError, OutcomeUnknownError) as error:
            return [error] * len(run)
        except StoreError:  # one of them is wrong; the others must not fail for it
            return [await or_error(self._write(write)) for write in run]

    async def transact(self, writes: Sequence[Write]) -> None:
        if len(writes) == 1:
            await self._write(writes[0])
        elif writes:
            transaction = self._transaction(writes)
            await self._opened.run(transaction.run, may_be_done=transaction.may_be_done)

    @abstractmethod
    async def _write(self, write: Write) -> None:
        """Carry out one write. Raises what `set` and `delete` do."""

    @abstractmethod
    async def _write_together(self, run: Sequence[Write]) -> Sequence[StoreError | None]:
        """Carry out several writes of one kind, whose keys differ; return each one's error or None.

        Raises a StoreError: StoreUnavailableError and OutcomeUnknownError for all of them; any other if nothing was
        done, and each must be tried alone.
        """

    @abstractmethod
    def _transaction(self, writes: Sequence[Write]) -> Transaction:
        """Return what carries out the writes. Raises a StoreError for a write that cannot be carried out."""
