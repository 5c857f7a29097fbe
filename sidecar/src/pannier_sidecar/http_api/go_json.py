"""The error of Go's encoding/json for a body that Dapr could not read: clients of profile `dapr` get the same text.

A body is examined here only after it was refused, and only if it is short.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final, Literal, NamedTuple

import msgspec

if TYPE_CHECKING:
    from collections.abc import Mapping

BodyKind = Literal["items", "bulk get", "transaction", "actor transaction"]

MAX_LENGTH: Final = 4096
"""Bytes of the longest body that is examined: Python is slow, and the exact words matter less for a long body."""


class GoType(NamedTuple):
    """A type of Go that a JSON value is read into."""

    name: str
    kind: str
    """The kind of JSON value that it takes: string, number, array or object; empty for any."""
    inner: GoType | None = None
    """The type of a slice's elements or a map's values."""
    fields: Mapping[str, GoType] = {}  # never written to
    """A struct's fields by their names in lower case."""


_STRING: Final = GoType("string", "string")
_ANY: Final = GoType("interface {}", "")
_TEXTS: Final = GoType("map[string]string", "object", _STRING)
_OPTIONS: Final = GoType("state.SetStateOption", "object", None, {"concurrency": _STRING, "consistency": _STRING})
_ITEM: Final = GoType(
    "state.SetRequest",
    "object",
    None,
    {"key": _STRING, "etag": _STRING, "metadata": _TEXTS, "options": _OPTIONS, "contenttype": _STRING},
)
_OPERATION: Final = GoType("http.stateTransactionRequestBodyOperation", "object", None, {"operation": _STRING})
_OPERATIONS: Final = GoType(f"[]{_OPERATION.name}", "array", _OPERATION)
_ACTOR_OPERATION: Final = GoType("api.TransactionalOperation", "object", None, {"operation": _STRING})
_ITEMS: Final = GoType("[]state.SetRequest", "array", _ITEM)
_BULK_GET: Final = GoType(
    "http.BulkGetRequest",
    "object",
    None,
    {"keys": GoType("[]string", "array", _STRING), "parallelism": GoType("int", "number"), "metadata": _TEXTS},
)
_TRANSACTION: Final = GoType(
    "http.stateTransactionRequestBody", "object", None, {"operations": _OPERATIONS, "metadata": _TEXTS}
)
_ACTOR_TRANSACTION: Final = GoType("[]api.TransactionalOperation", "array", _ACTOR_OPERATION)
BODIES: Final[Mapping[BodyKind, GoType]] = {
    "items": _ITEMS,
    "bulk get": _BULK_GET,
    "transaction": _TRANSACTION,
    "actor transaction": _ACTOR_TRANSACTION,
}
"""What Dapr reads each body into."""


def error_of(body: bytes, kind: BodyKind) -> str | None:
    """Return Go's error for a body; None if Go accepts the body, or it is long."""
    if len(body) > MAX_LENGTH:
        return None
    error = _Scanner(body.decode("latin-1")).error()
    if error is not None:
        return error
    try:
        value = msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        return None
    return _mismatch(value, BODIES[kind])


_WORDS: Final[Mapping[type, str]] = {str: "string", int: "number", float: "number", list: "array", dict: "object"}


def _mismatch(value: Any, wanted: GoType, owner: str = "", path: str = "") -> str | None:
    """Return Go's error for the first value of a wrong type; `path` leads to it from the struct `owner`."""
    if value is None or not wanted.kind:
        return None
    kind = "bool" if isinstance(value, bool) else _WORDS[type(value)]
    if kind != wanted.kind:
        into = f"Go struct field {owner}.{path}" if path else "Go value"
        return f"json: cannot unmarshal {kind} into {into} of type {wanted.name}"
    if isinstance(value, list) and wanted.inner is not None:
        return next(filter(None, (_mismatch(each, wanted.inner, owner, path) for each in value)), None)
    if isinstance(value, dict):
        for name, inner in value.items():
            if wanted.inner is not None:
                error = _mismatch(inner, wanted.inner, owner, path)
            else:
                field = wanted.fields.get(name.lower(), _ANY)
                struct = wanted.name.rpartition(".")[2]
                shown = "contentType" if name.lower() == "contenttype" else name.lower()
                error = _mismatch(inner, field, struct, f"{path}.{shown}" if path else shown)
            if error is not None:
                return error
    return None


class _UnexpectedError(Exception):
    """The character at `at` is not allowed there."""

    def __init__(self, at: int, context: str):
        self.at = at
        self.context = context


_BLANK: Final = re.compile(r"[ \t\r\n]*")
_PLAIN: Final = re.compile(r'[^"\\\x00-\x1f]*')
_DIGITS: Final = re.compile(r"[0-9]*")
_LITERALS: Final = {"t": "true", "f": "false", "n": "null"}


class _Scanner:
    """Finds where the first JSON value of a text is malformed; what follows that value is not read, as in Dapr."""

    def __init__(self, text: str):
        self._text = text
        self._at = 0

    def error(self) -> str | None:
        """Return Go's error for the place where the value is malformed; None if it is well-formed."""
        try:
            self._value()
        except RecursionError:
            return None  # objects are nested too deeply to be examined
        except IndexError:
            return "unexpected EOF" if self._text.strip(" \t\r\n") else "EOF"
        except _UnexpectedError as found:
            return f"invalid character {_quoted(self._text[found.at])} {found.context}"
        return None

    def _value(self) -> None:
        open_brackets: list[str] = []
        self._begin(open_brackets, may_end=False)
        while open_brackets:
            character = self._next()
            is_array = open_brackets[-1] == "["
            if character == ("]" if is_array else "}"):
                open_brackets.pop()
            elif character != ",":
                raise _UnexpectedError(
                    self._at - 1, f"after {'array element' if is_array else 'object key:value pair'}"
                )
            elif is_array:
                self._begin(open_brackets, may_end=False)
            else:
                self._member(open_brackets, may_end=False)

    def _begin(self, open_brackets: list[str], *, may_end: bool) -> None:
        """Read a whole scalar, or the beginning of an array or object up to its first scalar or its end."""
        while True:
            character = self._next()
            if character == "]" and may_end:
                open_brackets.pop()
            elif character == "{":
                open_brackets.append(character)
                self._member(open_brackets, may_end=True)
            elif character == "[":
                open_brackets.append(character)
                may_end = True
                continue
            elif character == '"':
                self._string()
            elif character == "-" or character.isdecimal():
                self._number(character)
            elif character in _LITERALS:
                self._literal(_LITERALS[character])
            else:
                raise _UnexpectedError(self._at - 1, "looking for beginning of value")
            return

    def _member(self, open_brackets: list[str], *, may_end: bool) -> None:
        character = self._next()
        if character == "}" and may_end:
            open_brackets.pop()
            return
        if character != '"':
            raise _UnexpectedError(self._at - 1, "looking for beginning of object key string")
        self._string()
        if self._next() != ":":
            raise _UnexpectedError(self._at - 1, "after object key")
        self._begin(open_brackets, may_end=False)

    def _next(self) -> str:
        """Return the next character that is not white space. Raises IndexError at the end of the text."""
        blank = _BLANK.match(self._text, self._at)
        self._at = blank.end() if blank else self._at
        return self._take()

    def _take(self) -> str:
        character = self._text[self._at]
        self._at += 1
        return character

    def _string(self) -> None:
        while True:
            self._skip(_PLAIN)
            character = self._take()
            if character == '"':
                return
            if character != "\\":
                raise _UnexpectedError(self._at - 1, "in string literal")
            escape = self._take()
            if escape == "u":
                for _ in range(4):
                    if self._take() not in "0123456789abcdefABCDEF":
                        raise _UnexpectedError(self._at - 1, r"in \u hexadecimal character escape")
            elif escape not in 'bfnrt\\/"':
                raise _UnexpectedError(self._at - 1, "in string escape code")

    def _number(self, first: str) -> None:
        if first == "-":
            first = self._digit("in numeric literal")
        if first != "0":
            self._skip(_DIGITS)
        if self._skipped("."):
            self._digit("after decimal point in numeric literal")
            self._skip(_DIGITS)
        if self._skipped("e", "E"):
            self._skipped("+", "-")
            self._digit("in exponent of numeric literal")
            self._skip(_DIGITS)

    def _skipped(self, *characters: str) -> bool:
        found = self._text.startswith(characters, self._at)
        self._at += found
        return found

    def _digit(self, context: str) -> str:
        character = self._take()
        if character not in "0123456789":
            raise _UnexpectedError(self._at - 1, context)
        return character

    def _literal(self, word: str) -> None:
        for expected in word[1:]:
            if self._take() != expected:
                raise _UnexpectedError(self._at - 1, f"in literal {word} (expecting '{expected}')")

    def _skip(self, pattern: re.Pattern[str]) -> None:
        found = pattern.match(self._text, self._at)
        self._at = found.end() if found else self._at


_ESCAPES: Final = {
    "'": r"\'",
    "\\": r"\\",
    "\a": r"\a",
    "\b": r"\b",
    "\f": r"\f",
    "\n": r"\n",
    "\r": r"\r",
    "\t": r"\t",
    "\v": r"\v",
}


def _quoted(character: str) -> str:
    """Return a character in quotes as Go writes it."""
    if character in _ESCAPES:
        return f"'{_ESCAPES[character]}'"
    if character.isprintable():
        return f"'{character}'"
    code = ord(character)
    return rf"'\x{code:02x}'" if code < 0x80 else rf"'\u{code:04x}'"
