"""The fast path: it answers plain requests that get, save or delete one key, at half the cost.

`begin` recognises the request line, and header fields that an earlier request had, byte for byte. `learn` has decided
once, after httptools had parsed them, that these fields have no effect. The fast path has no rules of its own:
`paths.py` finds paths, `decoding.py` decodes bodies, `state/` decides about keys and writes, and `calls.py` makes
answers. It saves the parser, a task, and the layers that would do nothing.

Every other request goes the general way from its first byte. So does a request that turns out to be invalid before its
call is begun. `front_ends.py` uses none while calls are logged or traced.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Coroutine
from time import perf_counter
from typing import TYPE_CHECKING, Any, Final, Protocol

from msgspec import Struct

from ..state.begun_call import BegunCall
from ..state.errors import StateError
from ..state.requests import DeleteRequest, GetRequest, WriteItem
from ..state.store import raised
from .encoding import value_answer
from .messages import Answer
from .paths import Operation

if TYPE_CHECKING:
    from ..state.directory import Directory
    from .calls import HttpApi
    from .messages import Call

    Count = Callable[[int, float], None]
    """Takes status and seconds."""
    Trace = Callable[[Answer, bytes], Answer]
    """Takes an answer, which may be shared, and the request's `traceparent`."""

_REQUEST_LINE: Final = re.compile(
    rb"(?:((?:GET|DELETE) /v1\.0/state/[\w~-][\w.~-]*/)([\w~@-][\w.~@:|,=!-]*)"
    rb"|((?:POST|PUT) /v1\.0/state/[\w~-][\w.~-]*)) HTTP/1\.1\r\n"
).match
"""Matches only paths that need no percent-decoding and no normalizing, and mean the same in both profiles."""
_WITHOUT_EFFECT: Final = frozenset(
    (
        *(b"host", b"content-length", b"dapr-api-token", b"traceparent"),  # judged by `learn`
        *(b"accept", b"accept-charset", b"accept-encoding", b"accept-language", b"cache-control", b"connection"),
        *(b"content-type", b"dnt", b"keep-alive", b"pragma", b"priority", b"user-agent"),
        *(b"sec-fetch-dest", b"sec-fetch-mode", b"sec-fetch-site"),
    )
)
"""Header fields that do not change the answer to a call of the API."""
_END: Final = b"\r\n\r\n"
_LENGTH: Final = b"ength: "
_LENGTH_WITHOUT_DIGITS: Final = re.compile(rb"(?:\A|\r\n)content-length: (?:\r\n|\Z)", re.IGNORECASE).search
_find_trace: Final = re.compile(rb"(?<![^\n])traceparent: ([0-9a-f-]{55})(?:\r\n|\Z)", re.IGNORECASE).search
"""Finds the field whose value differs in each request of an instrumented client."""
MAX_FIELDS: Final = 1024
"""Header fields of more bytes than this are not remembered."""
REMEMBERED: Final = 256
"""Maximum of different header sections that a listener remembers: together at most 256 KiB."""


class Connection(Protocol):
    """What the fast path needs of a connection: for each call that was begun, one of these methods is called once."""

    def finish(self, answer: Answer) -> None:
        """Write the answer."""

    def resume(self, rest: Awaitable[Answer]) -> None:
        """Await the answer in a task, and write it."""


class Route(Struct):
    """How to answer all requests whose request lines have the same beginning."""

    begin: Callable[..., bool]
    """Begins a call for a store and a key or a body; returns False if the request is not plain."""
    store: str | None
    answer_to: Callable[[Any], Answer]
    """Makes the answer of a call's result."""
    count: Count


class FastCall(BegunCall, gc=False, kw_only=True):
    """A call on the fast path."""

    connection: Connection
    route: Route
    fast_path: FastPath
    trace: bytes
    """The request's `traceparent`; empty if it has none."""

    def succeeded(self, result: Any, seconds: float) -> None:
        try:
            answer = self.route.answer_to(result)
            if self.trace:
                answer = self.fast_path.traced(answer, self.trace)
        except Exception as defect:
            self.connection.resume(raised(defect))  # the connection answers with it, as on the general way
            return
        self.route.count(answer.status, seconds)
        self.connection.finish(answer)

    def goes_on(self, rest: Coroutine[Any, Any, Any]) -> None:
        self.connection.resume(self.fast_path.see_through(self, self.counted(rest)))


class FastPath:
    """The fast path of one listener. Each port has its own, because ports allow different hosts."""

    def __init__(
        self,
        api: HttpApi,
        may_pass: Callable[[Call], bool],
        counter: Callable[[bytes, bytes], Count | None],
        traced: Trace,
        max_body: int,
    ):
        """`may_pass` judges the host and origin that a request names; `counter` returns what counts calls of a method
        and a path with whatever key, None if the keys matter; `traced` returns the answer with the trace context.
        """
        self.traced = traced
        self._api = api
        self._max_body = max_body
        self._service = api.service
        self._may_pass = may_pass
        self._counter = counter
        self._known: dict[bytes, None] = {}
        """Remembered header fields of gets and deletes, with the blank line after them."""
        self._known_of_saves: dict[bytes, None] = {}
        """Remembered header fields of saves, without the blank line and the digits of `content-length`. They are kept
        apart because an incomplete get could look the same.
        """
        self._routes: dict[bytes, Route] = {}
        """Routes by the beginnings of request lines."""
        self._directory: Directory | None = None
        """The directory for which `_routes` were found."""
        self._operations: dict[Operation, tuple[Callable[..., bool], Callable[[Any], Answer]]] = {
            Operation.GET: (self._begin_get, value_answer),
            Operation.SAVE: (self._begin_save, api.saved),
            Operation.DELETE: (self._begin_delete, api.deleted),
        }
        """How to begin each, and what answers it."""

    def begin(self, data: bytes, connection: Connection) -> int | None:
        """Begin the call in `data`, whose answer goes to `connection`. Return the size of its body.

        Return None if the request is not plain; then nothing was begun.
        """
        line = _REQUEST_LINE(data)
        if line is None:
            return None
        beginning, key, whole = line.groups()
        fields = data[line.end() :]
        body = trace = b""
        if whole is None:
            if fields not in self._known:
                if not fields.endswith(_END):  # the data goes on after the blank line
                    return None
                fields, trace = _without_trace(fields)
                if fields not in self._known:
                    return None
        else:
            fields, _, body = fields.partition(_END)
            fields = _without_digits(fields, len(body))
            if fields not in self._known_of_saves:
                fields, trace = _without_trace(fields)
            if fields not in self._known_of_saves or len(body) > self._max_body:
                return None
        if self._service.directory is not self._directory:
            self._directory = self._service.directory
            self._routes.clear()
        try:
            route = self._routes.get(beginning or whole) or self._find(beginning or whole, key)
            if route is None:
                return None
            call = FastCall(
                self._service, perf_counter(), connection=connection, route=route, fast_path=self, trace=trace
            )
            is_begun = route.begin(call, route.store, key, body)
        except StateError:  # the general way meets the same error, and answers with it
            return None
        return len(body) if is_begun else None

    def learn(self, data: bytes, call: Call) -> None:
        """Remember the header fields of `data`, which is the whole of `call`, if they have no effect."""
        line = _REQUEST_LINE(data)
        if line is None or call.query_string or not call.keep_alive or not _WITHOUT_EFFECT.issuperset(call.headers):
            return
        fields, end, body = data[line.end() :].partition(_END)
        if len(fields) > MAX_FIELDS or len(body) != len(call.body) or (body and line.group(3) is None):
            return
        if line.group(3) is None:
            known = self._known
            fields += end
        else:
            known = self._known_of_saves
            fields = _without_digits(fields, len(body))
            if fields.count(_LENGTH) != 1 or _LENGTH_WITHOUT_DIGITS(fields) is None:
                return
        if b"traceparent" in call.headers:
            fields, trace = _without_trace(fields)
            if not trace or b"traceparent" in fields.lower():
                return
        if fields not in known and self._may_pass(call) and self._api.is_allowed(call):
            if len(known) >= REMEMBERED:
                del known[next(iter(known))]
            known[fields] = None

    def forget_routes(self) -> None:
        """Find each route again, because other operations may be refused now."""
        self._routes.clear()

    async def see_through(self, call: FastCall, rest: Awaitable[Any]) -> Answer:
        """Return the answer to a call that needs more than one request to its store."""
        answer = await self._api.answer_of(rest, call.route.answer_to)
        call.route.count(answer.status, perf_counter() - call.started)
        return self.traced(answer, call.trace) if call.trace else answer

    def _find(self, beginning: bytes, key: bytes | None) -> Route | None:
        """Return the route of request lines with this beginning; None if their operation has no fast path."""
        method, _, path = beginning.partition(b" ")
        if key is not None and not self._api.paths.takes_any_name(method, path[:-1]):
            return None
        path += key or b""
        found = self._api.paths.find(method, path)
        operation = None if found is None else self._operations.get(found[0].operation)
        if found is None or operation is None or found[0].operation in self._api.denied:
            return None
        store = found[1][0]
        self._service.directory.find(store)  # raises if there is no such store, so that no route is kept
        count = self._counter(method, path)
        if count is None:
            return None
        route = self._routes[beginning] = Route(operation[0], store, operation[1], count)
        return route

    def _begin_get(self, call: FastCall, store: str | None, key: bytes, body: bytes) -> bool:
        self._service.begin_get(GetRequest(store, key.decode()), call)
        return True

    def _begin_save(self, call: FastCall, store: str | None, key: None, body: bytes) -> bool:
        item = self._api.decoding.only_item(body)
        if item is None:
            return False
        self._service.begin_save(store, item, call)
        return True

    def _begin_delete(self, call: FastCall, store: str | None, key: bytes, body: bytes) -> bool:
        self._service.begin_delete(DeleteRequest(store, WriteItem(key.decode())), call)
        return True


def _without_digits(fields: bytes, size: int) -> bytes:
    """Return header fields without the digits of `content-length`; empty if the length is not `size`.

    With the digits most saves would look new, because bodies have many sizes. `learn` remembers only fields with a
    single `ength: `, so the digits that are cut out can only be those of `content-length`.
    """
    cut = fields.replace(b"ength: %d" % size, _LENGTH, 1)
    return cut if len(cut) < len(fields) else b""


def _without_trace(fields: bytes) -> tuple[bytes, bytes]:
    """Return header fields without the first `traceparent`, and its value; empty if there is none."""
    found = _find_trace(fields)
    return (fields, b"") if found is None else (fields[: found.start()] + fields[found.end() :], found[1])
