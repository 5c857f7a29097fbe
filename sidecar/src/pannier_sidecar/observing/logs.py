"""Log lines on standard error: plain for people, or JSON with the fields that Dapr writes.

Messages of libraries may contain addresses and passwords, so the values in them are not written. Tracebacks show only
the types of exceptions and their places in the code.
"""

from __future__ import annotations

import logging
import os
import sys
import traceback
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import TracebackType
    from typing import TextIO

    ExceptionInfo = tuple[type[BaseException], BaseException, TracebackType | None] | tuple[None, None, None]

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

    Libraries log from `warning` upwards, whatever the level.
    """
    handler = logging.StreamHandler(stream or sys.stderr)
    handler.setFormatter(JsonLines(app_id, instance, version) if as_json else PlainLines())
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(max(LEVELS[level], logging.WARNING))
    logging.getLogger(_PACKAGE).setLevel(LEVELS[level])
    logging.raiseExceptions = False  # a closed pipe must not raise for each line


def set_level(level: str) -> None:
    """Write only records of at least this level from now on."""
    logging.getLogger(_PACKAGE).setLevel(LEVELS[level])


class WithoutSecrets(logging.Formatter):
    """Omits the arguments of libraries' messages and the texts of exceptions."""

    def message(self, record: logging.LogRecord) -> str:
        if record.name.partition(".")[0] == _PACKAGE:
            return record.getMessage()
        place = f"{record.name} ({os.path.basename(record.pathname)}:{record.lineno})"
        # A format string with arguments is a constant; any other message may already contain values.
        return f"{place}: {record.msg}" if record.args and isinstance(record.msg, str) else f"{place} warns"

    def formatException(self, ei: ExceptionInfo) -> str:  # noqa: N802  # logging.Formatter's name
        error = ei[1]
        return "" if error is None else without_words(error)


class PlainLines(WithoutSecrets):
    """`2026-11-23T07:30:00.123Z warning  store orders is not ready`: time, level, message."""

    def format(self, record: logging.LogRecord) -> str:
        line = f"{_time(record)} {_WORDS.get(record.levelno, 'info'):7}  {_one_line(self.message(record))}"
        if record.exc_info:
            line += "\n" + self.formatException(record.exc_info)
        return line


class JsonLines(WithoutSecrets):
    """One JSON object per line."""

    def __init__(self, app_id: str, instance: str, version: str):
        super().__init__()
        self._fixed = {"app_id": app_id, "instance": instance, "type": "log", "ver": version}

    def format(self, record: logging.LogRecord) -> str:
        fields = {
            "time": _time(record),
            "level": _WORDS.get(record.levelno, "info"),
            "scope": record.name.replace(_PACKAGE, "pannier", 1),
            "msg": self.message(record),
            **self._fixed,
        }
        if record.exc_info:
            fields["error"] = self.formatException(record.exc_info)
        import json  # imported here, because plain lines need none

        return json.dumps(fields, ensure_ascii=False)


def without_words(error: BaseException) -> str:
    """Return the traceback of an exception and its causes, with types instead of messages."""
    return "".join(_traceback_lines(error, set())).rstrip()


def _traceback_lines(error: BaseException, seen: set[int]) -> Iterator[str]:
    seen.add(id(error))
    before = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
    if before is not None and id(before) not in seen:
        yield from _traceback_lines(before, seen)
        yield "\nand then\n\n"
    yield "Traceback (most recent call last):\n"
    yield from _frames(error.__traceback__)
    yield f"{type(error).__module__}.{type(error).__qualname__}\n".removeprefix("builtins.")
    if isinstance(error, BaseExceptionGroup):
        for each in error.exceptions:
            yield from _traceback_lines(each, seen)


def _frames(trace: TracebackType | None) -> Iterator[str]:
    try:
        yield from traceback.format_tb(trace)
    except (ImportError, OSError):  # no file can be opened, so `traceback` cannot be loaded (deferred_modules.py)
        while trace is not None:
            code = trace.tb_frame.f_code
            yield f'  File "{code.co_filename}", line {trace.tb_lineno}, in {code.co_name}\n'
            trace = trace.tb_next


def _time(record: logging.LogRecord) -> str:
    moment = datetime.fromtimestamp(record.created, UTC)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _one_line(message: str) -> str:
    """Return a message as one line, whatever a client has put into it."""
    if message.isprintable():
        return message
    return "".join(character if character.isprintable() else " " for character in message)
