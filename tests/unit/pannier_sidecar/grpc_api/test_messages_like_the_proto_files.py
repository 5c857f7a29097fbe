"""Each message has the names, numbers and types of the .proto files (including Google's) and the bytes of protobuf."""

import re
from functools import cache
from typing import Annotated, Any, get_args, get_origin, get_type_hints

import pytest
from google.protobuf.descriptor import Descriptor, FieldDescriptor
from google.protobuf.descriptor_pool import Default
from google.protobuf.message import DecodeError, Message
from google.protobuf.message_factory import GetMessageClass
from google.rpc import error_details_pb2, status_pb2  # noqa: F401  # both fill the default pool
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import Struct
from servers.grpc_protos import descriptor_set, pool
from unit.tables import each_row

from pannier_sidecar.grpc_api import messages
from pannier_sidecar.protobuf import MalformedMessageError, decode, encode

OTHER_NAMES = {"Any": "AnyValue"}
OURS = ("dapr.", "spec.", "grpc.", "google.protobuf")
RPC = ["ErrorInfo", "Help", "ResourceInfo"]
SCALARS = {
    FieldDescriptor.TYPE_STRING: str,
    FieldDescriptor.TYPE_BYTES: bytes,
    FieldDescriptor.TYPE_INT32: int,
    FieldDescriptor.TYPE_ENUM: int,
    FieldDescriptor.TYPE_BOOL: bool,
}


def declared() -> list[tuple[Descriptor, type[Struct]]]:
    """Every message of the .proto files, with its struct."""
    found = []
    for file in descriptor_set().file:
        if file.package.startswith(OURS):
            found += [pool().FindMessageTypeByName(f"{file.package}.{each.name}") for each in file.message_type]
    pairs = [(each, getattr(messages, OTHER_NAMES.get(each.name, each.name))) for each in found]
    pairs += [(Default().FindMessageTypeByName(f"google.rpc.{name}"), getattr(messages, name)) for name in RPC]
    return [*pairs, (Default().FindMessageTypeByName("google.rpc.Status"), messages.RpcStatus)]


DECLARED = declared()
each_message = each_row(("descriptor", "kind"), {pair[0].full_name: pair for pair in DECLARED})
any_message = st.sampled_from(DECLARED)
any_without_choice = st.sampled_from([pair for pair in DECLARED if not pair[0].oneofs])
"""In a oneof, which only reflection has, protobuf keeps the last field; our struct keeps all."""

Pair = tuple[Descriptor, type[Struct]]


def shape(of: Any) -> tuple[Any, ...]:
    if get_origin(of) is dict:
        return ("map",)
    if get_origin(of) is list:
        return ("list", *shape(get_args(of)[0]))
    if type(None) in get_args(of):
        of = get_args(of)[0]
    return ("message",) if issubclass(of, Struct) else (of,)


def shape_of(field: FieldDescriptor) -> tuple[Any, ...]:
    if field.message_type is not None and field.message_type.GetOptions().map_entry:
        return ("map",)
    one = ("message",) if field.message_type is not None else (SCALARS[field.type],)
    return ("list", *one) if field.is_repeated else one


def has_map(descriptor: Descriptor) -> bool:
    inner = [field.message_type for field in descriptor.fields if field.message_type is not None]
    return any(each.GetOptions().map_entry or (each is not descriptor and has_map(each)) for each in inner)


def snake(name: str) -> str:
    return re.sub("([A-Z])", r"_\1", name).lower()


@each_message
def test_fields_are_those_of_the_proto_file(descriptor: Descriptor, kind: type[Struct]) -> None:
    declared = {(snake(field.name), field.number, shape_of(field)) for field in descriptor.fields}
    ours = set()
    for name, hint in get_type_hints(kind, include_extras=True).items():
        assert get_origin(hint) is Annotated
        of, number = get_args(hint)
        ours.add((name, number, shape(of)))
    assert ours == declared


# --- bytes ------------------------------------------------------------------------------------------------------------


def values_of(field: FieldDescriptor, depth: int) -> st.SearchStrategy[Any]:
    if field.message_type is not None:
        return made(field.message_type, depth + 1)
    if field.type == FieldDescriptor.TYPE_ENUM or field.type == FieldDescriptor.TYPE_INT32:
        return st.integers(-(2**31), 2**31 - 1)
    return {str: st.text(max_size=200), bytes: st.binary(max_size=200), bool: st.booleans()}[SCALARS[field.type]]


@cache
def made(descriptor: Descriptor, depth: int = 0) -> st.SearchStrategy[Any]:
    """Any message of that kind."""
    fields: dict[str, st.SearchStrategy[Any]] = {}
    for field in descriptor.fields:
        if shape_of(field) == ("map",):
            value = field.message_type.fields_by_name["value"]
            values = st.text(max_size=9) if value.message_type is None else values_of(value, depth)
            fields[field.name] = st.dictionaries(st.text(max_size=9), values, max_size=4)
        elif field.is_repeated:
            fields[field.name] = st.lists(values_of(field, depth), max_size=4)
        else:
            fields[field.name] = values_of(field, depth)
    cls = GetMessageClass(descriptor)

    def filled(message: Any, given: dict[str, Any]) -> Any:
        for name, value in given.items():
            if isinstance(value, dict) and any(isinstance(each, Message) for each in value.values()):
                for key, each in value.items():  # protobuf takes such a map entry by entry only
                    getattr(message, name)[key].CopyFrom(each)
            else:
                message.MergeFrom(cls(**{name: value}))
        return message

    for oneof in descriptor.oneofs:  # at most one of them
        names = [field.name for field in oneof.fields]
        chosen = [st.fixed_dictionaries({name: fields.pop(name)}) for name in names]
        others = st.fixed_dictionaries({}, optional=fields)
        return st.builds(lambda one, rest: cls(**one, **rest), st.just({}) | st.one_of(chosen), others)
    return st.fixed_dictionaries({}, optional=fields).map(lambda given: filled(cls(), given))


@each_message
@settings(max_examples=10)
@given(data=st.data())
def test_messages_of_protobuf_are_read_and_written_back(
    data: st.DataObject, descriptor: Descriptor, kind: type[Struct]
) -> None:
    message = data.draw(made(descriptor))
    ours = decode(kind, message.SerializeToString())
    assert type(message).FromString(encode(ours)) == message
    assert decode(kind, encode(ours)) == ours


@given(any_without_choice, st.data())
def test_messages_one_after_the_other_are_merged(pair: Pair, data: st.DataObject) -> None:
    descriptor, kind = pair
    parts = data.draw(st.lists(made(descriptor), min_size=2, max_size=3))
    both = b"".join(part.SerializeToString() for part in parts)
    assert GetMessageClass(descriptor).FromString(encode(decode(kind, both))) == type(parts[0]).FromString(both)


UNKNOWN = [b"\xa0\x3f\x01", b"\xa1\x3f12345678", b"\xa2\x3f\x03abc", b"\xa5\x3f1234", b"\xf8\xff\xff\xff\x0f\x05"]


@given(any_message, st.data())
def test_unknown_fields_are_skipped(pair: Pair, data: st.DataObject) -> None:
    descriptor, kind = pair
    message = data.draw(made(descriptor)).SerializeToString()
    extra = data.draw(st.sampled_from(UNKNOWN))
    assert decode(kind, extra + message + extra) == decode(kind, message)


@given(any_without_choice, st.data())
def test_a_message_cut_short_is_refused_or_a_shorter_one(pair: Pair, data: st.DataObject) -> None:
    whole = data.draw(made(pair[0])).SerializeToString()
    agree(*pair, whole[: data.draw(st.integers(0, len(whole)))])


@given(any_without_choice, st.binary(max_size=60))
def test_any_bytes_are_read_as_protobuf_reads_them(pair: Pair, noise: bytes) -> None:
    agree(*pair, noise)


@given(any_without_choice, st.data())
def test_changed_bytes_are_read_as_protobuf_reads_them(pair: Pair, data: st.DataObject) -> None:
    changed = bytearray(data.draw(made(pair[0])).SerializeToString())
    for _ in range(data.draw(st.integers(1, 4))):
        if changed:
            changed[data.draw(st.integers(0, len(changed) - 1))] = data.draw(st.integers(0, 255))
    agree(*pair, bytes(changed))


def agree(descriptor: Descriptor, kind: type[Struct], data: bytes) -> None:
    """Bytes that protobuf accepts are accepted, with the same meaning; groups, which version 3 does not have, may be
    refused.

    Protobuf's C library leaves out a map's entry with an unknown field; Go and we read the entry without that field. So
    there is no common behaviour to test.
    """
    try:
        theirs = GetMessageClass(descriptor).FromString(data)
    except DecodeError:
        theirs = None
    try:
        ours = decode(kind, data)
    except MalformedMessageError as error:
        assert theirs is None or "wire type" in str(error)
        return
    if theirs is not None:
        size = theirs.ByteSize()
        theirs.DiscardUnknownFields()
        if theirs.ByteSize() < size and has_map(descriptor):
            return
        assert GetMessageClass(descriptor).FromString(encode(ours)) == theirs


def test_errors_of_a_request_have_googles_format() -> None:
    """We only write it, and without the fields that were added later."""
    ours = messages.BadRequest([messages.FieldViolation("key", "is empty"), messages.FieldViolation("", "ü")])
    theirs = error_details_pb2.BadRequest.FromString(encode(ours))
    assert [(each.field, each.description) for each in theirs.field_violations] == [("key", "is empty"), ("", "ü")]


def test_messages_within_messages_have_a_maximum_depth() -> None:
    any_value = messages.SayHelloRequest(data=messages.AnyValue("t", b"x"))
    assert decode(messages.SayHelloRequest, encode(any_value)) == any_value
    with pytest.raises(MalformedMessageError, match="nested too deeply"):
        decode(messages.Empty, b"", depth=17)
