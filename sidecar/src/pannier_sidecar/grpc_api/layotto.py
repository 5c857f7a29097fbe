"""`spec.proto.runtime.v1.Runtime`: Layotto's state calls, and SayHello, with which its SDKs check whether it is up."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..state.errors import IllegalKeyError, NoStoreConfiguredError, StateError, TransactionsNotSupportedError
from . import messages
from .dapr import StateMethods
from .encoding import Encoding
from .long_messages import LongMessages
from .services import unary
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
    long = LongMessages(service.pace, service.max_items, service.in_flight)
    return {
        "SayHello": unary(messages.SayHelloRequest, _say_hello, long, error_mapper=layotto_error),
        "GetState": unary(messages.GetStateRequest, state.get, long, error_mapper=layotto_error),
        "GetBulkState": unary(messages.GetBulkStateRequest, state.get_bulk, long, error_mapper=layotto_error),
        "SaveState": unary(messages.SaveStateRequest, state.save, long, error_mapper=layotto_error),
        "DeleteState": unary(messages.DeleteStateRequest, state.delete, long, error_mapper=layotto_error),
        "DeleteBulkState": unary(messages.DeleteBulkStateRequest, state.delete_bulk, long, error_mapper=layotto_error),
        "ExecuteStateTransaction": unary(
            messages.ExecuteStateTransactionRequest, state.transact, long, error_mapper=layotto_error
        ),
    }


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
