"""The fast path: get, save and delete of one key are begun, and answered without a task.

`Calls._take_arrived` decides whether a call takes it: its method has a `FastMethod`, its request is whole and not
compressed, and no other call of the connection has to begin first. The fast path has no rules of its own: `dapr.py` and
`encoding.py` decode messages, and `state/` decides about keys and writes.

Every other call gets a task. So does a call that turns out to be invalid before it is begun, so that all errors are
answered in one place. While calls are logged or traced, `Services.arrange` removes the fast path.
"""

from __future__ import annotations

from asyncio import CancelledError
from collections.abc import Callable, Coroutine
from time import perf_counter
from typing import TYPE_CHECKING, Any, Generic, Protocol, TypeVar

from msgspec import Struct

from ..protobuf import MalformedMessageError
from ..state.begun_call import BegunCall
from ..state.errors import StateError
from ..state.service import StateService
from .status import Code, StatusError

if TYPE_CHECKING:
    Rest = Coroutine[Any, Any, Any]
    """The rest of a call, after its first request to the store."""
    Count = Callable[[int, float], None]
    """Takes the number of a status, and seconds."""


def not_counted(status: int, seconds: float) -> None:
    """Count nothing."""


class OpenCall(Protocol):
    """What the fast path needs of a call."""

    is_begun: bool


Call = TypeVar("Call", bound=OpenCall)


class Answering(Protocol[Call]):
    """What the fast path needs of the connection's calls: one of these is called once for each call that was begun."""

    def finish(self, call: Call, answer: bytes) -> None:
        """Send the answer."""

    def resume(self, begun: FastCall[Call], rest: Rest) -> None:
        """Finish the call in a task, and send the answer."""


class FastMethod(Struct, frozen=True):
    """How the calls of a method are begun."""

    service: StateService
    start: Callable[[bytes, BegunCall], bool]
    """Begins the call of a message; returns False if it is not plain. If it returns False or raises, nothing was begun.
    """
    answer_to: Callable[[Any], bytes]
    """Makes the message of a call's result."""
    error_mapper: Callable[[StateError], StatusError]
    count: Count = not_counted

    def begin(self, message: bytes, calls: Answering[Call], call: Call) -> bool:
        """Begin a call; return False if nothing was begun."""
        begun = FastCall(self.service, perf_counter(), calls=calls, call=call, method=self)
        try:
            return self.start(message, begun)
        except (StateError, MalformedMessageError, UnicodeDecodeError):  # the general way answers with it
            return False

    async def see_through(self, begun: FastCall[Any], rest: Rest) -> bytes:
        """Return the answer to a call that needs more than one request to its store. Raises StatusError."""
        status = int(Code.UNKNOWN)
        try:
            answer = self.answer_to(await begun.counted(rest))
            status = 0
            return answer
        except StateError as error:
            failure = self.error_mapper(error)
            status = failure.code
            raise failure from error
        except CancelledError:
            status = int(Code.CANCELLED)
            raise
        finally:
            self.count(status, perf_counter() - begun.started)


class FastCall(BegunCall, Generic[Call], gc=False, kw_only=True):
    """A call on the fast path."""

    calls: Answering[Call]
    call: Call
    method: FastMethod

    def succeeded(self, result: Any, seconds: float) -> None:
        call, method = self.call, self.method
        if call.is_begun:
            method.count(0, seconds)
            self.calls.finish(call, method.answer_to(result))
        else:  # its client or its deadline has ended it
            method.count(1, seconds)

    def goes_on(self, rest: Rest) -> None:
        self.calls.resume(self, rest)

    def abandon(self, rest: Rest) -> None:
        super().abandon(rest)
        self.method.count(1, perf_counter() - self.started)
