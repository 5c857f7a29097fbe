"""The client's pool of connections, which counts those that the server has not closed yet."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pymongo.asynchronous.pool import Pool
from pymongo.errors import WaitQueueTimeoutError

from pannier_sidecar.network.connections import TooManyConnectionsError

if TYPE_CHECKING:
    from pannier_sidecar.network.connections import Connections


def counting(connections: Connections) -> type[Pool]:
    """Return a class of pool that makes no connection while `connections` has no room for it."""

    class CountingPool(Pool):
        async def connect(self, handler: Any = None) -> Any:
            if self.is_sdam:  # it monitors the server; there are only two of them
                return await super().connect(handler)
            try:
                await connections.enter()
            except TooManyConnectionsError as error:
                raise WaitQueueTimeoutError(str(error)) from error
            try:
                made = await super().connect(handler)
            except BaseException:
                connections.leave()
                raise
            _report_end(made.conn, connections)
            return made

    return CountingPool


def _report_end(connection: Any, connections: Connections) -> None:
    counted = connections.count(connection.sock)
    close = connection.close

    async def close_and_report() -> None:
        try:
            await close()
        finally:
            counted.on_client_close()
            connections.leave()

    connection.close = close_and_report
