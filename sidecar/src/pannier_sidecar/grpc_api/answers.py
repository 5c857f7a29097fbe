"""The header blocks of answers, encoded once."""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING, Final

from ..http2 import frames
from ..http2.headers import literal
from ..state.wording import ADVICE, percent_encoded

if TYPE_CHECKING:
    from .status import StatusError

GRPC: Final = b"application/grpc"
_STATUS_200: Final = b"\x88"
"""`:status: 200`, from HPACK's static table."""
_ANSWER: Final = _STATUS_200 + literal(b"content-type", GRPC)
RESPONSE_HEADERS: Final = frames.Prepared(frames.HEADERS, frames.END_HEADERS, _ANSWER)
OK_TRAILERS: Final = frames.Prepared(
    frames.HEADERS, frames.END_HEADERS | frames.END_STREAM, literal(b"grpc-status", b"0")
)
NOT_GRPC_HEADERS: Final = frames.Prepared(
    frames.HEADERS, frames.END_HEADERS, literal(b":status", b"415") + literal(b"content-type", b"text/plain")
)
NO_TRAILERS: Final = frames.Prepared(frames.DATA, frames.END_STREAM, b"")


def failure_block(failure: StatusError, *, has_begun: bool) -> bytes:
    """Return the last header block of an answer that fails; `has_begun`: its first one is out."""
    block = literal(b"grpc-status", b"%d" % failure.code) + literal(b"grpc-message", percent_encoded(failure.message))
    if failure.details:
        block += literal(b"grpc-status-details-bin", base64.b64encode(failure.details).rstrip(b"="))
    if failure.advice:
        block += literal(ADVICE, percent_encoded(failure.advice))
    return block if has_begun else _ANSWER + block
