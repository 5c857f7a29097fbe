"""The fast path: get, save and delete of one key are begun, and answered without a task.

`Calls._take_arrived` decides whether a call takes it: its method has a `FastMethod`, its request is whole and not
compressed, and no other call of the connection has to begin first. What a request means is decided where it always is:
messages in `dapr.py` and `encoding.py`, keys and rules in `state/`.

Every other call has a task. So has one that is found wrong before it is begun, so that each error has one text. Where
calls are logged or traced, `Services.wrap` leaves no fast path.
"""

from __future__ import annotations

from asyncio import CancelledError
from collections.abc import Callable, Coroutine
from time import perf_counter
from typing import TYPE_CHECKING, Any, Protocol

from msgspec import Struct

from ..protobuf import MalformedMessageError
from ..state.begun_call import BegunCall
from ..state.errors import StateError
from ..state.service import StateService
from .status import Code, StatusError

if TYPE_CHECKING:
    from .call import Call

    Rest = Coroutine[Any, Any, Any]
    """What a store has yet to do about a call."""
    Count = Callable[[int, float], None]
    """Takes the number of a status, and seconds."""


def not_counted(status: int, seconds: float) -> None:
    """Count nothing."""


class Answering(Protocol):
    """What the fast path needs of the connection's calls: one of these is called once for each call that was begun."""

    def finish(self, call: Call, answer: bytes) -> None:
        """Send the answer."""

    def resume(self, begun: FastCall, rest: Rest) -> None:
        """See the call through in a task, and send the answer."""


class FastMethod(Struct, frozen=True):
    """How the calls of a method are begun."""

    service: StateService
    start: Callable[[bytes, BegunCall], bool]
    """Begins a call of a message. False: the message is not plain; that, or an error, and nothing was begun."""
    answer_to: Callable[[Any], bytes]
    """Makes the message of a call's result."""
    error_mapper: Callable[[StateError], StatusError]
    count: Count = not_counted

    def begin(self, message: bytes, calls: Answering, call: Call) -> bool:
        """Begin a call. False: nothing was begun."""
        begun = FastCall(self.service, perf_counter(), calls=calls, call=call, method=self)
        try:
            return self.start(message, begun)
        except (StateError, MalformedMessageError, UnicodeDecodeError):  # the general way answers with it
            return False

    async def see_through(self, begun: FastCall, rest: Rest) -> bytes:
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


class FastCall(BegunCall, gc=False, kw_only=True):
    """A call on the fast path."""

    calls: Answering
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
