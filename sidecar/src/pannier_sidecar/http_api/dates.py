"""The time as HTTP writes it (RFC 9110, 5.6.7). `email.utils` could write it too, but takes 1 MB."""

from __future__ import annotations

import time
from typing import Final

_DAYS: Final = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_MONTHS: Final = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")


def http_date(moment: float) -> str:
    """Return a moment, in seconds since 1970, such as `Fri, 27 Nov 2026 19:18:47 GMT`."""
    year, month, day, hour, minute, second, weekday, _, _ = time.gmtime(moment)
    date = f"{_DAYS[weekday]}, {day:02} {_MONTHS[month - 1]} {year:04}"
    return f"{date} {hour:02}:{minute:02}:{second:02} GMT"
