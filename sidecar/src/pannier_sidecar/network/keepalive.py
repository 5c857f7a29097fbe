"""Has the kernel notice a server that has vanished: nothing else would while a call waits for its answer."""

from __future__ import annotations

import socket
from typing import Final

_OPTIONS: Final = {"TCP_KEEPIDLE": 10, "TCP_KEEPINTVL": 5, "TCP_KEEPCNT": 3, "TCP_USER_TIMEOUT": 25_000}
"""Options with which a vanished server is noticed after half a minute. Seconds, but the last one is in milliseconds."""


def keep_alive(opened: socket.socket) -> None:
    """Have the kernel probe an idle connection, and end one whose other side does not answer; not on a Unix socket."""
    if opened.family == socket.AF_UNIX:
        return
    opened.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for name, value in _OPTIONS.items():
        if hasattr(socket, name):  # names and the last option differ between systems
            opened.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)
