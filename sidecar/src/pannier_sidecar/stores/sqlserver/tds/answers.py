"""The tokens of an answer: rows, errors, and what has changed for the connection ([MS-TDS] 2.2.7)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from .columns import Column, Reader, Value, read_columns, read_value
from .errors import BrokenProtocolError, ServerError

if TYPE_CHECKING:
    from collections.abc import Callable

Row = tuple[Value, ...]

_CANCELLED: Final = 0x20
_MORE: Final = 0x01
_BAD: Final = 0x02 | 0x100
_BEGUN: Final = 8
_ENDED: Final = (9, 10, 17)
_PACKET_SIZE: Final = 4
_COLLATION: Final = 7
_ROUTE: Final = 20
_MAX_ROWS: Final = 20_000
"""Rows that an answer may have; no statement of the store asks for so many."""


class Route(NamedTuple):
    """Another server, to which the client has to go."""

    host: str
    port: int


class Answer:
    """What an answer says."""

    def __init__(self) -> None:
        self.rows: list[Row] = []
        """Of the last result."""
        self.has_result = False
        """Whether there is one: rows, or the types of columns of which there are none."""
        self.error: ServerError | None = None
        """The first error: those after it follow from it."""
        self.is_signed_in = False
        self.is_cancelled = False
        """Whether the server has ended a request because it was asked to."""
        self.is_whole = False
        """Whether the answer says that it ends here."""
        self.transaction: int | None = None
        """The connection's transaction from now on; 0: none; None: as before."""
        self.packet_size: int | None = None
        """Bytes that packets may have from now on; None: as before."""
        self.collation: bytes | None = None
        """The collation of the database, in 5 bytes; None: as before."""
        self.route: Route | None = None
        self._columns: list[Column] = []


def read(content: bytes) -> Answer:
    """Return what the content of a message says. Raises BrokenProtocolError."""
    answer = Answer()
    reader = Reader(content)
    while not reader.is_at_end:
        token = reader.number(1)
        if token in _DONE:
            _read_done(reader, answer)
            continue
        handler = _HANDLERS.get(token)
        if handler is None:
            raise BrokenProtocolError
        handler(reader, answer)
    if not answer.is_whole:
        raise BrokenProtocolError
    return answer


def _read_done(reader: Reader, answer: Answer) -> None:
    status = reader.number(2)
    reader.take(2 + 8)  # which kind of statement it was, and a number of rows
    answer.is_cancelled |= bool(status & _CANCELLED)
    answer.is_whole = not status & _MORE
    if status & _BAD and answer.error is None and not status & _CANCELLED:
        answer.error = ServerError(0, 16, 0)


def _read_error(reader: Reader, answer: Answer) -> None:
    within = Reader(reader.take(reader.number(2)))
    number, state, severity = within.number(4, signed=True), within.number(1), within.number(1)
    if answer.error is None or answer.error.number in _FOLLOWED:
        answer.error = ServerError(number, severity, state)


_FOLLOWED: Final = frozenset({0, 3621})
"""The statement has been terminated: another error says why."""


def _read_change(reader: Reader, answer: Answer) -> None:
    within = Reader(reader.take(reader.number(2)))
    kind = within.number(1)
    if kind == _BEGUN:
        answer.transaction = int.from_bytes(within.take(within.number(1)), "little")
    elif kind in _ENDED:
        answer.transaction = 0
    elif kind == _PACKET_SIZE:
        size = within.text(within.number(1))
        if not size.isascii() or not size.isdecimal():
            raise BrokenProtocolError
        answer.packet_size = int(size)
    elif kind == _COLLATION:
        collation = within.take(within.number(1))
        answer.collation = collation if len(collation) == 5 else None
    elif kind == _ROUTE:
        within.take(2 + 1)  # the length, and that it is reached by TCP
        port = within.number(2)
        answer.route = Route(within.text(within.number(2)), port)


def _read_signed_in(reader: Reader, answer: Answer) -> None:
    reader.take(reader.number(2))
    answer.is_signed_in = True


def _read_columns(reader: Reader, answer: Answer) -> None:
    answer._columns = read_columns(reader)  # noqa: SLF001  # this module's own
    answer.rows = []
    answer.has_result = True


def _read_row(reader: Reader, answer: Answer) -> None:
    columns = answer._columns  # noqa: SLF001
    _add(answer, tuple(read_value(reader, column) for column in columns))


def _read_row_without_nulls(reader: Reader, answer: Answer) -> None:
    columns = answer._columns  # noqa: SLF001
    nulls = int.from_bytes(reader.take((len(columns) + 7) // 8), "little")
    _add(
        answer,
        tuple(None if nulls >> position & 1 else read_value(reader, column) for position, column in enumerate(columns)),
    )


def _add(answer: Answer, row: Row) -> None:
    if not row or len(answer.rows) >= _MAX_ROWS:
        raise BrokenProtocolError
    answer.rows.append(row)


def _skip_short(reader: Reader, _: Answer) -> None:
    reader.take(reader.number(2))


def _skip_long(reader: Reader, _: Answer) -> None:
    reader.take(reader.number(4))


def _skip_status(reader: Reader, _: Answer) -> None:
    reader.take(4)


def _skip_extensions(reader: Reader, _: Answer) -> None:
    while reader.number(1) != 0xFF:
        reader.take(reader.number(4))


_DONE: Final = (0xFD, 0xFE, 0xFF)
_HANDLERS: Final[dict[int, Callable[[Reader, Answer], None]]] = {
    0x79: _skip_status,
    0x81: _read_columns,
    0xA4: _skip_short,  # names of tables
    0xA5: _skip_short,  # what columns are
    0xA9: _skip_short,  # the order of rows
    0xAA: _read_error,
    0xAB: _skip_short,  # a message that is no error
    0xAD: _read_signed_in,
    0xAE: _skip_extensions,
    0xD1: _read_row,
    0xD2: _read_row_without_nulls,
    0xE3: _read_change,
    0xE4: _skip_long,  # the state of the session
    0xEE: _skip_long,  # where tokens are to be had
}
