"""Bounds the driver's decoding of answers. No statement of this store has a larger answer.

The driver creates as many rows, columns and elements as an answer announces. It does so in compiled code, during which
no other thread of the process runs.
"""

from __future__ import annotations

from functools import cache
from io import SEEK_CUR, SEEK_END
from struct import Struct
from typing import TYPE_CHECKING, Any, Final

from cassandra.protocol import ProtocolHandler, ResultMessage

from .frames import ProtocolViolationError

if TYPE_CHECKING:
    from io import BytesIO

MAX_ROWS: Final = 10_000
"""A list of keys has fewer. Other answers have a row for each node of the cluster, or for each column of a table."""
MAX_COLUMNS: Final = 100
"""The widest table that is read, `system.local`, has 20 to 35."""
MAX_ELEMENTS: Final = 4096
"""Maximum number of elements in one collection. The largest has the tokens of a node, at most 1536."""
MAX_ELEMENTS_IN_ALL: Final = 300_000
"""Maximum number of elements in all collections of an answer: more than the tokens of a thousand nodes."""

_KEYSPACE_SET: Final = 3
"""The kind of the answer to USE, a statement that this store never sends."""
_INT: Final = Struct("!i")
_CELL: Final = _INT.size
"""Minimum length of a value in an answer."""
_SCALARS: Final = {
    code.to_bytes(2): ResultMessage.type_codes[code]
    for code in (0x1, 0x2, 0x3, 0x4, 0x5, 0x7, 0x8, 0x9, 0xA, 0xB, 0xC, 0xD, 0xF, 0x10, 0x11, 0x12, 0x13, 0x14)
}
"""Types by their codes in an answer. Decimal, varint, duration and user-defined types are in no table that is read."""
_COLLECTIONS: Final = {
    code.to_bytes(2): (ResultMessage.type_codes[code], parameters)
    for code, parameters in ((0x20, 1), (0x21, 2), (0x22, 1))
}
"""Types of collections by their codes, each with the number of its element types."""


class _Bounds(ResultMessage):  # type: ignore[misc]  # it has no types
    """Checks an answer before the driver decodes it. The underscore keeps it out of the driver's registry."""

    _has_metadata = False

    def recv(self, f: BytesIO, *arguments: Any) -> None:
        if self.kind == _KEYSPACE_SET:
            raise ProtocolViolationError("another keyspace")
        super().recv(f, *arguments)

    def recv_results_rows(self, f: BytesIO, version: int, user_types: Any, prepared: Any, *arguments: Any) -> None:
        self.recv_results_metadata(f, user_types)
        columns = self.column_metadata or prepared
        if columns is None:
            raise ProtocolViolationError("rows of unknown columns")
        _check_rows(f, columns)
        super().recv_results_rows(f, version, user_types, prepared, *arguments)

    def recv_results_metadata(self, f: BytesIO, user_types: Any) -> None:
        if self._has_metadata:  # it was read to check the rows
            return
        _check_columns(f)
        super().recv_results_metadata(f, user_types)
        self._has_metadata = True

    def recv_prepared_metadata(self, f: BytesIO, version: int, user_types: Any) -> None:
        _check_columns(f, keys=version >= 4)
        super().recv_prepared_metadata(f, version, user_types)
        if any(column[3].subtypes for column in (*self.bind_metadata, *(self.column_metadata or ()))):
            raise ProtocolViolationError("a prepared statement with collections")

    @classmethod
    def read_type(cls, f: BytesIO, _: Any) -> Any:
        code = f.read(2)
        return _SCALARS.get(code) or _collection(code, f)


def bounded(handler: Any) -> Any:
    """Return the driver's message handler with bounds for answers to statements.

    Other messages need none: the driver stops at their end, whatever number they announce.
    """

    # The compiled driver has another class for answers than the pure Python one, with the same methods.
    class _BoundedResult(_Bounds, handler.message_types_by_opcode[ResultMessage.opcode]):  # type: ignore[misc]
        pass

    class BoundedHandler(handler):  # type: ignore[misc]
        message_types_by_opcode = {**handler.message_types_by_opcode, ResultMessage.opcode: _BoundedResult}

        @classmethod
        def decode_message(cls, *arguments: Any) -> Any:
            """Return the message. Raises ProtocolViolationError if it cannot be decoded."""
            try:
                return super().decode_message(*arguments)
            except ProtocolViolationError:
                raise
            except Exception as error:  # of any kind
                raise ProtocolViolationError(f"what cannot be decoded ({type(error).__name__})") from None

    return BoundedHandler


decode: Final = bounded(ProtocolHandler).decode_message


def _check_columns(f: BytesIO, *, keys: bool = False) -> None:
    """Check the number of columns, which follows the flags; with `keys`, also how many belong to the partition key."""
    start = f.seek(0, SEEK_CUR)
    head = f.read(12 if keys else 8)
    f.seek(start)
    if any(not 0 <= _INT.unpack_from(head, at)[0] <= MAX_COLUMNS for at in range(4, len(head), 4)):
        raise ProtocolViolationError("too many columns")


def _check_rows(f: BytesIO, columns: Any) -> None:
    """Check the number of rows, which comes next, and their collections. The position of `f` stays the same."""
    start = f.seek(0, SEEK_CUR)
    (rows,) = _INT.unpack(f.read(4))
    left = f.seek(0, SEEK_END) - start - 4
    f.seek(start)
    if not 0 <= rows <= MAX_ROWS or rows * len(columns) * _CELL > left:
        raise ProtocolViolationError(f"{rows} rows")
    collections = [bool(column[3].subtypes) for column in columns]
    if any(collections):
        _check_elements(f.getvalue(), start + 4, collections * rows)


def _check_elements(data: bytes, at: int, cells: list[bool]) -> None:
    """Check the number of elements in the collections among the cells that begin at `at`."""
    elements = 0
    for is_collection in cells:
        (size,) = _INT.unpack_from(data, at)
        at += _CELL
        if size <= 0:
            continue
        if is_collection:
            (found,) = _INT.unpack_from(data, at)
            elements += found
            if not 0 <= found <= MAX_ELEMENTS or elements > MAX_ELEMENTS_IN_ALL:
                raise ProtocolViolationError(f"a collection of {found} elements")
        at += size


def _collection(code: bytes, f: BytesIO) -> Any:
    if code not in _COLLECTIONS:
        raise ProtocolViolationError("an unexpected type")
    _, parameters = _COLLECTIONS[code]
    return _parametrised(code, *(f.read(2) for _ in range(parameters)))


@cache
def _parametrised(code: bytes, *elements: bytes) -> Any:
    """Return the type. The driver would create a new class for each answer, and keep it for ever."""
    kind, _ = _COLLECTIONS[code]
    if any(element not in _SCALARS for element in elements):
        raise ProtocolViolationError("collections of collections")
    return kind.apply_parameters(tuple(_SCALARS[element] for element in elements))
