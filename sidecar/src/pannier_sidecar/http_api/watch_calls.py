"""The call that watches keys, as Server-Sent Events (https://html.spec.whatwg.org/multipage/server-sent-events.html).

Imported with the first such call.
"""

from __future__ import annotations

import re
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING, Final

import msgspec
from msgspec import UNSET, Raw, Struct, UnsetType

from ..state.errors import MalformedRequestError, StateError
from ..state.json_values import is_json
from ..state.store import rfc3339
from ..state.watch_events import Changed, Deleted, Ready, Reset, StateFound, WatchRequest
from .encoding import error_answer, refusal
from .messages import EndlessAnswer

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from ..state.service import StateService
    from ..state.watch_events import WatchEvent
    from .messages import Answer, Call, Parts
    from .profiles import Profile

EVENT_STREAM: Final = b"text/event-stream"
RETRY: Final = b"retry: 1000\n\n"
"""How long a client waits before it connects again, in milliseconds. Browsers would wait for some seconds."""
_HEADERS: Final = ((b"cache-control", b"no-store"), (b"x-accel-buffering", b"no"))
"""No cache may keep the events, and nginx may not collect them."""
_PARAMETERS: Final = ("prefix", "since", "values")
_LINE_BREAK: Final = re.compile(rb"\r\n|\r|\n")


class ItemBody(Struct, omit_defaults=True, gc=False):
    """The data of the events `state` and `change`."""

    key: str
    etag: str
    value: Raw | UnsetType = UNSET
    base64: bytes | UnsetType = UNSET
    """Instead of `value`, if it is not JSON."""
    metadata: dict[str, str] | UnsetType = UNSET
    error: str = ""
    """Why there is no value although values were asked for."""


class KeyBody(Struct, gc=False):
    """The data of the event `delete`."""

    key: str


class ReasonBody(Struct, gc=False):
    """The data of the event `reset`."""

    reason: str


class BeatBody(Struct, omit_defaults=True, gc=False):
    """The data of the events `beat` and `ready`."""

    late: float = 0.0


class WatchCalls:
    """Answers these calls."""

    def __init__(self, service: StateService, profile: Profile, on_error: Callable[[StateError], None]):
        self._service = service
        self._profile = profile
        self._on_error = on_error

    async def watch(self, call: Call, store: str | None) -> Answer:
        """Answer with events. Raises StateError if the watch cannot begin."""
        if not accepts_events(call.headers.get(b"accept")):
            what = "this call answers with text/event-stream, which the accept header leaves out; add it"
            return refusal(406, "ERR_NOT_ACCEPTABLE", what)
        request = _request(call, store)
        stack = AsyncExitStack()
        watch = await stack.enter_async_context(self._service.watching.watch(request))
        return EndlessAnswer(
            200, content_type=EVENT_STREAM, headers=_HEADERS, parts=_Events(watch, stack, self._last_event)
        )

    def _last_event(self, error: StateError) -> bytes:
        self._on_error(error)
        return _event(b"error", error_answer(error, self._profile).body)


class _Events:
    """The events of one watch, as the parts of an answer."""

    def __init__(
        self, watch: AsyncIterator[WatchEvent], stack: AsyncExitStack, last_event: Callable[[StateError], bytes]
    ):
        self._watch = watch
        self._stack = stack
        self._last_event = last_event
        self._begins = True
        self._has_failed = False

    def __aiter__(self) -> Parts:
        return self

    async def __anext__(self) -> bytes:
        if self._begins:
            self._begins = False
            return RETRY
        if self._has_failed:
            raise StopAsyncIteration
        try:
            return encoded(await anext(self._watch))
        except StateError as error:
            self._has_failed = True
            return self._last_event(error)

    async def aclose(self) -> None:
        await self._stack.aclose()


def encoded(event: WatchEvent) -> bytes:
    """Return an event as it is sent."""
    if isinstance(event, StateFound | Changed):
        return _event(b"change" if isinstance(event, Changed) else b"state", _item(event), event.id)
    if isinstance(event, Deleted):
        return _event(b"delete", msgspec.json.encode(KeyBody(event.key)), event.id)
    if isinstance(event, Reset):
        return _event(b"reset", msgspec.json.encode(ReasonBody(event.reason)), event.id)
    if isinstance(event, Ready):
        return _event(b"ready", b"{}", event.id)
    return _event(b"beat", msgspec.json.encode(BeatBody(round(event.late, 3))), event.id)


def _item(event: StateFound | Changed) -> bytes:
    body = ItemBody(event.key, event.etag, error=event.error)
    if event.value is not None:
        if is_json(event.value):
            body.value = Raw(event.value)
        else:
            body.base64 = event.value
    if event.expires_at is not None:
        body.metadata = {"ttlExpireTime": rfc3339(event.expires_at)}
    return msgspec.json.encode(body)


def _event(name: bytes, data: bytes, event_id: str = "") -> bytes:
    if b"\n" in data or b"\r" in data:  # of a value with line breaks between its parts
        data = _LINE_BREAK.sub(b"\ndata: ", data)
    if event_id:
        return b"id: %b\nevent: %b\ndata: %b\n\n" % (event_id.encode(), name, data)
    return b"event: %b\ndata: %b\n\n" % (name, data)


def _request(call: Call, store: str | None) -> WatchRequest:
    query = call.query()
    for name in query:
        if name not in _PARAMETERS and not name.startswith("metadata."):
            raise MalformedRequestError(f"unknown parameter {name[:50]!r}", f"write {', '.join(_PARAMETERS)} or none")
    values = query.get("values", "").lower()
    if values not in ("", "true", "false"):
        raise MalformedRequestError(f"values is {values[:50]!r}", "write true or false")
    since = call.headers.get(b"last-event-id", b"").decode("utf-8", "replace") or query.get("since") or None
    return WatchRequest(store, query.get("prefix", ""), since, values == "true")


def accepts_events(accept: bytes | None) -> bool:
    """Return whether an `accept` header (None: there is none) allows Server-Sent Events (RFC 9110, 12.5.1)."""
    if not accept:
        return True
    return any(
        media.partition(b";")[0].strip().lower() in (EVENT_STREAM, b"text/*", b"*/*") and not _is_refused(media)
        for media in accept.split(b",")
    )


def _is_refused(media: bytes) -> bool:
    """Return whether the weight of a media range is 0."""
    return any(re.fullmatch(rb"\s*q\s*=\s*0(\.0*)?\s*", part, re.IGNORECASE) for part in media.split(b";")[1:])
