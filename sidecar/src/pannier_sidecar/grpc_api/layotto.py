"""`spec.proto.runtime.v1.Runtime`: Layotto's state calls, and SayHello, which its SDKs call to see whether it is up."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..state.errors import IllegalKey, StateError
from . import messages
from .dapr import StateMethods
from .encoding import Encoding
from .services import unary
from .status import Code, Failure

if TYPE_CHECKING:
    from collections.abc import Mapping

    from msgspec import Struct

    from ..state.service import StateService
    from .lane import Method

SERVICE = "spec.proto.runtime.v1.Runtime"
GREETING = "greeting"
"""What the `helloworld` component of Layotto's own configuration answers."""


def methods(service: StateService) -> Mapping[str, Method]:
    """Return the methods of the service by name."""
    state = StateMethods(service, Encoding(zero_is_no_etag=True))
    return {
        "SayHello": unary(messages.SayHelloRequest, _say_hello, tell=in_layottos_words),
        "GetState": unary(messages.GetStateRequest, state.get, tell=in_layottos_words),
        "GetBulkState": unary(messages.GetBulkStateRequest, state.get_bulk, tell=in_layottos_words),
        "SaveState": unary(messages.StatesRequest, state.save, tell=in_layottos_words),
        "DeleteState": unary(messages.DeleteStateRequest, state.delete, tell=in_layottos_words),
        "DeleteBulkState": unary(messages.StatesRequest, state.delete_bulk, tell=in_layottos_words),
        "ExecuteStateTransaction": unary(
            messages.ExecuteStateTransactionRequest, state.transact, tell=in_layottos_words
        ),
    }


async def _say_hello(request: messages.SayHelloRequest) -> Struct:
    return messages.SayHelloResponse(GREETING, request.data)


def in_layottos_words(error: StateError) -> Failure:
    """Return the failure as Layotto words it: its tests compare whole texts, so the advice is left out."""
    code = Code.UNKNOWN if isinstance(error, IllegalKey) else error.grpc_code
    return Failure(code, str(error).partition("; ")[0])
