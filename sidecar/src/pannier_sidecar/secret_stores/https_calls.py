"""Requests over HTTP to a server that holds secrets, within limits of time, size and connections."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

from msgspec import DecodeError, json

from pannier_sidecar.network.http_client import HttpClient, Wording
from pannier_sidecar.secret_reader import SecretStoreFailedError, SecretStoreSilentError
from pannier_sidecar.state.errors import StoreError, StoreUnavailableError

if TYPE_CHECKING:
    import ssl
    from collections.abc import Mapping

Found = TypeVar("Found")


class HttpsCalls:
    """Requests to one server; a redirect is an answer like any other, because it would take a token to another host."""

    def __init__(
        self,
        where: str,
        seconds: float,
        *,
        address_field: str,
        tls_fields: str,
        tls: ssl.SSLContext | bool = True,
        server_name: str = "",
        headers: Mapping[str, str] | None = None,
        uses_proxies: bool = False,
    ):
        """Call it in the event loop.

        `where` is the server, and the fields are those of its address and certificates: for messages. A request takes
        at most `seconds`. `uses_proxies`: of the environment (HTTPS_PROXY).
        """
        self._where = where
        self._client = HttpClient(
            Wording(where, f"check {address_field}", f"check {tls_fields}"),
            seconds,
            tls=tls,
            fields=headers,
            server_name=server_name,
            uses_proxies=uses_proxies,
        )

    async def close(self) -> None:
        """Close the connections."""
        await self._client.close()

    async def request(
        self, method: str, url: str, headers: Mapping[str, str] | None = None, body: bytes | None = None
    ) -> tuple[int, bytes]:
        """Return the status and the body of an answer. The URL is sent as it is, so it must be quoted.

        Raises SecretStoreSilentError, and SecretStoreFailedError if TLS is impossible.
        """
        try:
            answer = await self._client.send(method, url, body, headers)
        except StoreUnavailableError as error:
            raise SecretStoreSilentError(str(error)) from None
        except StoreError as error:
            raise SecretStoreFailedError(str(error)) from None
        except ValueError:  # a header field that a server has made, such as a token, cannot be sent
            raise SecretStoreFailedError(
                f"nothing can be sent to {self._where} with the token that signing in gave"
            ) from None
        return answer.status, answer.body


def decoded(body: bytes, kind: type[Found], otherwise: str) -> Found:
    """Return what an answer holds, as JSON. Raises SecretStoreFailedError with the text `otherwise`."""
    try:
        return json.decode(body, type=kind)
    except (DecodeError, RecursionError, UnicodeDecodeError):
        raise SecretStoreFailedError(otherwise) from None
