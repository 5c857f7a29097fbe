"""What all services share: methods found by path, requests decoded, the API token checked, errors turned into
statuses.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from msgspec.structs import replace

from pannier_crds.digests import compare_digest

from ..protobuf import MalformedMessageError, decode, encode
from ..state.errors import StateError
from .long_messages import SINGLE
from .messages import GetBulkStateRequest
from .method import Method
from .status import Code, StatusError, failure, unauthenticated

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    from msgspec import Struct

    from ..access import AccessControl
    from ..http2.headers import Headers
    from .fast_path import Count, FastMethod
    from .long_messages import LongMessages

    Answer = Callable[[bytes, Headers], Awaitable[bytes]]
    Handler = Callable[[Any], Awaitable[Struct]]


class Services:
    """All services of a port."""

    def __init__(self, services: Mapping[str, Mapping[str, Method]], token: str | None = None):
        """Serve methods by service and name. With a `token`, calls must carry it in the metadata `dapr-api-token`."""
        self._methods = {
            f"/{service}/{name}".encode(): method
            for service, methods in services.items()
            for name, method in methods.items()
        }
        self._services = frozenset(services)
        self._token = token.encode() if token else None

    def find(self, path: bytes, headers: Headers) -> Method:
        """Return the method of a path. Raises StatusError: UNIMPLEMENTED, with the name, or UNAUTHENTICATED."""
        if self._token is not None:
            self._check_token(headers.get(b"dapr-api-token"))
        method = self._methods.get(path)
        if method is None:
            raise self._unknown(path.decode("latin-1"))
        return method

    def wrap(self, wrapper: Callable[[str, Answer], Answer], counter: Callable[[str], Count] | None) -> None:
        """Wrap the handler of each method; the wrapper is given the method's path, `/service/name`.

        `counter` returns the function that counts a method's calls on the fast path. Without `counter`, no call takes
        it.
        """
        for path, method in self._methods.items():
            if method.is_unary:
                name, fast = path.decode(), method.fast
                if fast is not None:
                    fast = None if counter is None else replace(fast, count=counter(name))
                self._methods[path] = replace(method, answer=wrapper(name, method.answer), fast=fast)

    def _check_token(self, given: bytes | None) -> None:
        if given is None:
            raise unauthenticated("missing api token in request metadata")
        if not compare_digest(given, self._token or b""):
            raise unauthenticated("authentication error: api token mismatch")

    def _unknown(self, path: str) -> StatusError:
        service, _, name = path.lstrip("/").partition("/")
        if service in self._services:
            return StatusError(Code.UNIMPLEMENTED, f"{service} is served for state only: {name} is not")
        return StatusError(
            Code.UNIMPLEMENTED, f"unknown service {service}; known ones: {', '.join(sorted(self._services))}"
        )


def guarded(find: Callable[[bytes, Headers], Method], access: AccessControl) -> Callable[[bytes, Headers], Method]:
    """Return a function that finds the same methods, but refuses calls with a foreign host or a page's origin."""
    known = access.known_hosts

    def find_if_allowed(path: bytes, headers: Headers) -> Method:
        authority = headers.get(b":authority") or headers.get(b"host")
        if authority not in known or b"origin" in headers:
            refused = access.refusal(authority, headers.get(b"origin"))
            if refused is not None:
                raise StatusError(Code.PERMISSION_DENIED, refused.message)
        return find(path, headers)

    return find_if_allowed


def unary(
    request: type[Struct],
    handler: Handler,
    long: LongMessages,
    *,
    error_mapper: Callable[[StateError], StatusError] = failure,
    fast: FastMethod | None = None,
) -> Method:
    """Return a method that decodes a `request` and answers with the result of `handler`, or with its error."""
    is_bulk = request is GetBulkStateRequest

    async def answer(message: bytes, headers: Headers) -> bytes:
        try:
            if len(message) > SINGLE or is_bulk:
                return await long.answer(request, message, handler)
            return encode(await handler(decode(request, message)))
        except MalformedMessageError as error:
            raise StatusError(Code.INTERNAL, f"the request is no {request.__name__}: {error}") from error
        except StateError as error:
            raise error_mapper(error) from error

    return Method(answer, fast=fast)
