"""The events of a watch, from an event stream (https://html.spec.whatwg.org/multipage/server-sent-events.html).

`WatchStream` knows where a watch is, and how it goes on after its connection was lost. Does no I/O.
"""

from __future__ import annotations

import base64
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Literal, get_args

from .calls import (
    LostError,
    NotSentError,
    Reply,
    Request,
    decoded,
    error_of,
    expiry_of,
    pause_before,
    retry_after,
    says_nothing_was_done,
)
from .errors import PannierError, RefusedError, UnreachableError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from datetime import datetime

Kind = Literal["state", "ready", "change", "delete", "reset", "beat"]

SILENCE_S: Final = 45.0
"""Seconds of silence after which the connection is dead: an event comes at least every 15 seconds."""
_RECONNECT_S: Final = 1.0
_KINDS: Final = (*get_args(Kind), "error")
"""Others, which later sidecars may send, are passed over."""


@dataclass(frozen=True)
class Event:
    """What a watch reports."""

    kind: Kind
    """`state`: a key as it is; `ready`: that was every key; `change`; `delete`; `reset`: forget everything, because
    something was missed: `state` for each key follows; `beat`: nothing else has happened for a while.
    """
    id: str
    """`since` of a watch that goes on after this event."""
    key: str = ""
    etag: str = ""
    value: Any = None
    """As in Item, if values were asked for; None otherwise."""
    expires_at: datetime | None = None
    reason: str = ""
    """Why there is a reset, or why there is no value."""
    late: float = 0.0
    """Of a beat: for so many seconds nothing is known of the store."""


class WatchStream:
    """One watch, over as many connections as it takes."""

    def __init__(self, request: Request, since: str, retries: int):
        self._request = request
        self._last_id = since
        self._retries = retries
        """How often a watch that has not begun is tried again; one that has begun goes on for ever."""
        self._failures = 0
        self._has_begun = False
        self._pause = 0.0
        self._rest = b""
        self._fields: dict[str, str] = {}

    def arguments(self) -> dict[str, Any]:
        """Return the arguments of httpx's `stream` for the next connection. What the last one left is forgotten."""
        self._rest, self._fields, self._pause = b"", {}, _RECONNECT_S
        last = {"last-event-id": self._last_id} if self._last_id else {}
        return {
            "method": self._request.method,
            "url": self._request.path,
            "params": self._request.query,
            "headers": {**self._request.headers, **last},
            "timeout": SILENCE_S,
        }

    def feed(self, part: bytes) -> Iterator[Event]:
        """Yield the events that are complete. Raises RefusedError if the sidecar ends the watch with an error."""
        *lines, self._rest = (self._rest + part).split(b"\n")
        for line in lines:
            if line.rstrip(b"\r"):
                name, _, value = line.rstrip(b"\r").decode("utf-8", "replace").partition(":")
                before = f"{self._fields['data']}\n" if name == "data" and "data" in self._fields else ""
                self._fields[name] = before + value.removeprefix(" ")
            else:
                fields, self._fields = self._fields, {}
                if fields.get("event") in _KINDS and "data" in fields:
                    yield self._event(fields)

    def is_accepted(self, status: int, headers: Mapping[str, str]) -> bool:
        """Return whether an answer is an event stream."""
        return status == 200 and headers.get("content-type", "").startswith("text/event-stream")

    def refuse(self, reply: Reply) -> None:
        """Raise the error that an answer reports, unless the watch is to be tried again."""
        error = error_of(reply, is_read=True)
        if not says_nothing_was_done(error):
            raise error
        self._fail(error, retry_after(reply))

    def lose(self, error: NotSentError | LostError) -> None:
        """Raise UnreachableError, unless the watch is to be tried again."""
        self._fail(UnreachableError(str(error)), 0.0)

    def pause(self) -> float:
        """Return the seconds before the next connection."""
        return self._pause

    def _fail(self, error: PannierError, least: float) -> None:
        if not self._has_begun and self._failures >= self._retries:
            raise error
        self._pause = max(least, pause_before(self._failures))
        self._failures += 1

    def _event(self, fields: dict[str, str]) -> Event:
        self._last_id = fields.get("id", self._last_id)
        data, kind = decoded(fields["data"].encode()), fields["event"]
        if not isinstance(data, dict):
            raise RefusedError("an event of the watch holds no JSON object; is it a sidecar's?", 200, "")
        if kind == "error":
            raise RefusedError(str(data.get("message")), 200, str(data.get("errorCode")))
        self._has_begun, self._failures = True, 0
        return Event(
            kind,  # type: ignore[arg-type]
            self._last_id,
            data.get("key", ""),
            data.get("etag", ""),
            base64.b64decode(data["base64"]) if "base64" in data else data.get("value"),
            expiry_of(data),
            data.get("reason") or data.get("error", ""),
            data.get("late", 0.0),
        )
