"""What increment, append, get-and-set and touch make of a stored value. No I/O."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, Final, Protocol

import msgspec
from msgspec import Raw, Struct

from .errors.of_changes import ExpiryNotGivenError, ListTooLargeError, OutOfRangeError, WrongKindError
from .json_values import is_json

if TYPE_CHECKING:
    from .store import StoredValue

UNGIVEN: Final = -1
"""The TTL of a request that does not say when the value expires."""
MIN_INTEGER: Final = -(2**63)
MAX_INTEGER: Final = 2**63 - 1
MAX_LIST_BYTES: Final = 4 * 1024 * 1024
"""Maximum of bytes in a list: each append reads and writes all of it."""
MAX_COMMAS: Final = 200_000
"""Maximum of commas in a list, and so of its elements: each takes some 100 bytes while the list is decoded."""

_INTEGER: Final = re.compile(rb"-?(0|[1-9][0-9]{0,18})")
_NUMBER: Final = re.compile(rb"-?(0|[1-9][0-9]*)(\.[0-9]+)?([eE][+-]?[0-9]+)?")
_WHITESPACE: Final = b" \t\r\n"
_KINDS: Final = {b"{": "an object", b"[": "a list", b'"': "a text", b"t": "a boolean", b"f": "a boolean", b"n": "null"}
_ELEMENTS: Final = msgspec.json.Decoder(list[Raw])


class Standing(Struct):
    """What stands under a key: as it was read, and then as the changes of one write leave it."""

    value: bytes | None
    """None: there is none."""
    expires_at: int | None = None
    """When the value expires that was read, in Unix seconds; None: never, or a change has said otherwise."""
    keeps_expiry: bool = False
    """Whether the store can leave that as it is."""
    ttl: int | None = None
    """The TTL of the write, in seconds, if a change says so; None: never."""
    is_json: bool = False
    """The value is JSON that came over HTTP."""
    elements: list[Raw] | None = None
    """The elements of the value if a change has decoded it as a list; then `value` may be older than they are."""
    size: int = 0
    """Bytes of the elements, with a comma after each."""

    @classmethod
    def of(cls, found: StoredValue | None, *, keeps_expiry: bool) -> Standing:
        return cls(None) if found is None else cls(found.value, found.expires_at, keeps_expiry)

    def replace(self, value: bytes, ttl: int | None, *, is_json: bool = False) -> None:
        """Put another value there, which expires as `expire` says."""
        self.value, self.elements, self.is_json = value, None, is_json
        self.expire(ttl)

    def expire(self, ttl: int | None) -> None:
        """Have the value expire `ttl` seconds after the write; None: never; UNGIVEN: when it would have anyway."""
        if ttl != UNGIVEN:
            self.ttl, self.expires_at = ttl, None

    def current(self) -> bytes | None:
        """Return the value as the changes so far leave it."""
        if self.elements is not None:
            self.value, self.elements = b"[%b]" % b",".join(self.elements), None
        return self.value


class Change(Protocol):
    """One change of one key."""

    @property
    def key(self) -> str:
        """The key as the app named it, for messages."""

    def apply(self, standing: Standing, ttl: int | None) -> tuple[object, bool]:
        """Change what stands there; return the result of the call, and whether there is something to write.

        `ttl` may be UNGIVEN. Raises a ChangeRefusedError; then nothing has changed.
        """


class Increment(Struct, frozen=True):
    """Adds to a whole number; the result is the new number."""

    key: str
    by: int = 1
    initial: int = 0
    """What an absent key counts as."""
    floor: int = MIN_INTEGER
    ceiling: int = MAX_INTEGER

    def apply(self, standing: Standing, ttl: int | None) -> tuple[object, bool]:
        value = standing.current()
        before = self.initial if value is None else self._number(value)
        after = before + self.by
        if after < self.floor and self.by < 0:
            raise OutOfRangeError(self.key, f"below the floor {self.floor}")
        if after > self.ceiling and self.by > 0:
            raise OutOfRangeError(self.key, f"above the ceiling {self.ceiling}")
        _require_expiry(self.key, standing, ttl)
        standing.replace(b"%d" % after, ttl)
        return after, True

    def _number(self, value: bytes) -> int:
        text = value.strip(_WHITESPACE)
        number = int(text) if _INTEGER.fullmatch(text) else MAX_INTEGER + 1
        if not MIN_INTEGER <= number <= MAX_INTEGER:
            raise WrongKindError(self.key, kind_of(value), "a whole number of 64 bits")
        return number


class Append(Struct, frozen=True):
    """Adds elements at the end of a list, and drops the first ones beyond a length; the result is the new length."""

    key: str
    elements: Sequence[bytes]
    """Each is JSON."""
    max_length: int | None = None

    def apply(self, standing: Standing, ttl: int | None) -> tuple[object, bool]:
        elements, size = standing.elements, standing.size
        if elements is None:
            elements = [] if standing.value is None else self._elements_of(standing.value)
            size = _size(elements)
        maximum = len(elements) + len(self.elements) if self.max_length is None else self.max_length
        added = [Raw(element) for element in self.elements[-maximum:]]
        dropped = max(0, len(elements) + len(added) - maximum)
        size += _size(added) - _size(elements[:dropped])
        if size + len("[]") > MAX_LIST_BYTES:
            raise ListTooLargeError(self.key, f"would have over {MAX_LIST_BYTES} bytes")
        _require_expiry(self.key, standing, ttl)
        standing.expire(ttl)
        del elements[:dropped]
        elements += added
        standing.value, standing.elements, standing.size = b"", elements, size
        return len(elements), True

    def _elements_of(self, value: bytes) -> list[Raw]:
        if len(value) > MAX_LIST_BYTES:
            raise ListTooLargeError(self.key, f"has over {MAX_LIST_BYTES} bytes")
        try:
            return elements_of(value)
        except TooManyCommasError:
            raise ListTooLargeError(self.key, f"has over {MAX_COMMAS} commas") from None
        except ValueError:
            raise WrongKindError(self.key, kind_of(value), "a list") from None


class GetAndSet(Struct, frozen=True):
    """Replaces the value; the result is the one before, None if there was none."""

    key: str
    value: bytes
    is_json: bool = False

    def apply(self, standing: Standing, ttl: int | None) -> tuple[object, bool]:
        before = standing.current()
        standing.replace(self.value, None if ttl == UNGIVEN else ttl, is_json=self.is_json)
        return before, True


class Touch(Struct, frozen=True):
    """Replaces the TTL alone; the result is whether there is a value."""

    key: str

    def apply(self, standing: Standing, ttl: int | None) -> tuple[object, bool]:
        if standing.value is None:
            return False, False
        standing.expire(ttl)
        return True, True


class TooManyCommasError(ValueError):
    """A list may have more elements than are decoded."""


def elements_of(text: bytes) -> list[Raw]:
    """Return the elements of a JSON array. Raises ValueError if it is none, and TooManyCommasError."""
    if not text.lstrip(_WHITESPACE).startswith(b"["):
        raise ValueError("it is no JSON array")
    if text.count(b",") > MAX_COMMAS:
        raise TooManyCommasError
    try:
        text.decode()  # msgspec does not check the UTF-8 inside Raw values
        return _ELEMENTS.decode(text)
    except (msgspec.DecodeError, RecursionError) as error:
        raise ValueError("it is no JSON array") from error


def kind_of(value: bytes) -> str:
    """Return what kind of value it is, in words that say nothing of its content."""
    text = value.strip(_WHITESPACE)
    if _NUMBER.fullmatch(text):
        if set(text) & set(b".eE"):
            return "a number with a fraction or an exponent"
        is_small = len(text) <= len(str(MIN_INTEGER)) and MIN_INTEGER <= int(text) <= MAX_INTEGER
        return "a whole number" if is_small else "a whole number beyond 64 bits"
    return _KINDS[text[:1]] if is_json(value) else "not JSON"


def _size(elements: list[Raw]) -> int:
    return sum(map(len, elements)) + len(elements)


def _require_expiry(key: str, standing: Standing, ttl: int | None) -> None:
    """Raise ExpiryNotGivenError if the value expires, the store cannot keep that, and the request gives no TTL."""
    if ttl == UNGIVEN and standing.expires_at is not None and not standing.keeps_expiry:
        raise ExpiryNotGivenError(key)
