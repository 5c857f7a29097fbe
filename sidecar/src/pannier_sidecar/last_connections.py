"""Closes a listening socket gently: the connections in its backlog are still accepted, but no others."""

from __future__ import annotations

import os
import socket
import sys
from contextlib import suppress
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable

_SO_ATTACH_FILTER: Final = 26
_DROP_SYN: Final = ((0x30, 0, 0, 13), (0x54, 0, 0, 0x12), (0x15, 0, 1, 0x02), (0x06, 0, 0, 0), (0x06, 0, 0, 0xFFFFFFFF))
"""BPF: load the byte with TCP's flags, mask SYN and ACK, drop packets with SYN alone, pass all others."""


def take_no_more(sockets: Iterable[socket.socket]) -> None:
    """Stop new connections, but let those in the backlog of the socket still be accepted.

    Closing a listening socket resets the connections in its backlog, although their clients believe them to be open. So
    that no more arrive, the kernel drops SYNs until the socket is closed; clients repeat them, and are refused then. If
    the filter is not available, nothing changes.
    """
    for listening in sockets:
        with suppress(OSError):
            if listening.family == socket.AF_UNIX:
                os.unlink(listening.getsockname())
            elif sys.platform == "linux":
                _drop_requests(listening)


def _drop_requests(listening: socket.socket) -> None:
    import ctypes  # imported here, because only the shutdown needs it
    import struct

    code = b"".join(struct.pack("HBBI", *instruction) for instruction in _DROP_SYN)
    kept = ctypes.create_string_buffer(code, len(code))
    program = struct.pack("HP", len(_DROP_SYN), ctypes.addressof(kept))
    listening.setsockopt(socket.SOL_SOCKET, _SO_ATTACH_FILTER, program)
