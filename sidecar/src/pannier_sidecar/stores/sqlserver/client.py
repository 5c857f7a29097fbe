"""The pool of connections to SQL Server."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Final

from pannier_sidecar.network.connection_pool import ConnectionPool

from . import errors
from .connection import Connection
from .tds.errors import ServerError

if TYPE_CHECKING:
    from pannier_sidecar.network.connection_pool import ErrorMeanings

_SETTLING_S: Final = 10.0
"""Seconds in which the server must confirm that it has cancelled a statement."""


class Pool(ConnectionPool[Connection]):
    """Connections to SQL Server or Azure SQL."""

    _errors: ClassVar[ErrorMeanings] = errors
    _answered = ServerError

    def _may_have_happened(self, error: Exception, connection: Connection) -> bool:
        return errors.may_have_happened(error)

    def _is_passing(self, error: Exception) -> bool:
        return errors.was_undone(error)

    def _settling_time(self, connection: Connection) -> float:
        return _SETTLING_S
