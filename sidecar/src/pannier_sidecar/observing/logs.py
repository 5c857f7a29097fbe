"""Log lines on standard error: plain for people, or JSON with the fields that Dapr writes."""

from __future__ import annotations

import json
import logging
import sys
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from typing import TextIO

LEVELS: Final = {
    "debug": logging.DEBUG,
    "info": logging.INFO,
    "warn": logging.WARNING,
    "error": logging.ERROR,
    "fatal": logging.CRITICAL,
}
_WORDS: Final = {
    logging.DEBUG: "debug",
    logging.INFO: "info",
    logging.WARNING: "warning",
    logging.ERROR: "error",
    logging.CRITICAL: "fatal",
}
_PACKAGE: Final = "pannier_sidecar"


def set_up(
    level: str, *, as_json: bool, app_id: str, instance: str = "", version: str = "", stream: TextIO | None = None
) -> None:
    """Write the logs of this process to standard error (or `stream`) from now on.

    Libraries are heard from `warning` upwards only, unless all is to be heard (`debug`).
    """
    handler = logging.StreamHandler(stream or sys.stderr)
    handler.setFormatter(JsonLines(app_id, instance, version) if as_json else PlainLines())
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(logging.DEBUG if level == "debug" else max(LEVELS[level], logging.WARNING))
    logging.getLogger(_PACKAGE).setLevel(LEVELS[level])
    logging.raiseExceptions = False  # a reader that went away must not fill the log with that


def set_level(level: str) -> None:
    """Write what is at least this grave from now on."""
    logging.getLogger(_PACKAGE).setLevel(LEVELS[level])


class PlainLines(logging.Formatter):
    """`2026-11-23T07:30:00.123Z warning  store orders is not ready`: time, level, message."""

    def format(self, record: logging.LogRecord) -> str:
        line = f"{_time(record)} {_WORDS.get(record.levelno, 'info'):7}  {_one_line(record.getMessage())}"
        if record.exc_info:
            line += "\n" + self.formatException(record.exc_info)
        return line


class JsonLines(logging.Formatter):
    """One JSON object a line."""

    def __init__(self, app_id: str, instance: str, version: str):
        super().__init__()
        self._fixed = {"app_id": app_id, "instance": instance, "type": "log", "ver": version}

    def format(self, record: logging.LogRecord) -> str:
        fields = {
            "time": _time(record),
            "level": _WORDS.get(record.levelno, "info"),
            "scope": record.name.replace(_PACKAGE, "pannier", 1),
            "msg": record.getMessage(),
            **self._fixed,
        }
        if record.exc_info:
            fields["error"] = self.formatException(record.exc_info)
        return json.dumps(fields, ensure_ascii=False)


def _time(record: logging.LogRecord) -> str:
    moment = datetime.fromtimestamp(record.created, UTC)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _one_line(message: str) -> str:
    """A message is one line, whatever a client put into it."""
    if message.isprintable():
        return message
    return "".join(character if character.isprintable() else " " for character in message)
