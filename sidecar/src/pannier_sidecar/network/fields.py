"""Fields of components that hold addresses, read as the checks read them."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

from pannier_crds.problems import InvalidValueError
from pannier_crds.secret import is_hidden, reveal
from pannier_sidecar.state.errors import StoreRefusedError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

Address = TypeVar("Address")


def read_field(name: str, value: object, reader: Callable[[str], Address]) -> Address:
    """Return the field as `reader` parses it. Raises StoreRefusedError, which names the field and never quotes its
    text.
    """
    try:
        return reader(reveal(value).strip())
    except InvalidValueError as wrong:
        raise StoreRefusedError(f"{name} is no address: {wrong.message}; {wrong.advice}") from None


def shown_addresses(name: str, value: object, addresses: Iterable[object]) -> str:
    """Return addresses for messages, or only the field's name if they came from a secret or the environment."""
    return f"the address in {name}" if is_hidden(value) else ", ".join(map(str, addresses))
