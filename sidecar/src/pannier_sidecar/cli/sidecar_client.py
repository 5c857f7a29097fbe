"""Requests to a sidecar on this machine, for the verbs that use its API."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.client import HTTPConnection, HTTPException
from types import MappingProxyType
from typing import Final
from urllib.parse import quote, urlencode

from msgspec import Struct

DEFAULT_PORT: Final = 3500
NO_HEADERS: Final[Mapping[str, str]] = MappingProxyType({})
_TIMEOUT_S: Final = 120.0
"""Longer than a sidecar takes with the timeouts that stores have by default."""


class CallFailedError(Exception):
    """The sidecar has not done what was asked; the text is one line for the user."""

    def __init__(self, message: str, status: int = 0):
        """`status` is that of the answer; 0: there was none."""
        super().__init__(message)
        self.status = status


class Reply(Struct, frozen=True):
    """The answer to a request that succeeded."""

    status: int
    body: bytes
    headers: Mapping[str, str]
    """The names are in lower case."""


class SidecarClient:
    """Requests to the HTTP API of one sidecar, each on a connection of its own."""

    def __init__(self, port: int, token: str | None):
        """`token` is sent as `dapr-api-token`, and is part of no message."""
        self._port = port
        self._token = token

    def call(
        self,
        method: str,
        path: str,
        query: Mapping[str, str] | None = None,
        body: bytes | None = None,
        headers: Mapping[str, str] = NO_HEADERS,
    ) -> Reply:
        """Make a request once and return the answer. Raises CallFailedError for every status but 2xx.

        A header without a value is left out.
        """
        with self._connection(method, _TIMEOUT_S) as connection:
            connection.request(method, _target(path, query), body, self._sent(headers))
            answer = connection.getresponse()
            reply = Reply(answer.status, answer.read(), {name.lower(): value for name, value in answer.getheaders()})
        if not 200 <= reply.status < 300:
            raise CallFailedError(_why(reply), reply.status)
        return reply

    def lines(
        self, path: str, query: Mapping[str, str], silence_s: float, headers: Mapping[str, str]
    ) -> Iterator[bytes]:
        """Get a path, and yield each line of the answer as it comes. Raises CallFailedError as `call`, and if nothing
        comes for `silence_s` seconds.
        """
        with self._connection("GET", silence_s) as connection:
            connection.request("GET", _target(path, query), None, self._sent(headers))
            answer = connection.getresponse()
            if answer.status != 200:
                raise CallFailedError(_why(Reply(answer.status, answer.read(), {})), answer.status)
            while line := answer.readline():
                yield line

    def _sent(self, headers: Mapping[str, str]) -> dict[str, str]:
        sent = {name: _latin(name, value) for name, value in headers.items() if value}
        if self._token:
            sent["dapr-api-token"] = _latin("dapr-api-token", self._token)
        return sent

    @contextmanager
    def _connection(self, method: str, timeout: float) -> Iterator[HTTPConnection]:
        """Connect; what goes wrong later is a lost answer."""
        connection = HTTPConnection("127.0.0.1", self._port, timeout=timeout)
        try:
            try:
                connection.connect()
            except OSError:
                advice = "start one with 'pannier run', or pass its --http-port"
                raise CallFailedError(f"no sidecar answers at 127.0.0.1:{self._port}; {advice}") from None
            yield connection
        except (OSError, HTTPException):
            done = "" if method == "GET" else "; it may have been done: look before you repeat it"
            raise CallFailedError(f"the answer of the sidecar at 127.0.0.1:{self._port} was lost{done}") from None
        finally:
            connection.close()


def _target(path: str, query: Mapping[str, str] | None) -> str:
    return f"{path}?{urlencode(query)}" if query else path


def path_of(root: str, *parts: str | None) -> str:
    """Return a path below `root` with the parts that are not None, each quoted as one segment."""
    return "/".join([root, *(quote(part, safe="") for part in parts if part is not None)])


def _latin(name: str, value: str) -> str:
    """Return a header's value if it can be sent. Raises CallFailedError, which does not show it."""
    if not value.isprintable() or not value.isascii():
        raise CallFailedError(f"the {name} has characters that no header can have")
    return value


def _why(reply: Reply) -> str:
    if reply.status == 401:
        return "the sidecar wants its API token: set DAPR_API_TOKEN in the environment"
    try:
        body = json.loads(reply.body)
        return f"{body['message']} ({body['errorCode']})"
    except (ValueError, TypeError, KeyError):
        return f"the server answers with status {reply.status} and no reason; is it a sidecar?"
