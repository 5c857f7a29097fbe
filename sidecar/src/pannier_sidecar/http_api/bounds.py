"""Bounds on a JSON body, checked while it is decoded: a body that holds too much is refused before it takes memory.

Most bodies are small and are read at once. In a large body, metadata are measured before they become a dictionary. If
there may be too many items, they are counted while they are made.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, Final, get_origin, get_type_hints

import msgspec
from msgspec import Raw

from ..state.errors import MalformedRequestError, TooManyItemsError

if TYPE_CHECKING:
    from collections.abc import Callable

SHORTEST_ITEM: Final = len('{"key":""},')
SHORTEST_KEY: Final = len('"",')
LARGE: Final = 32 * 1024
"""If a body has more bytes than this, its metadata are measured before they are read."""
MAX_METADATA: Final = 16 * 1024
"""Maximum of bytes in an item's metadata, and in a request's."""
BLOCK: Final = 4096


class BodyDecoder:
    """Reads one kind of body.

    Besides msgspec's errors it raises TooManyItemsError, and MalformedRequestError for metadata.
    """

    def __init__(self, kind: Callable[[Kinds], Any], max_items: int):
        """`kind` makes the type of the body from the types of its parts; the body may have `max_items` items."""
        self._max_items = max_items
        self._left = max_items
        self._at_once = min(LARGE, max_items * SHORTEST_ITEM)
        self._small = msgspec.json.Decoder(kind(Kinds()))
        self._large = msgspec.json.Decoder(kind(LargeKinds()))
        self._counting = msgspec.json.Decoder(kind(CountedKinds(self._count)))

    def decode(self, body: bytes) -> Any:
        if len(body) <= self._at_once:
            return self._small.decode(body)
        if may_have_over(body, self._max_items):
            self._left = self._max_items
            sent = self._counting.decode(body)
        else:
            sent = self._large.decode(body)
        _read_all_metadata(sent)
        return sent

    def _count(self) -> None:
        self._left -= 1
        if self._left < 0:
            raise TooManyItemsError(self._max_items)


class KeysDecoder:
    """Reads the body of a bulk get, like BodyDecoder."""

    def __init__(self, kind: Any, max_items: int):
        self._max_items = max_items
        self._small = msgspec.json.Decoder(kind)
        self._large = msgspec.json.Decoder(LargeKinds().measured(kind))

    def decode(self, body: bytes) -> Any:
        max_items = self._max_items
        if (
            len(body) > max_items * SHORTEST_KEY
            and body.count(b'"') - body.count(b'\\"') > 2 * max_items + MAX_METADATA
        ):
            raise TooManyItemsError(max_items)
        sent = (self._small if len(body) <= LARGE else self._large).decode(body)
        _read_metadata(sent, "")
        if len(sent.keys or ()) > max_items:
            raise TooManyItemsError(max_items)
        return sent


class Kinds:
    """The types of the parts of a body, as they are declared."""

    def counted(self, struct: Any) -> Any:
        """Return the type of items, whose number is limited."""
        return struct

    def measured(self, struct: Any) -> Any:
        """Return the type of a part that has metadata."""
        return struct


class LargeKinds(Kinds):
    """The same types, but with metadata that are not decoded yet."""

    def measured(self, struct: Any) -> Any:
        kind = get_type_hints(get_origin(struct) or struct)["metadata"]

        class Unread(struct):  # type: ignore[misc]
            metadata: Raw = None  # type: ignore[assignment]  # msgspec makes no union of Raw and None
            decoder: ClassVar = msgspec.json.Decoder(kind)

        return Unread


class CountedKinds(LargeKinds):
    """The same types, and items are counted as they are made. That is slow, so it is done only if there may be too
    many.
    """

    def __init__(self, count: Callable[[], None]):
        self._count = count

    def counted(self, struct: Any) -> Any:
        count = self._count

        class Counted(struct):  # type: ignore[misc]
            def __post_init__(self) -> None:
                count()

        return Counted


def likely_items(body: bytes) -> int:
    """Return the largest number of items or operations that a body may have, without reading it."""
    if body.lstrip().startswith(b'"'):  # JSON in a string, in which braces may be escaped
        return len(body) // SHORTEST_ITEM
    return body.count(b"{")


def likely_keys(body: bytes) -> int:
    """Return the largest number of keys that the body of a bulk get may have: all its strings but "keys"."""
    return body.count(b'"') // 2 - 1


def may_have_over(body: bytes, maximum: int) -> bool:
    """Return whether a body may have more items than that. Each has a brace, and at least `SHORTEST_ITEM` bytes."""
    found = at = 0
    while found <= maximum:
        at = body.find(b"{", at)
        if at < 0 or found + (len(body) - at) // SHORTEST_ITEM < maximum:
            return False
        found += body.count(b"{", at, at + BLOCK)
        at += BLOCK
    return True


def _read_all_metadata(sent: Any) -> None:
    place, items = "", sent
    if not isinstance(sent, list):
        _read_metadata(sent, "")
        place, items = ".operations", sent.operations or ()
    for index, item in enumerate(items):
        written = getattr(item, "request", item)
        if written.metadata is not None:
            _read_metadata(written, f"{place}[{index}]" if written is item else f"{place}[{index}].request")


def _read_metadata(holder: Any, place: str) -> None:
    """Decode the metadata in place. Raises the error that a decoder of the whole body would raise."""
    raw = holder.metadata
    if not isinstance(raw, Raw):
        return
    text = bytes(raw)
    if len(text) > MAX_METADATA:
        raise MalformedRequestError(f"metadata of over {MAX_METADATA} bytes", "store what is large in a value")
    try:
        holder.metadata = holder.decoder.decode(text)
    except msgspec.ValidationError as error:
        what, _, inner = str(error).partition(" - at `$")
        raise msgspec.ValidationError(f"{what} - at `${place}.metadata{inner or '`'}") from None
