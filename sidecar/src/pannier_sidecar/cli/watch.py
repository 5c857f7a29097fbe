"""`pannier state watch`: prints what happens to keys, and goes on after a lost connection with the last event."""

from __future__ import annotations

import json
import sys
import time
from typing import TYPE_CHECKING, Any, Final

from pannier_sidecar.cli.sidecar_client import CallFailedError, SidecarClient

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

_SILENCE_S: Final = 45.0
"""Three times as long as a sidecar is silent; then it has vanished."""
_PAUSES_S: Final = (1.0, 10.0)
"""The first pause before a connection is tried again, and the maximum."""
_PASSING: Final = (0, 429, 503)
"""Statuses that may be another one later; 0: no answer."""

Event = dict[str, Any]
"""The data of an event, with `event` and `id`."""


class Watch:
    """One watch, over any number of connections."""

    def __init__(self, client: SidecarClient, path: str, prefix: str, since: str, *, values: bool):
        self._client = client
        self._path = path
        self._query = {"prefix": prefix, "values": "true" if values else "false"}
        self._last_id = since
        self._has_begun = False

    def __iter__(self) -> Iterator[Event]:
        """Yield events for ever. Raises CallFailedError if the watch is refused or, at first, no sidecar answers."""
        pause_s, max_pause_s = _PAUSES_S
        pause = pause_s
        while True:
            try:
                for event in self._events():
                    pause = pause_s
                    yield event
                why = "the sidecar has ended the watch"
            except CallFailedError as error:
                if error.status not in _PASSING or not (self._has_begun or error.status):
                    raise
                why = str(error)
            print(f"pannier: {why}; trying again in {pause:g} s", file=sys.stderr)
            time.sleep(pause)
            pause = min(2 * pause, max_pause_s)

    def _events(self) -> Iterator[Event]:
        """Yield the events of one connection."""
        for event in _parsed(self._client.lines(self._path, self._query, _SILENCE_S, {"Last-Event-ID": self._last_id})):
            self._has_begun = True
            if event["event"] == "error":
                raise CallFailedError(f"{event['message']} ({event['errorCode']})", 400)
            self._last_id = event["id"]
            if event["event"] != "beat":
                yield event


def _parsed(lines: Iterable[bytes]) -> Iterator[Event]:
    """Yield the events of a stream whose lines end as the sidecar ends them."""
    fields = {"id": "", "event": "", "data": ""}
    for line in lines:
        name, _, value = line.decode().rstrip("\n").partition(": ")
        if name == "data":
            fields["data"] += value + "\n"
        elif name in fields:
            fields[name] = value
        elif not name and fields["data"]:
            yield {"event": fields["event"], "id": fields["id"], **json.loads(fields["data"])}
            fields["data"] = ""


def line_of(event: Event, *, as_json: bool) -> str:
    """Return an event as a line for people, or as JSON."""
    if as_json:
        return json.dumps(event)
    parts = [event["event"]]
    if "key" in event:
        parts.append(event["key"] if event["key"].isprintable() else json.dumps(event["key"]))
    if "value" in event:
        parts.append(json.dumps(event["value"], ensure_ascii=False))
    parts += [event[name] for name in ("base64", "reason") if name in event]
    return " ".join(parts)
