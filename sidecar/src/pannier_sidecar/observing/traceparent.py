"""The `traceparent` header of W3C Trace Context (Level 1): `00-<trace id>-<span id>-<flags>`."""

from __future__ import annotations

import re
from typing import Final

from msgspec import Struct

_FORM: Final = re.compile(r"([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-.*)?", re.ASCII)
_MAX_LENGTH: Final = 512
MAX_STATE_CHARS: Final = 512
"""Section 3.3.1.5 requires that a `tracestate` of this size is passed on; a longer one is dropped."""


class TraceParent(Struct, frozen=True):
    """The position of a call in a trace."""

    trace_id: str
    span_id: str
    flags: int

    @property
    def is_sampled(self) -> bool:
        return bool(self.flags & 1)

    def __str__(self) -> str:
        return f"00-{self.trace_id}-{self.span_id}-{self.flags:02x}"


def parse(text: str) -> TraceParent | None:
    """Read a header; None if it is invalid, which counts as absent (section 3.2.2.5). Of a later version, only the
    fields of version 00 are read.
    """
    match = _FORM.fullmatch(text) if len(text) <= _MAX_LENGTH else None
    if match is None:
        return None
    version, trace_id, span_id, flags, more = match.groups()
    if version == "ff" or (version == "00" and more) or not trace_id.strip("0") or not span_id.strip("0"):
        return None
    return TraceParent(trace_id, span_id, int(flags, 16))
