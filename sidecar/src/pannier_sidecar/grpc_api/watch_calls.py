"""Watch of `pannier.v1.State`. Imported with the first such call."""

from __future__ import annotations

from contextlib import AsyncExitStack
from typing import TYPE_CHECKING, Final

from ..protobuf import Int64, encode
from ..state.errors import StateError
from ..state.store import rfc3339
from ..state.watch_events import Changed, Deleted, Ready, Reset, StateFound, WatchRequest
from . import messages

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from ..state.service import StateService
    from ..state.watch_events import WatchEvent
    from .method import Messages
    from .status import StatusError

STATE: Final = 1
READY: Final = 2
CHANGE: Final = 3
DELETE: Final = 4
RESET: Final = 5
BEAT: Final = 6
"""Values of `WatchEvent.Kind`."""


async def watch(
    service: StateService,
    store: str | None,
    request: messages.WatchRequest,
    error_mapper: Callable[[StateError], StatusError],
) -> Messages:
    """Begin a watch. Raises StateError; `error_mapper` is for errors that end the watch later."""
    wanted = WatchRequest(store, request.prefix, request.since or None, request.values)
    stack = AsyncExitStack()
    begun = await stack.enter_async_context(service.watching.watch(wanted))
    return _Events(begun, stack, error_mapper)


class _Events:
    """The events of one watch, as the messages of an answer."""

    def __init__(
        self, watch: AsyncIterator[WatchEvent], stack: AsyncExitStack, error_mapper: Callable[[StateError], StatusError]
    ):
        self._watch = watch
        self._stack = stack
        self._error_mapper = error_mapper

    def __aiter__(self) -> Messages:
        return self

    async def __anext__(self) -> bytes:
        try:
            return encode(message_of(await anext(self._watch)))
        except StateError as error:
            raise self._error_mapper(error) from error

    async def aclose(self) -> None:
        await self._stack.aclose()


def message_of(event: WatchEvent) -> messages.WatchEvent:
    """Return an event as a message."""
    if isinstance(event, StateFound | Changed):
        kind = CHANGE if isinstance(event, Changed) else STATE
        metadata = {} if event.expires_at is None else {"ttlExpireTime": rfc3339(event.expires_at)}
        return messages.WatchEvent(kind, event.id, event.key, event.etag, event.value, metadata, event.error)
    if isinstance(event, Deleted):
        return messages.WatchEvent(DELETE, event.id, event.key)
    if isinstance(event, Reset):
        return messages.WatchEvent(RESET, event.id, reason=event.reason)
    if isinstance(event, Ready):
        return messages.WatchEvent(READY, event.id)
    return messages.WatchEvent(BEAT, event.id, late_ms=Int64(event.late * 1000))
