"""Renames the fields of a body that has them in another case, and drops unknown ones, as Go and so Dapr do.

msgspec, which decodes bodies, knows exact names only. A body comes here after it has been refused for an unknown field,
and only then is this imported. However many fields and items a body has, few objects are made of it: fields of one name
become one, and items are counted before they are taken apart.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Final

import msgspec
from msgspec import Raw, Struct

from ..state.errors import TooManyFieldsError, TooManyItemsError
from .bounds import LARGE
from .sent import SentBulkGet, SentOperation, SentOptions, SentRetryPolicy, SentTransaction, StrictItem

if TYPE_CHECKING:
    from .go_json import BodyKind

UNKNOWN_PER_ITEM: Final = 4
"""A request may have this many unknown fields for each item that it may have."""
_UNKNOWN: Final = "unknown"
_LIST: Final = re.compile(rb"[ \t\r\n]*\[")


class Renamer:
    """Renames the fields of bodies."""

    def __init__(self, max_items: int):
        """`max_items` is the largest number of items, keys or operations of a request."""
        self._max_items = max_items
        self._max_unknown = UNKNOWN_PER_ITEM * max_items
        self._items = 0
        self._unknown = 0
        self._counting = msgspec.json.Decoder(list[self._counted()])  # type: ignore[misc]
        item = self._names(StrictItem, options=self._names(SentOptions, retryPolicy=self._names(SentRetryPolicy)))
        operation = self._names(SentOperation, request=item)
        self._kinds: Mapping[BodyKind, _Names] = {
            "items": item,
            "bulk get": self._names(SentBulkGet),
            "transaction": self._names(SentTransaction, operations=operation),
            "actor transaction": operation,
        }

    def rename(self, body: bytes, kind: BodyKind) -> bytes:
        """Return an object, or a list of objects, with its fields under their proper names; any other value unchanged.

        Raises TooManyItemsError, TooManyFieldsError and msgspec.DecodeError.
        """
        self._unknown = 0
        return self._rename(body, self._kinds[kind], may_be_list=True)

    def _rename(self, body: bytes, names: _Names, *, may_be_list: bool) -> bytes:
        try:
            if may_be_list and len(body) > LARGE and _LIST.match(body):
                self._count_items(body)
            node = names.decoder.decode(body)
        except msgspec.ValidationError:
            if self._unknown > self._max_unknown:
                raise TooManyFieldsError(self._max_unknown) from None
            return body
        if isinstance(node, list):
            return self._rename_each(node, names) if may_be_list else body
        fields: dict[str, Raw] = {}
        for field, value in node.items():
            inner = names.inner.get(field.value)
            if field.value != _UNKNOWN:
                renamed = value if inner is None else Raw(self._rename(bytes(value), inner, may_be_list=True))
                fields[field.value] = renamed
        return msgspec.json.encode(fields)

    def _rename_each(self, items: list[Raw], names: _Names) -> bytes:
        if len(items) > self._max_items:
            raise TooManyItemsError(self._max_items)
        return b"[" + b",".join(self._rename(bytes(item), names, may_be_list=False) for item in items) + b"]"

    def _count_items(self, body: bytes) -> None:
        """Raise TooManyItemsError, or msgspec.ValidationError if an entry of the list is no object."""
        self._items = 0
        self._counting.decode(body)

    def _counted(self) -> type[Struct]:
        renamer = self

        class Counted(Struct):
            def __post_init__(self) -> None:
                renamer._items += 1
                if renamer._items > renamer._max_items:
                    raise TooManyItemsError(renamer._max_items)

        return Counted

    def _names(self, struct: type[Struct], **inner: _Names) -> _Names:
        proper = {name.lower(): name for name in struct.__struct_fields__}
        renamer = self

        class Field(StrEnum):
            @classmethod
            def _missing_(cls, value: object) -> Any:
                name = proper.get(str(value).lower())
                if name is None:
                    renamer._unknown += 1
                    if renamer._unknown > renamer._max_unknown:
                        raise ValueError(value)
                return cls[name or _UNKNOWN]

        known: Any = Field("Known", {name: name for name in (*proper.values(), _UNKNOWN)})  # type: ignore[call-arg]
        return _Names(msgspec.json.Decoder(dict[known, Raw] | list[Raw]), inner)


class _Names(Struct, frozen=True):
    """The fields of an object."""

    decoder: msgspec.json.Decoder[Any]
    """Decodes an object to its values by fields, and a list of objects to its entries."""
    inner: Mapping[str, _Names]
    """The fields inside a field, by its name."""
