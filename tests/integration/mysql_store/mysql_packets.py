"""What a server of MySQL's protocol sends first."""

from __future__ import annotations

import struct


def packet(number: int, body: bytes) -> bytes:
    return len(body).to_bytes(3, "little") + bytes([number]) + body


def greeting(plugin: bytes, *, speaks_tls: bool = False) -> bytes:
    """Return the first packet of a server that proposes a way to sign in."""
    # PLUGIN_AUTH_LENENC_CLIENT_DATA, without which no token fits in, PLUGIN_AUTH, SECURE_CONNECTION, PROTOCOL_41; SSL
    capabilities = 0x0028_8200 | (0x0800 if speaks_tls else 0)
    first = b"\x0a8.0.40\0" + struct.pack("<I", 1) + b"saltsalt\0" + struct.pack("<H", capabilities & 0xFFFF)
    rest = b"\x2d" + struct.pack("<HHB", 2, capabilities >> 16, 21) + bytes(10) + b"saltsaltsalt\0" + plugin + b"\0"
    return packet(0, first + rest)
