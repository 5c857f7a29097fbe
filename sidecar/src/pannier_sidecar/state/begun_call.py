"""A call that was begun and not awaited: how it is counted, and how its result becomes an answer."""

from __future__ import annotations

from time import perf_counter
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from msgspec import Struct

from .directory import ServedStore

if TYPE_CHECKING:
    from collections.abc import Awaitable, Coroutine

Result = TypeVar("Result")


class Observer(Protocol):
    """Receives the outcome of every call that reached a store."""

    def call_ended(self, store: str, operation: str, succeeded: bool, seconds: float) -> None:
        """Record a call: `operation` is get, set, delete, bulk_get, bulk_delete, transaction, keys, increment, append,
        get_and_set, touch or exists.
        """


class Service(Protocol):
    """What a begun call needs of the service."""

    observer: Observer

    def one_key(
        self, operation: str, served: ServedStore, key: str, call: Awaitable[Result], started: float | None = None
    ) -> Awaitable[Result]:
        """Await a call for one key that was begun at `started`."""

    def ended(self, served: ServedStore, operation: str, went_well: bool, started: float) -> None:
        """Count the end of a call that was begun at `started`."""


class BegunCall(Struct, gc=False):
    """A call for one key, from its beginning to its end: the `Completion` that its store is given.

    A front end's subclass says what to do with the result. The garbage collector ignores it (`gc=False`), so nothing
    that it refers to may refer to it in turn.
    """

    service: Service
    started: float
    """Time of `perf_counter`."""
    operation: str = ""
    served: ServedStore = None  # type: ignore[assignment]  # set by begin, like all three
    key: str = ""

    def succeeded(self, result: Any, seconds: float) -> None:
        """Take the result of a call that took so many seconds."""
        raise NotImplementedError

    def goes_on(self, rest: Coroutine[Any, Any, Any]) -> None:
        """Have a task await `counted(rest)`, or call `abandon`."""
        raise NotImplementedError

    def begin(self, operation: str, served: ServedStore, key: str) -> None:
        """Count the call as in flight. It ends with `complete` or `resume`."""
        self.operation, self.served, self.key = operation, served, key
        served.calls_in_flight += 1

    def complete(self, result: Any) -> None:
        # The same as `ended`, written out: the front end needs the seconds too, and one call less is faster.
        served = self.served
        seconds = perf_counter() - self.started
        served.calls_in_flight -= 1
        self.service.observer.call_ended(served.name, self.operation, True, seconds)
        self.succeeded(result, seconds)

    def resume(self, rest: Coroutine[Any, Any, Any]) -> None:
        self.goes_on(rest)

    def counted(self, rest: Coroutine[Any, Any, Any]) -> Awaitable[Any]:
        """Return `rest`, counted: it returns the result or raises a StateError, as the coroutine of the call would."""
        return self.service.one_key(self.operation, self.served, self.key, rest, self.started)

    def abandon(self, rest: Coroutine[Any, Any, Any]) -> None:
        """End the call without its rest, because nobody waits for it any more."""
        rest.close()
        self.service.ended(self.served, self.operation, False, self.started)
