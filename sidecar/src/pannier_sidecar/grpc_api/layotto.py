"""`spec.proto.runtime.v1.Runtime`: Layotto's state calls, and SayHello, with which its SDKs check that the sidecar is
up.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..state.errors import IllegalKeyError, NoStoreConfiguredError, StateError, TransactionsNotSupportedError
from . import messages
from .dapr import StateMethods
from .encoding import Encoding
from .status import Code, StatusError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from msgspec import Struct

    from ..state.service import StateService
    from .method import Method

SERVICE = "spec.proto.runtime.v1.Runtime"
GREETING = "greeting"
"""The answer of the `helloworld` component in Layotto's own configuration."""


def methods(service: StateService) -> Mapping[str, Method]:
    """Return the methods of the service by name."""
    state = StateMethods(service, Encoding(zero_is_no_etag=True))
    return state.methods(layotto_error, {"SayHello": (messages.SayHelloRequest, _say_hello)})


async def _say_hello(request: messages.SayHelloRequest) -> Struct:
    hello = f"{GREETING}, {request.name}" if request.name else GREETING
    return messages.SayHelloResponse(hello, request.data)


def layotto_error(error: StateError) -> StatusError:
    """Return an error with Layotto's own text. Its tests compare whole texts, so there is no advice."""
    if isinstance(error, IllegalKeyError) and error.violation is not None:
        return StatusError(Code.UNKNOWN, error.violation[1])
    return StatusError(error.grpc_code, _text(error))


def _text(error: StateError) -> str:
    if isinstance(error, NoStoreConfiguredError):
        return "state store is not configured"
    if isinstance(error, TransactionsNotSupportedError):
        return f"state store {error.resource} doesn't support transaction"
    return error.message
