"""What is stored for a value: in version 1 its bytes, in version 2 a message with its bytes, its time and its TTL."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any, Final

from google.protobuf import descriptor_pb2, descriptor_pool, duration_pb2, message_factory, timestamp_pb2
from google.protobuf.message import DecodeError

from pannier_sidecar.state.errors import StoreRefusedError

_TYPES: Final = descriptor_pb2.FieldDescriptorProto


class Values(ABC):
    """What is stored for a value, in one of the two versions."""

    @abstractmethod
    def encoded(self, value: bytes, now: float, ttl: int | None) -> bytes:
        """Return what is stored for a value that is written now (Unix time)."""

    @abstractmethod
    def decoded(self, key: str, stored: bytes) -> tuple[bytes, float | None]:
        """Return the value, and the Unix time of its expiry if what is stored holds it. Raises StoreRefusedError."""


class RawValues(Values):
    """Version 1."""

    def encoded(self, value: bytes, now: float, ttl: int | None) -> bytes:
        return value

    def decoded(self, key: str, stored: bytes) -> tuple[bytes, float | None]:
        return stored, None


class TimedValues(Values):
    """Version 2. For a value without TTL Dapr writes 0. Here it is left out, which means the same to Dapr."""

    def encoded(self, value: bytes, now: float, ttl: int | None) -> bytes:
        message = _Value(data=value)
        message.ts.FromNanoseconds(int(now * 1e9))
        if ttl is not None:
            message.ttl.seconds = ttl
        encoded: bytes = message.SerializeToString()
        return encoded

    def decoded(self, key: str, stored: bytes) -> tuple[bytes, float | None]:
        try:
            message = _Value.FromString(stored)
        except DecodeError as error:
            raise StoreRefusedError(
                f"what is stored under key {key} is not in the form of version v2; write it again, or set version: v1"
            ) from error
        ttl = message.ttl.seconds + message.ttl.nanos / 1e9
        return message.data, message.ts.seconds + message.ts.nanos / 1e9 + ttl if ttl > 0 else None


def _value_message() -> Any:
    """Return the class of the message that Dapr calls dapr.proto.components.state.v2.Value."""
    file = descriptor_pb2.FileDescriptorProto(name="pannier/etcd.proto", package="pannier.etcd", syntax="proto3")
    file.dependency.extend([timestamp_pb2.DESCRIPTOR.name, duration_pb2.DESCRIPTOR.name])
    message = file.message_type.add(name="Value")
    message.field.add(name="data", number=1, type=_TYPES.TYPE_BYTES, label=_TYPES.LABEL_OPTIONAL)
    for name, number, kind in (("ts", 2, "Timestamp"), ("ttl", 3, "Duration")):
        message.field.add(
            name=name,
            number=number,
            type=_TYPES.TYPE_MESSAGE,
            type_name=f".google.protobuf.{kind}",
            label=_TYPES.LABEL_OPTIONAL,
        )
    pool = descriptor_pool.Default()
    pool.Add(file)
    return message_factory.GetMessageClass(pool.FindMessageTypeByName("pannier.etcd.Value"))


_Value: Final[Any] = _value_message()
