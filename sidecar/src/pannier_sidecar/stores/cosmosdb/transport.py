"""The client's transport, which never reports a write as not sent if it may have been sent.

Microsoft's transport reports every error of the connection as "not sent", even a lost answer, and its client then sends
the write up to three times. aiohttp below it repeats PUT and DELETE too, and the client repeats a write answered 503.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import aiohttp
from azure.core.exceptions import DecodeError, ServiceRequestError, ServiceResponseError
from azure.core.pipeline.transport import AioHttpTransport

from pannier_sidecar.clouds.azure_answers import session

if TYPE_CHECKING:
    from pannier_sidecar.network.connections import Connections

MAX_CONNECTIONS: Final = 100
"""Further calls wait for one."""
_OK: Final = 200
_UNAVAILABLE: Final = 503
_IS_QUERY: Final = "x-ms-documentdb-isquery"


class Transport(AioHttpTransport):  # type: ignore[misc]  # azure.core imports it when it is asked for
    """Raises ServiceResponseError for whatever may have been sent, after which the client repeats only reads."""

    def __init__(self, connections: Connections):
        """Call it in the event loop."""
        super().__init__(session=session(connections))

    async def open(self) -> None:
        await super().open()
        assert self.session is not None, "it is made when it is opened"
        self.session._retry_connection = False  # noqa: SLF001  # aiohttp has no public option for it

    async def send(self, request: Any, **options: Any) -> Any:
        try:
            response = await super().send(request, **options)
        except ServiceRequestError as error:
            cause = error.inner_exception
            if not isinstance(cause, aiohttp.ClientConnectionError) or _was_connecting(cause):
                raise
            # The cause itself is not raised: from its type, the client would conclude that nothing was sent.
            raise ServiceResponseError(str(error), error=ConnectionError(str(cause))) from error
        if response.status_code == _UNAVAILABLE and _is_write(request):
            raise ServiceResponseError("503 Service Unavailable")
        if request.method == "DELETE" and response.status_code == _OK:
            raise DecodeError("Cosmos DB answers a delete without a body, 204", response=response)
        return response


def _was_connecting(error: aiohttp.ClientConnectionError) -> bool:
    return isinstance(error, aiohttp.ClientConnectorError | aiohttp.ConnectionTimeoutError)


def _is_write(request: Any) -> bool:
    return request.method != "GET" and _IS_QUERY not in {name.lower() for name in request.headers}
