"""Translates a lost connection, and the error lines of memcached, into words that say what to change."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from pannier_sidecar.state.errors import StoreError, StoreRefusedError, unanswered

if TYPE_CHECKING:
    from pannier_sidecar.network.pipeline import ConnectionLostError

_ADVICE: Final = {
    "unauthenticated": "; set username and password",
    "out of memory": "; raise its memory limit (-m), or let it evict (without -M)",
}


def translate(error: ConnectionLostError, *, is_write: bool) -> StoreError:
    """Return the error to raise for a call whose connection was lost; the lost connection's text names the server."""
    return unanswered(str(error), may_have_changed=is_write and error.was_sent)


def refusal(line: bytes, name: str, *, is_write: bool) -> StoreError:
    """Return the StoreError that an error of the server means; its message says what to change."""
    if not line.startswith((b"SERVER_ERROR", b"CLIENT_ERROR", b"ERROR")):
        return unanswered(f"what answers at {name} is no memcached; check hosts", may_have_changed=is_write)
    text = line.decode(errors="replace")
    detail = next((f"{words}{advice}" for words, advice in _ADVICE.items() if words in text), "")
    kind = next((kind for kind in ("SERVER_ERROR", "CLIENT_ERROR") if text.startswith(kind)), "ERROR")
    return StoreRefusedError(f"memcached at {name} refused: {kind}" + (f" {detail}" if detail else ""))


def login_refusal(reply: object, name: str) -> StoreRefusedError:
    """Return the error for a server that does not take the login, by what it answered."""
    text = reply.decode(errors="replace") if isinstance(reply, bytes) else str(reply)
    if "unauthenticated" in text:
        return StoreRefusedError(f"memcached at {name} requires a login; set username and password")
    if "authentication" in text:
        return StoreRefusedError(f"memcached at {name} refused the login; check username and password")
    return StoreRefusedError(f"what answers at {name} is no memcached; check hosts")


def version(line: bytes) -> str:
    """Return the version in an answer to `version`, in words for a message."""
    found = re.fullmatch(rb"VERSION (\d{1,3}(?:\.\d{1,4}){1,3})\S*", line)
    return f"version {found[1].decode()}" if found else "of an unknown version"
