"""Text that must not be shown: values from a secret, and values of fields that may hold a password."""

from __future__ import annotations

import re
from typing import Final, NoReturn

HIDDEN: Final = "***"
_NAME: Final = re.compile(r"(?a:[\w.-]{1,128})")


class Secret:
    """A text that formats as `***` everywhere: in f-strings, `repr`, logs, exceptions, tracebacks and dataclasses.

    Only `reveal` returns it; call that where the text is parsed or handed to a client library. `is_from_elsewhere` says
    that it came from a secret or the environment: then no part of it is shown, not even a host.
    """

    __slots__ = ("_text", "is_from_elsewhere")

    def __init__(self, text: str, *, is_from_elsewhere: bool = False) -> None:
        self._text = text
        self.is_from_elsewhere = is_from_elsewhere

    def reveal(self) -> str:
        return self._text

    def __repr__(self) -> str:
        return HIDDEN

    def __str__(self) -> str:
        return HIDDEN

    def __format__(self, _: str) -> str:
        return HIDDEN

    def __bool__(self) -> bool:
        return bool(self._text)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and self._text == other._text

    def __hash__(self) -> int:
        return hash((Secret, self._text))

    def __reduce__(self) -> NoReturn:
        raise TypeError("a secret is not pickled or copied")


def reveal(value: object) -> str:
    """Return the text of a setting, secret or not; empty for None. For parsers and libraries, never for messages."""
    if isinstance(value, Secret):
        return value.reveal()
    return "" if value is None else str(value)


def is_hidden(value: object) -> bool:
    """Return whether no part of a setting may be shown, because it came from a secret or the environment."""
    return isinstance(value, Secret) and value.is_from_elsewhere


def shown(value: object, name: str) -> str:
    """Return a setting as a message may show it: its text if that is a plain name and not secret, else its field's
    name.
    """
    may_be_shown = not isinstance(value, Secret) and _NAME.fullmatch(str(value)) is not None
    return str(value) if may_be_shown else f"(the value of {name})"
