"""The pool of connections to PostgreSQL. The client library has one too; it asks the server to reset the session after
each call and makes a task of that, which more than doubles what a call costs. No call here leaves anything in its
session.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Final

from asyncpg import PostgresError

from pannier_sidecar.network.connection_pool import ConnectionPool

from . import errors
from .connection import Connection

if TYPE_CHECKING:
    from pannier_sidecar.network.connection_pool import ErrorMeanings

_POOLER_TIMEOUT_S: Final = 60.0
"""Seconds in which a pooler must end a call that was given up: only the pooler knows whether its server is alive."""


class Pool(ConnectionPool[Connection]):
    """Connections to PostgreSQL, or to a pooler in front of it."""

    _errors: ClassVar[ErrorMeanings] = errors
    _answered = PostgresError
    _parting_s = 1.0  # lets requests to cancel reach the server
    _in_doubt: ClassVar[frozenset[str]] = errors.OUTCOME_UNKNOWN
    _names_no_statements = False
    """Whether a prepared statement was missing: a pooler gives each call another of the server's connections."""

    async def _connected(self) -> Connection:
        connection = await super()._connected()
        if self._names_no_statements:
            connection.stop_naming()
        return connection

    def _may_have_happened(self, error: Exception, connection: Connection) -> bool:
        return errors.may_have_happened(error, connection.is_direct, self._in_doubt)

    def _is_passing(self, error: Exception) -> bool:
        return errors.was_undone(error) or errors.is_about_a_statement(error)

    def _keep_or_discard(self, connection: Connection, error: Exception) -> None:
        if errors.is_about_a_plan(error):
            connection.forget_statements()
        elif errors.is_about_a_statement(error):
            self._names_no_statements = True
            connection.stop_naming()
        super()._keep_or_discard(connection, error)

    def _settling_time(self, connection: Connection) -> float | None:
        return None if connection.is_direct else _POOLER_TIMEOUT_S
