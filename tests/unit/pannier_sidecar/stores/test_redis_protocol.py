"""RESP alone: commands become bytes, and bytes become replies, however they are divided."""

from collections.abc import Sequence
from typing import Any

import pytest
from hiredis import ProtocolError, PushNotification, ReplyError
from hypothesis import example, given
from hypothesis import strategies as st
from unit.tables import each_row

from pannier_sidecar.stores.redis.resp import LARGE, MAX_ELEMENTS, PushReader, ReplyReader, pack, unpack

Written = tuple[bytes, Any]
"""A reply as a server sends it, and as it is parsed."""


def bulk(data: bytes) -> bytes:
    return b"$%d\r\n%b\r\n" % (len(data), data)


def array(items: Sequence[Written], sign: bytes = b"*") -> Written:
    return b"%b%d\r\n%b" % (sign, len(items), b"".join(item for item, _ in items)), [read for _, read in items]


lines = st.text(st.characters(codec="ascii", exclude_categories=["C"]), max_size=40)
plain: st.SearchStrategy[Written] = st.one_of(
    st.binary(max_size=300).map(lambda data: (bulk(data), data)),
    st.integers(-(2**63), 2**63 - 1).map(lambda number: (b":%d\r\n" % number, number)),
    lines.map(lambda line: (b"+%b\r\n" % line.encode(), line.encode())),
    lines.map(lambda line: (b"-ERR %b\r\n" % line.encode(), f"ERR {line}")),
    st.sampled_from([(b"$-1\r\n", None), (b"*-1\r\n", None), (b"_\r\n", None), (b"#t\r\n", True)]),
)
replies = st.recursive(plain, lambda inner: st.lists(inner, max_size=4).map(array), max_leaves=12).filter(
    lambda written: written[0].count(b"*") < 7  # hiredis takes nine levels
)


def shown(reply: Any) -> Any:
    """A reply with the texts of its errors in their place."""
    if isinstance(reply, list):
        return [shown(each) for each in reply]
    return str(reply) if isinstance(reply, ReplyError) else reply


def cut(data: bytes, places: Sequence[int]) -> list[bytes]:
    at = sorted({0, len(data), *(place % (len(data) + 1) for place in places)})
    return [data[start:end] for start, end in zip(at, at[1:], strict=False)]


def read(reader: ReplyReader, pieces: Sequence[bytes]) -> tuple[list[Any], bool]:
    """All replies, and whether no Redis would send these bytes."""
    found: list[Any] = []
    try:
        for piece in pieces:
            found.extend(reader.feed(piece))
    except ProtocolError:
        return found, True
    return found, False


places = st.lists(st.integers(0, 10_000), max_size=8)


@given(written=st.lists(replies, max_size=5), places=places)
def test_replies_are_read_however_they_are_cut(written: list[Written], places: list[int]) -> None:
    data = b"".join(sent for sent, _ in written)
    found, is_refused = read(ReplyReader(), cut(data, places))
    assert not is_refused
    assert shown(found) == [meant for _, meant in written]


@given(commands=st.lists(st.lists(st.binary(max_size=50), min_size=1, max_size=5), max_size=4))
def test_commands_that_were_packed_are_unpacked(commands: list[list[bytes]]) -> None:
    assert unpack(b"".join(pack(*command) for command in commands)) == commands


def test_texts_and_numbers_are_sent_as_their_characters() -> None:
    assert unpack(pack("SET", "ü", 5, b"\x00\r\n")) == [[b"SET", "ü".encode(), b"5", b"\x00\r\n"]]


tokens = (
    b"*2\r\n",
    b"%1\r\n",
    b"~1\r\n",
    b">1\r\n",
    b"$1\r\n",
    b"$-1\r\n",
    b"*-2\r\n",
    b"\r\n",
    b"+a",
    b":5",
    b"_",
    b",inf",
)
"""No long lists: hiredis makes room for as many elements as are announced."""


@given(before=replies, pieces=st.lists(st.binary(max_size=40) | st.sampled_from(tokens), max_size=25))
@example((b"", None), [b"%1\r\n*0\r\n+x\r\n"])
@example((b"", None), [b"~1\r\n*0\r\n"])
@example((b"", None), [b"*1\r\n" * 20])
@example((b"", None), [b"-\xff\r\n"])
@example((b"", None), [b"*99999999999999999999\r\n"])
@example((b"", None), [b"$99999999999999999999\r\n"])
def test_any_bytes_are_replies_or_a_protocol_error(before: Written, pieces: list[bytes]) -> None:
    sent, meant = before
    data = sent + b"".join(pieces)
    whole, is_refused = read(ReplyReader(), [data])
    assert not sent or shown(whole[0]) == meant
    in_bytes, is_refused_too = read(ReplyReader(), [data[at : at + 1] for at in range(len(data))])
    assert (repr(shown(in_bytes)), is_refused_too) == (repr(shown(whole)), is_refused)


@given(messages=st.lists(st.booleans(), max_size=8), places=places)
def test_messages_of_channels_are_told_apart_from_replies(messages: list[bool], places: list[int]) -> None:
    pushed: list[object] = []
    message = array([(bulk(b"message"), b""), (bulk(b"channel"), b""), (bulk(b"x"), b"")], b">")[0]
    data = b"".join(message if is_message else b":1\r\n" for is_message in messages)
    found, _ = read(PushReader(pushed.append), cut(data, places))
    assert pushed == [[b"message", b"channel", b"x"]] * sum(messages)
    assert found == [1] * (len(messages) - sum(messages))


def test_a_subscription_is_a_reply_among_messages() -> None:
    [reply] = PushReader(print).feed(b">3\r\n$9\r\nsubscribe\r\n$1\r\nc\r\n:1\r\n")
    assert isinstance(reply, PushNotification)
    assert reply[0] == b"subscribe"


def test_a_large_value_in_small_pieces_is_read() -> None:
    data = bytes(3 * LARGE)
    sent = bulk(data) + b":1\r\n"
    found, _ = read(ReplyReader(), [sent[at : at + 4096] for at in range(0, len(sent), 4096)])
    assert found == [data, 1]


def test_very_many_small_elements_are_refused_before_they_fill_the_memory() -> None:
    reader = ReplyReader()
    list(reader.feed(b"*999999\r\n"))
    piece = b":1000\r\n" * 16 * 1024
    with pytest.raises(ProtocolError):
        for _ in range((MAX_ELEMENTS + 2 * LARGE) // len(piece)):
            assert list(reader.feed(piece)) == []


@each_row("sign", [b"*", b"~", b">", b"|"])
@pytest.mark.parametrize("before", [b"", b"*2\r\n:1\r\n", b"$7\r\n*123456\r\n"])
def test_a_list_of_millions_is_refused_before_its_elements_are_made(sign: bytes, before: bytes) -> None:
    sent = before + sign + b"2147483647\r\n:1\r\n"
    for cut in range(len(sent)):
        reader = ReplyReader()
        with pytest.raises(ProtocolError, match="millions"):
            for piece in (sent[:cut], sent[cut:]):
                list(reader.feed(piece))


def test_a_value_may_look_like_a_long_list(
    value: bytes = b"*2147483647\r\n>9999999\r\n~1234567 |7654321*1111111",
) -> None:
    written = bulk(value) + bulk(b"next")
    for cut in range(len(written)):
        reader = ReplyReader()
        assert [*reader.feed(written[:cut]), *reader.feed(written[cut:])] == [value, b"next"]
