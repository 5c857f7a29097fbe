"""Formats of log lines."""

from __future__ import annotations

import json
import logging
import traceback
from datetime import UTC, datetime
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from types import TracebackType

    ExceptionInfo = tuple[type[BaseException], BaseException, TracebackType | None] | tuple[None, None, None]


class Lines(logging.Formatter):
    """Plain lines. Of an exception they show its type and traceback but not its text, which may quote an object."""

    def formatException(self, ei: ExceptionInfo) -> str:  # noqa: N802  # logging.Formatter's name
        kind, _, frames = ei
        name = kind.__qualname__ if kind is not None else "no exception"
        return "".join(["Traceback (most recent call last):\n", *traceback.format_tb(frames), name])


class JsonLines(Lines):
    """One JSON object a line."""

    def format(self, record: logging.LogRecord) -> str:
        entry = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "scope": record.name,
            "msg": record.getMessage(),
        }
        if record.exc_info:
            entry["error"] = self.formatException(record.exc_info)
        return json.dumps(entry, ensure_ascii=False)
