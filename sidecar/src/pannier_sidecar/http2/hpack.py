"""Decodes HPACK header blocks (RFC 7541).

The library `hpack` decodes Huffman codes four bits at a time, and needs twice as long for a block. Blocks are short
here, and `headers.py` remembers them, so a dictionary of 257 codes and a list of those for ASCII are enough.
"""

from __future__ import annotations

from collections import deque
from functools import cache
from typing import Final

ENTRY_OVERHEAD: Final = 32
"""Bytes that are counted for each field in addition to its name and value (RFC 7541, 4.1)."""

TABLE_SIZE: Final = 4096
"""Bytes of the dynamic table, unless SETTINGS_HEADER_TABLE_SIZE says otherwise (RFC 9113, 6.5.2)."""

Field = tuple[bytes, bytes]

_STATIC_NAMES: Final = (
    ":authority|:method GET|:method POST|:path /|:path /index.html|:scheme http|:scheme https|:status 200|:status 204|"
    ":status 206|:status 304|:status 400|:status 404|:status 500|accept-charset|accept-encoding gzip, deflate|"
    "accept-language|accept-ranges|accept|access-control-allow-origin|age|allow|authorization|cache-control|"
    "content-disposition|content-encoding|content-language|content-length|content-location|content-range|content-type|"
    "cookie|date|etag|expect|expires|from|host|if-match|if-modified-since|if-none-match|if-range|if-unmodified-since|"
    "last-modified|link|location|max-forwards|proxy-authenticate|proxy-authorization|range|referer|refresh|retry-after|"
    "server|set-cookie|strict-transport-security|transfer-encoding|user-agent|vary|via|www-authenticate"
)
STATIC: Final[tuple[Field, ...]] = tuple(
    (name, value) for name, _, value in (entry.encode().partition(b" ") for entry in _STATIC_NAMES.split("|"))
)
"""RFC 7541, Appendix A; the first has index 1."""

_CODE_LENGTHS: Final = (
    "=GLLLLLLLHNLLNLLLLLLLLNLLLLLLLLL6::<=68;::8;8666555666666678?6<:=67777777777777777777777878=C=>6?56565666577666567"
    "655677777?;>=LDFDDFFFGFGGGGGHGHHFGHGGGGEFGFGGHFEDFFGGEGFFHEFGGEEFEGFGGDFFFGFFGJJDCFGFIJJJKKJHICEJKKJKHEEJJLKKKDHDEF"
    "EEGFFIIHHJGJKJJKKKKKLKKKKKJN"
)
"""Bits of each symbol's Huffman code (RFC 7541, Appendix B), as a character's distance from `0`; symbol 256 is the
last.

The code is canonical: codes of one length follow each other in the order of their symbols.
"""
EOS: Final = 256


class HpackError(ValueError):
    """A block that breaks a rule of RFC 7541."""


class Decoder:
    """Decodes the blocks of one connection, in order."""

    def __init__(self, max_list_size: int, max_table_size: int = TABLE_SIZE):
        self.changes = 0
        """Incremented by each change of the dynamic table."""
        self._max_table_size = max_table_size
        self._table_limit = max_table_size
        self._max_list_size = max_list_size
        self._table: deque[Field] = deque()
        self._table_size = 0

    def decode(self, block: bytes) -> list[Field]:
        """Return the fields of a block. Raises HpackError."""
        fields: list[Field] = []
        at, end, size = 0, len(block), 0
        try:
            while at < end:
                first = block[at]
                if first & 0x80:  # an indexed field (6.1)
                    index, at = _integer(block, at, 7)
                    field = self._entry(index)
                elif first & 0xE0 == 0x20:  # a new size of the table (6.3)
                    if fields:
                        raise HpackError("the table's size changes after a field")
                    limit, at = _integer(block, at, 5)
                    self._resize(limit)
                    continue
                else:  # a literal field: with indexing (6.2.1), without, or never (6.2.2, 6.2.3)
                    is_indexed = bool(first & 0x40)
                    index, at = _integer(block, at, 6 if is_indexed else 4)
                    name, at = (self._entry(index)[0], at) if index else _string(block, at)
                    value, at = _string(block, at)
                    field = (name, value)
                    if is_indexed:
                        self._add(field)
                size += len(field[0]) + len(field[1]) + ENTRY_OVERHEAD
                if size > self._max_list_size:
                    raise HpackError(f"the header list is over {self._max_list_size} bytes")
                fields.append(field)
        except IndexError:
            raise HpackError("the block ends within a field") from None
        return fields

    def _entry(self, index: int) -> Field:
        if 0 < index <= len(STATIC):
            return STATIC[index - 1]
        if not 0 < index - len(STATIC) <= len(self._table):
            raise HpackError(f"there is no field {index}")
        return self._table[index - len(STATIC) - 1]

    def _add(self, field: Field) -> None:
        self.changes += 1
        self._table.appendleft(field)
        self._table_size += len(field[0]) + len(field[1]) + ENTRY_OVERHEAD
        self._evict()

    def _resize(self, limit: int) -> None:
        if limit > self._max_table_size:
            raise HpackError(f"the table may have {self._max_table_size} bytes at the most")
        self.changes += 1
        self._table_limit = limit
        self._evict()

    def _evict(self) -> None:
        while self._table_size > self._table_limit:
            name, value = self._table.pop()
            self._table_size -= len(name) + len(value) + ENTRY_OVERHEAD


def _integer(block: bytes, at: int, bits: int) -> tuple[int, int]:
    """Return an integer with a prefix of this many bits, and where it ends (5.1)."""
    prefix_max = (1 << bits) - 1
    number = block[at] & prefix_max
    at += 1
    if number < prefix_max:
        return number, at
    for shift in range(0, 28, 7):
        byte = block[at]
        at += 1
        number += (byte & 0x7F) << shift
        if byte < 128:
            return number, at
    raise HpackError("an integer is too large")


def _string(block: bytes, at: int) -> tuple[bytes, int]:
    """Return a string, and where it ends (5.2)."""
    is_huffman = block[at] & 0x80
    size, at = _integer(block, at, 7)
    end = at + size
    if end > len(block):
        raise IndexError
    data = block[at:end]
    return (_huffman(data) if is_huffman else data), end


@cache
def _codes() -> dict[tuple[int, int], int]:
    """Return symbols by length and code."""
    lengths = [ord(letter) - 48 for letter in _CODE_LENGTHS]
    codes, code, length = {}, 0, 0
    for symbol in sorted(range(257), key=lambda symbol: (lengths[symbol], symbol)):
        code <<= lengths[symbol] - length
        length = lengths[symbol]
        codes[length, code] = symbol
        code += 1
    return codes


@cache
def _short_codes() -> list[tuple[int, int] | None]:
    """Return symbol and length for each byte that begins with a code of at most eight bits, as all ASCII text does."""
    found: list[tuple[int, int] | None] = [None] * 256
    for (length, code), symbol in _codes().items():
        if length <= 8:
            first = code << 8 - length
            found[first : first + (1 << 8 - length)] = [(symbol, length)] * (1 << 8 - length)
    return found


def _huffman(data: bytes) -> bytes:
    short = _short_codes()
    out = bytearray()
    bits = length = 0
    """The bits that are read and not decoded yet."""
    for byte in data:
        bits = bits << 8 | byte
        length += 8
        while length >= 8:
            found = short[bits >> length - 8] or _long_code(bits, length)
            if found is None:
                break
            out.append(found[0])
            length -= found[1]
            bits &= (1 << length) - 1
    while length < 8 and (found := short[(bits << 8 - length) | 0xFF >> length]) is not None and found[1] <= length:
        out.append(found[0])
        length -= found[1]
        bits &= (1 << length) - 1
    if length > 7 or bits != (1 << length) - 1:
        raise HpackError("a string is padded with something else than ones")
    return bytes(out)


def _long_code(bits: int, length: int) -> tuple[int, int] | None:
    """Return symbol and length of the code that these bits begin with; None if more bits are needed."""
    codes = _codes()
    for size in range(9, min(length, 30) + 1):
        symbol = codes.get((size, bits >> length - size))
        if symbol is not None:
            if symbol == EOS:
                raise HpackError("a string holds the end-of-string symbol")
            return symbol, size
    return None
