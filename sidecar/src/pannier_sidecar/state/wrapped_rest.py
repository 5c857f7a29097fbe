"""The rest of a begun call whose end somebody around the store takes part in."""

from __future__ import annotations

from collections.abc import Coroutine, Generator
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

Result = TypeVar("Result")


class WrappedRest(Coroutine[Any, Any, Result]):
    """Awaits `rest`, and returns what `then` makes of its result. `failed` is called, once, if there is none.

    A class, because closing a coroutine function that has not begun would leave the coroutine inside it open.
    """

    __slots__ = ("_failed", "_rest", "_then")

    def __init__(
        self,
        rest: Coroutine[Any, Any, Result],
        then: Callable[[Result], Result],
        failed: Callable[[], object] | None = None,
    ):
        self._rest = rest
        self._then = then
        self._failed = failed

    def send(self, value: Any) -> Any:
        return self._step(self._rest.send, value)

    def throw(self, *error: Any) -> Any:
        return self._step(self._rest.throw, *error)

    def _step(self, go_on: Callable[..., Any], *given: Any) -> Any:
        try:
            return go_on(*given)
        except StopIteration as end:
            raise StopIteration(self._ended(end.value)) from None
        except BaseException:
            self._fail()
            raise

    def _ended(self, result: Result) -> Result:
        self._failed = None
        return self._then(result)

    def _fail(self) -> None:
        failed, self._failed = self._failed, None
        if failed is not None:
            failed()

    def close(self) -> None:
        self._rest.close()
        self._fail()

    def __await__(self) -> Generator[Any, None, Result]:
        try:
            found = yield from self._rest.__await__()
        except BaseException:
            self._fail()
            raise
        return self._ended(found)
