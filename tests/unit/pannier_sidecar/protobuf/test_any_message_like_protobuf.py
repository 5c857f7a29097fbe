"""The protobuf engine alone, with a message of every kind of field, beside protobuf itself."""

from functools import cache
from typing import Annotated, Any

import pytest
from google.protobuf.descriptor_pb2 import DescriptorProto, FieldDescriptorProto, FileDescriptorProto
from google.protobuf.descriptor_pool import DescriptorPool
from google.protobuf.message import DecodeError
from google.protobuf.message_factory import GetMessageClass
from hypothesis import example, given
from hypothesis import strategies as st
from msgspec import Struct

from pannier_sidecar.protobuf import Int64, MalformedMessageError, count_fields, decode, encode, end_of_part
from pannier_sidecar.protobuf.codec import MAX_DEPTH
from pannier_sidecar.protobuf.wire import as_int32, as_int64, read_varint, write_varint


class Inner(Struct):
    text: Annotated[str, 1] = ""
    inner: Annotated["Inner | None", 2] = None


class Everything(Struct):
    """Field numbers whose tags take one and two bytes, declared in another order than they are written."""

    text: Annotated[str, 1] = ""
    names: Annotated[list[str], 3000] = []
    data: Annotated[bytes, 2] = b""
    number: Annotated[int, 4] = 0
    is_set: Annotated[bool, 5] = False
    one: Annotated[Inner | None, 6] = None
    many: Annotated[list[Inner], 7] = []
    pieces: Annotated[list[bytes], 8] = []
    labels: Annotated[dict[str, str], 9] = {}
    maybe_text: Annotated[str | None, 16] = None
    maybe_number: Annotated[int | None, 17] = None
    maybe_set: Annotated[bool | None, 18] = None
    maybe_data: Annotated[bytes | None, 19] = None
    long: Annotated[Int64, 20] = Int64(0)
    maybe_long: Annotated[Int64 | None, 21] = None


OPTIONAL = {"maybe_text": 16, "maybe_number": 17, "maybe_set": 18, "maybe_data": 19, "maybe_long": 21}


@cache
def theirs() -> Any:
    """Protobuf's class of Everything."""
    file = FileDescriptorProto(name="everything.proto", package="t", syntax="proto3")
    inner = file.message_type.add(name="Inner")
    add(inner, "text", 1, FieldDescriptorProto.TYPE_STRING)
    add(inner, "inner", 2, FieldDescriptorProto.TYPE_MESSAGE, type_name=".t.Inner")
    every = file.message_type.add(name="Everything")
    entry = every.nested_type.add(name="LabelsEntry")
    entry.options.map_entry = True
    add(entry, "key", 1, FieldDescriptorProto.TYPE_STRING)
    add(entry, "value", 2, FieldDescriptorProto.TYPE_STRING)
    add(every, "text", 1, FieldDescriptorProto.TYPE_STRING)
    add(every, "data", 2, FieldDescriptorProto.TYPE_BYTES)
    add(every, "names", 3000, FieldDescriptorProto.TYPE_STRING, is_repeated=True)
    add(every, "number", 4, FieldDescriptorProto.TYPE_INT32)
    add(every, "is_set", 5, FieldDescriptorProto.TYPE_BOOL)
    add(every, "one", 6, FieldDescriptorProto.TYPE_MESSAGE, type_name=".t.Inner")
    add(every, "many", 7, FieldDescriptorProto.TYPE_MESSAGE, type_name=".t.Inner", is_repeated=True)
    add(every, "pieces", 8, FieldDescriptorProto.TYPE_BYTES, is_repeated=True)
    add(every, "labels", 9, FieldDescriptorProto.TYPE_MESSAGE, type_name=".t.Everything.LabelsEntry", is_repeated=True)
    kinds = (
        FieldDescriptorProto.TYPE_STRING,
        FieldDescriptorProto.TYPE_INT32,
        FieldDescriptorProto.TYPE_BOOL,
        FieldDescriptorProto.TYPE_BYTES,
        FieldDescriptorProto.TYPE_INT64,
    )
    add(every, "long", 20, FieldDescriptorProto.TYPE_INT64)
    for place, ((name, number), kind) in enumerate(zip(OPTIONAL.items(), kinds, strict=True)):
        every.oneof_decl.add(name=f"_{name}")
        add(every, name, number, kind, proto3_optional=True, oneof_index=place)
    pool = DescriptorPool()
    pool.Add(file)  # type: ignore[no-untyped-call]
    return GetMessageClass(pool.FindMessageTypeByName("t.Everything"))


def add(
    message: DescriptorProto,
    name: str,
    number: int,
    kind: "FieldDescriptorProto.Type",
    *,
    is_repeated: bool = False,
    **more: Any,
) -> None:
    label = FieldDescriptorProto.LABEL_REPEATED if is_repeated else FieldDescriptorProto.LABEL_OPTIONAL
    message.field.add(name=name, number=number, type=kind, label=label, **more)


texts = st.text(max_size=200)
inners = st.recursive(st.builds(Inner, texts), lambda inner: st.builds(Inner, texts, inner), max_leaves=MAX_DEPTH // 2)
integers = st.integers(-(2**31), 2**31 - 1)
long_integers = st.integers(-(2**63), 2**63 - 1).map(Int64)
messages = st.builds(
    Everything,
    text=texts,
    names=st.lists(texts, max_size=4),
    data=st.binary(max_size=300),
    number=integers,
    is_set=st.booleans(),
    one=st.none() | inners,
    many=st.lists(inners, max_size=3),
    pieces=st.lists(st.binary(max_size=9), max_size=4),
    labels=st.dictionaries(texts, texts, max_size=3),
    maybe_text=st.none() | texts,
    maybe_number=st.none() | integers,
    maybe_set=st.none() | st.booleans(),
    maybe_data=st.none() | st.binary(max_size=9),
    long=long_integers,
    maybe_long=st.none() | long_integers,
)


def as_ours(message: Any) -> Everything:
    def inner(each: Any) -> Inner:
        return Inner(each.text, inner(each.inner) if each.HasField("inner") else None)

    return Everything(
        text=message.text,
        names=list(message.names),
        data=message.data,
        number=message.number,
        is_set=message.is_set,
        one=inner(message.one) if message.HasField("one") else None,
        many=[inner(each) for each in message.many],
        pieces=list(message.pieces),
        labels=dict(message.labels),
        long=Int64(message.long),
        **{name: getattr(message, name) if message.HasField(name) else None for name in OPTIONAL},
    )


@given(ours=messages)
def test_a_message_comes_back_as_it_was(ours: Everything) -> None:
    assert decode(Everything, encode(ours)) == ours


@given(ours=messages)
def test_protobuf_reads_what_is_written_and_the_other_way_round(ours: Everything) -> None:
    message = theirs().FromString(encode(ours))
    assert as_ours(message) == ours
    assert decode(Everything, message.SerializeToString()) == ours


@given(several=st.lists(messages, min_size=2, max_size=3))
def test_consecutive_messages_are_merged_as_protobuf_merges_them(several: list[Everything]) -> None:
    data = b"".join(map(encode, several))
    assert decode(Everything, data) == as_ours(theirs().FromString(data))


@given(ours=messages, fields=st.integers(1, 5))
def test_a_message_decoded_in_parts_is_the_same_message(ours: Everything, fields: int) -> None:
    data = encode(ours)
    found, at = Everything(), 0
    while at < len(data):
        start, at = at, end_of_part(data, at, fields)
        decode(Everything, data[start:at], message=found)
    assert found == ours


changes = st.lists(st.tuples(st.integers(0, 10_000), st.integers(0, 255)), max_size=6)


@given(ours=messages, changes=changes, cut=st.integers(0, 10_000), noise=st.binary(max_size=40))
@example(Everything(), [], 0, b"\x0a")
@example(Everything(), [], 0, b"\x0a\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01")
@example(Everything(), [], 0, b"\x20" + b"\xff" * 11)
@example(Everything(), [], 0, b"\x0b")
@example(Everything(), [], 0, b"\x02\x00")
def test_any_bytes_are_a_message_to_both_or_refused(
    ours: Everything, changes: list[tuple[int, int]], cut: int, noise: bytes
) -> None:
    changed = bytearray(encode(ours)[: -cut or None] + noise)
    for place, byte in changes:
        if changed:
            changed[place % len(changed)] = byte
    data = bytes(changed)
    assert 0 <= end_of_part(data, 0, 3) <= len(data)
    assert count_fields(Everything, data, 10_000) <= len(data) + 1
    try:
        found = decode(Everything, data)
    except MalformedMessageError as error:
        if str(error).startswith(("there is no wire type", "messages are nested")):
            return  # protobuf takes groups, and a hundred levels
        with pytest.raises(DecodeError):
            theirs().FromString(data)
        return
    try:
        message = theirs().FromString(data)
    except DecodeError:
        return  # it accepts no field number beyond 29 bits, and unknown fields must be complete at every level
    size = message.ByteSize()
    message.DiscardUnknownFields()
    if message.ByteSize() < size:
        found.labels = dict(message.labels)  # an entry with an unknown field is itself unknown to protobuf's C library
    assert found == as_ours(message)


@given(number=st.integers(-(2**63), 2**64 - 1))
def test_an_integer_comes_back_as_64_bits(number: int) -> None:
    data = write_varint(number)
    assert read_varint(b"\xff" + data + b"\xff", 1) == (number % 2**64, 1 + len(data))
    assert as_int32(number) == (number + 2**31) % 2**32 - 2**31
    assert as_int64(number) == (number + 2**63) % 2**64 - 2**63


def test_work_is_bounded_for_endlessly_nested_messages() -> None:
    data = b""
    for _ in range(5000):
        data = b"\x12" + write_varint(len(data)) + data
    with pytest.raises(MalformedMessageError, match="nested too deeply"):
        decode(Inner, data)
    assert count_fields(Inner, data, 10**9) == MAX_DEPTH + 1


def test_counting_includes_the_fields_of_inner_messages_and_ends_soon_after_the_limit() -> None:
    message = Everything(many=[Inner("a", Inner("b"))] * 100, labels={"a": "b"})
    assert count_fields(Everything, encode(message), 10_000) == 100 * 4 + 3
    assert 10 < count_fields(Everything, encode(message), 10) < 20


@pytest.mark.parametrize("of", [float, list[int], list[bool], dict[str, int], object])
def test_an_unknown_kind_of_field_is_refused(of: Any) -> None:
    kind = type("Odd", (), {"__annotations__": {"odd": Annotated[of, 1]}})
    with pytest.raises(TypeError, match="cannot be"):
        decode(kind, b"")
