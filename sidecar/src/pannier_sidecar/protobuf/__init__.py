"""Decodes protobuf messages into structs, and encodes structs, without protobuf's runtime.

    codec     decodes and encodes messages that are declared as structs
    pairs     does the same in one piece, for messages that begin with two strings
    parts     divides a long message into parts, and measures its work, before it is decoded
    wire      integers and field headers (https://protobuf.dev/programming-guides/encoding)

It does no I/O and knows no message: `grpc_api/messages.py` declares those that the sidecar reads and writes.
"""

from .codec import decode, encode
from .pairs import read_pair, write_pair
from .parts import count_fields, end_of_part
from .wire import Int64, MalformedMessageError

__all__ = [
    "Int64",
    "MalformedMessageError",
    "count_fields",
    "decode",
    "encode",
    "end_of_part",
    "read_pair",
    "write_pair",
]
