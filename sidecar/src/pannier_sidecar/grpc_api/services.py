"""What all services share: methods found by path, requests decoded, the API token checked, errors turned into
statuses.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from msgspec.structs import replace

from pannier_crds.digests import compare_digest

from ..protobuf import MalformedMessageError, decode, encode
from ..state.errors import ApiNotAllowedError, StateError
from .long_messages import SINGLE
from .messages import GetBulkStateRequest
from .method import Method, streamed
from .status import Code, StatusError, failure, unauthenticated

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    from msgspec import Struct

    from pannier_crds.api_lists import Api, ApiLists

    from ..access import AccessControl
    from ..http2.headers import Headers
    from .fast_path import Count, FastMethod
    from .long_messages import LongMessages
    from .method import Messages

    Answer = Callable[[bytes, Headers], Awaitable[Any]]
    Handler = Callable[..., Awaitable[Struct]]
    """Takes the message, and perhaps `headers`."""


class Services:
    """All services of a port."""

    def __init__(
        self,
        services: Mapping[str, Mapping[str, Method]],
        token: str | None = None,
        error_mapper: Callable[[StateError], StatusError] = failure,
    ):
        """Serve methods by service and name. With a `token`, calls must carry it in the metadata `dapr-api-token`."""
        self._methods = {
            f"/{service}/{name}".encode(): replace(method)
            for service, methods in services.items()
            for name, method in methods.items()
        }
        self._services = frozenset(services)
        self._token = token.encode() if token else None
        self._error_mapper = error_mapper
        self._made = {path: replace(method) for path, method in self._methods.items()}
        """What each method is declared with, before anything is wrapped or refused."""

    def find(self, path: bytes, headers: Headers) -> Method:
        """Return the method of a path. Raises StatusError: UNIMPLEMENTED, with the name, or UNAUTHENTICATED."""
        if self._token is not None:
            self._check_token(headers.get(b"dapr-api-token"))
        method = self._methods.get(path)
        if method is None:
            raise self._unknown(path.decode("latin-1"))
        return method

    def arrange(
        self,
        wrapper: Callable[[str, Answer], Answer],
        counter: Callable[[str], Count] | None,
        lists: ApiLists | None = None,
    ) -> None:
        """Wrap the handler of each method, and refuse those that the lists of a Configuration do not permit. May be
        called again; then calls that have begun end as they began.

        The wrapper is given the method's path, `/service/name`. `counter` returns the function that counts a method's
        calls on the fast path. Without `counter`, no call takes it.
        """
        denied: Mapping[str, Api] = {}
        if lists is not None:
            from .denied_methods import denied_methods  # few sidecars have such lists

            denied = denied_methods(lists)
        for path, method in self._methods.items():
            name, made = path.decode(), self._made[path]
            refusing = self._refusing(denied[name]) if name in denied else None
            if made.stream is not None:
                method.stream = wrapper(name, refusing or made.stream)
            if not method.is_unary:
                continue
            fast = None if refusing else made.fast
            if fast is not None:
                fast = None if counter is None else replace(fast, count=counter(name))
            method.answer, method.fast = wrapper(name, refusing or made.answer), fast

    def _refusing(self, api: Api) -> Answer:
        async def refuse(message: bytes, headers: Headers) -> Any:
            raise self._error_mapper(ApiNotAllowedError(api.name, api.version, "gRPC"))

        return refuse

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
    takes_headers: bool = False,
) -> Method:
    """Return a method that decodes a `request` and answers with the result of `handler`, or with its error.

    With `takes_headers` the handler gets the headers of the call too.
    """
    is_bulk = request is GetBulkStateRequest

    async def answer(message: bytes, headers: Headers) -> bytes:
        try:
            handle = partial(handler, headers=headers) if takes_headers else handler
            if len(message) > SINGLE or is_bulk:
                return await long.answer(request, message, handle)
            return encode(await handle(decode(request, message)))
        except MalformedMessageError as error:
            raise StatusError(Code.INTERNAL, f"the request is no {request.__name__}: {error}") from error
        except StateError as error:
            raise error_mapper(error) from error

    return Method(answer, fast=fast)


def server_streaming(
    request: type[Struct],
    handler: Callable[[Any], Awaitable[Messages]],
    *,
    error_mapper: Callable[[StateError], StatusError] = failure,
) -> Method:
    """Return a method that decodes a `request` and answers with the messages of `handler`, or with its error."""

    async def begin(message: bytes, headers: Headers) -> Messages:
        try:
            return await handler(decode(request, message))
        except MalformedMessageError as error:
            raise StatusError(Code.INTERNAL, f"the request is no {request.__name__}: {error}") from error
        except StateError as error:
            raise error_mapper(error) from error

    return streamed(begin)
