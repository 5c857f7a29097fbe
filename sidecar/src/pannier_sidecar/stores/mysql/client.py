"""The pool of connections to MySQL. The client library has one too; it closes the connection of a call that is given
up, while the server goes on with the statement.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, Final, TypeVar

import aiomysql

from pannier_sidecar.network.connection_pool import ConnectionPool, never

from . import errors
from .connection import Connection

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

    from pannier_sidecar.network.connection_pool import ErrorMeanings

Result = TypeVar("Result")

_SETTLING_S: Final = 60.0
"""Seconds, beside the call's own time, in which the server must end a statement that was given up."""


class Pool(ConnectionPool[Connection]):
    """Connections to MySQL or MariaDB."""

    _errors: ClassVar[ErrorMeanings] = errors
    _answered = aiomysql.MySQLError

    def run(
        self,
        work: Callable[..., Coroutine[Any, Any, Result]],
        *arguments: object,
        may_be_done: Callable[[], bool] = never,
    ) -> Coroutine[Any, Any, Result]:
        """Return what `work` returns, as every pool does; the statement of a call that is given up is not cancelled."""
        return super().run(Connection.carry_out, work, *arguments, may_be_done=may_be_done)

    def _may_have_happened(self, error: Exception, connection: Connection) -> bool:
        return errors.may_have_happened(error)

    def _is_passing(self, error: Exception) -> bool:
        return errors.was_undone(error) or errors.code_of(error) == errors.DUPLICATE_KEY

    def _settling_time(self, connection: Connection) -> float:
        return self._timeout + _SETTLING_S
