"""Commands as bytes (Redis serialization protocol specification, "Sending commands to a Redis server")."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

import hiredis

if TYPE_CHECKING:
    from collections.abc import Callable

Part = str | int | bytes

_pack: Callable[[Any], bytes] = cast("Any", hiredis.pack_command)  # its stub allows but one part


def unpack(payload: bytes) -> list[list[bytes]]:
    """Return the commands that were packed into `payload`."""
    reader = hiredis.Reader()
    reader.feed(payload)
    commands = []
    while (command := reader.gets()) is not False:
        commands.append(command)
    return commands


def pack(*command: Part) -> bytes:
    """Return a command, or part of a pipeline, as it is sent."""
    return _pack(command)
