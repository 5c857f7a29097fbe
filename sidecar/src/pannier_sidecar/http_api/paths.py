"""Finds the operation of a method and a path: the table of the HTTP API, and the search in it."""

from __future__ import annotations

import re
from enum import StrEnum
from typing import TYPE_CHECKING
from urllib import parse

from msgspec import Struct, field

from ..state.errors import MalformedRequestError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from .profiles import Profile


class Operation(StrEnum):
    """What a call does; `HttpApi` has a handler for each. These values name the operations in the OpenAPI document."""

    GET = "get"
    SAVE = "save"
    DELETE = "delete"
    BULK_GET = "bulk_get"
    TRANSACT = "transact"
    KEYS = "keys"
    BULK_DELETE = "bulk_delete"
    DELETE_KEYS = "delete_keys"
    QUERY = "query"
    INCREMENT = "increment"
    APPEND = "append"
    GET_AND_SET = "get_and_set"
    TOUCH = "touch"
    EXISTS = "exists"
    GET_VALUE = "get_value"
    PUT_VALUE = "put_value"
    BATCH = "batch"
    WATCH = "watch"
    GET_ACTOR_STATE = "get_actor_state"
    TRANSACT_ACTOR_STATE = "transact_actor_state"
    DELETE_ACTOR_STATE = "delete_actor_state"
    GET_SECRET = "get_secret"
    GET_SECRETS = "get_secrets"
    METADATA = "metadata"
    SET_METADATA = "set_metadata"
    HEALTHZ = "healthz"
    HEALTHZ_OUTBOUND = "healthz_outbound"
    SHUTDOWN = "shutdown"
    DOCUMENTATION = "documentation"


class Path(Struct, frozen=True):
    """One path of the API; `{name}` stands for one segment."""

    methods: tuple[str, ...]
    template: str
    operation: Operation
    summary: str
    is_public: bool = False
    """Answered on the public port too: there it needs no token, and the answer is shorter."""

    is_for_default_store: bool = False
    """It names no store, and uses the default store."""


WRITE = ("POST", "PUT")
_OWN = " (an addition of Pannier's)"

STATE = (
    Path(("GET",), "/v1.0/state/{store}/{key}", Operation.GET, "Get the value of a key"),
    Path(WRITE, "/v1.0/state/{store}", Operation.SAVE, "Save items, in order"),
    Path(("DELETE",), "/v1.0/state/{store}/{key}", Operation.DELETE, "Delete a key"),
    Path(WRITE, "/v1.0/state/{store}/bulk", Operation.BULK_GET, "Get several keys"),
    Path(WRITE, "/v1.0/state/{store}/transaction", Operation.TRANSACT, "Save and delete several keys, all or none"),
    Path(("GET",), "/v1.0-alpha1/state/{store}/keys", Operation.KEYS, "List the app's keys" + _OWN),
    Path(
        ("DELETE",),
        "/v1.0-alpha1/state/{store}/keys",
        Operation.DELETE_KEYS,
        "Delete the app's keys with a prefix, page by page" + _OWN,
    ),
    Path(
        WRITE,
        "/v1.0-alpha1/state/{store}/bulk-delete",
        Operation.BULK_DELETE,
        "Delete several keys" + _OWN,
    ),
    Path(
        ("POST",),
        "/v1.0-alpha1/state/{store}/batch",
        Operation.BATCH,
        "Write and delete several keys, with an outcome for each" + _OWN,
    ),
    Path(WRITE, "/v1.0-alpha1/state/{store}/query", Operation.QUERY, "Query the app's own values"),
    Path(("POST",), "/v1.0-alpha1/state/{store}/increment", Operation.INCREMENT, "Add to a number" + _OWN),
    Path(("POST",), "/v1.0-alpha1/state/{store}/append", Operation.APPEND, "Add elements to a list" + _OWN),
    Path(
        ("POST",),
        "/v1.0-alpha1/state/{store}/get-and-set",
        Operation.GET_AND_SET,
        "Replace a value, and get the one before" + _OWN,
    ),
    Path(("POST",), "/v1.0-alpha1/state/{store}/touch", Operation.TOUCH, "Replace the TTL of a key" + _OWN),
    Path(("GET",), "/v1.0-alpha1/state/{store}/exists", Operation.EXISTS, "Is there a value?" + _OWN),
    Path(
        ("GET", "HEAD"),
        "/v1.0-alpha1/state/{store}/{key}/value",
        Operation.GET_VALUE,
        "Get a value, or a range of its bytes" + _OWN,
    ),
    Path(
        WRITE,
        "/v1.0-alpha1/state/{store}/{key}/value",
        Operation.PUT_VALUE,
        "Save the body as a value, while it arrives" + _OWN,
    ),
    Path(("GET",), "/v1.0-alpha1/state/{store}/watch", Operation.WATCH, "Watch the app's keys" + _OWN),
)
DEFAULT_STORE = tuple(
    Path(
        path.methods,
        path.template.replace("/{store}", ""),
        path.operation,
        path.summary + ", in the default store",
        is_for_default_store=True,
    )
    for path in STATE
)
"""The oldest spec knew one store only, and did not name it."""
ACTOR_STATE = (
    Path(
        ("GET",), "/v1.0/actors/{type}/{id}/state/{key}", Operation.GET_ACTOR_STATE, "Get the value of an actor's key"
    ),
    Path(
        WRITE,
        "/v1.0/actors/{type}/{id}/state",
        Operation.TRANSACT_ACTOR_STATE,
        "Save and delete keys of an actor, atomically",
    ),
    Path(
        ("DELETE",),
        "/v1.0-alpha1/actors/{type}/{id}/state",
        Operation.DELETE_ACTOR_STATE,
        "Delete all keys of an actor, page by page" + _OWN,
    ),
)
SECRETS = (
    Path(("GET",), "/v1.0/secrets/{store}/{key}", Operation.GET_SECRET, "Get a secret"),
    Path(("GET",), "/v1.0/secrets/{store}/bulk", Operation.GET_SECRETS, "Get all secrets of a store"),
)
SIDECAR = (
    Path(("GET",), "/v1.0/metadata", Operation.METADATA, "What this sidecar is and serves", is_public=True),
    Path(("PUT",), "/v1.0/metadata/{attribute}", Operation.SET_METADATA, "Attach an attribute to the metadata"),
    Path(("GET",), "/v1.0/healthz", Operation.HEALTHZ, "Is the sidecar ready?", is_public=True),
    Path(("GET",), "/v1.0/healthz/outbound", Operation.HEALTHZ_OUTBOUND, "Are the components loaded?", is_public=True),
    Path(("POST",), "/v1.0/shutdown", Operation.SHUTDOWN, "Stop the sidecar gracefully"),
)
DOCUMENTATION = (
    Path(("GET",), "/openapi.json", Operation.DOCUMENTATION, "This API as an OpenAPI document"),
    Path(("GET",), "/docs", Operation.DOCUMENTATION, "This API as a page"),
)


def paths_of(profile: Profile) -> tuple[Path, ...]:
    """Return the table of a profile. Profile `dapr` has no paths without a store: Dapr reads them as calls to apps."""
    of_state = STATE if profile.invokes_apps else STATE + DEFAULT_STORE
    return of_state + ACTOR_STATE + SECRETS + SIDECAR + DOCUMENTATION


class _Node(Struct):
    """A node in the tree of one method's paths; each level is a segment."""

    literal: dict[bytes, _Node] = field(default_factory=dict)
    any: _Node | None = None
    path: Path | None = None


class _Place(Struct):
    """The node for all but the last segment of a path, and the values of the `{names}` in these segments."""

    node: _Node
    texts: list[str]


MAX_PREFIXES = 1024
"""Maximum of cached path prefixes: more than there are stores, fewer than there may be actors."""
MAX_PREFIX_LENGTH = 256
"""Maximum length of a cached prefix, in bytes."""


class PathTree:
    """Finds the path of a request.

    A literal segment wins over a `{name}`, separately for each method: a GET of a key called `bulk` works, and so does
    a transaction on a store of that name. Calls on one store differ in the last segment only, so the nodes for the
    segments before it are cached.
    """

    def __init__(self, paths: tuple[Path, ...], *, plus_is_space: bool = False):
        self._roots: dict[bytes, _Node] = {}
        self._places: dict[tuple[bytes, bytes], list[_Place]] = {}
        self._plus_is_space = plus_is_space
        for path in paths:
            for method in path.methods:
                _add(self._roots.setdefault(method.encode(), _Node()), path)

    def find(self, method: bytes, path: bytes) -> tuple[Path, list[str | None]] | None:
        """Return the path and the texts of its `{names}`; None if the method has no such path.

        The store of a path for the default store is None. Raises MalformedRequestError for bad percent-encoding.
        """
        beginning, _, last = path.rpartition(b"/")
        places = self._places.get((method, beginning))
        if places is None:
            places = self._resolve(method, beginning)
        for place in places:
            literal = place.node.literal.get(last)
            if literal is not None and (found := literal.path) is not None:
                return found, [None, *place.texts] if found.is_for_default_store else [*place.texts]
        for place in places:
            if (any_node := place.node.any) is not None and (found := any_node.path) is not None:
                text = unquote(last, plus_is_space=self._plus_is_space)
                return found, [None, *place.texts, text] if found.is_for_default_store else [*place.texts, text]
        return None

    def takes_any_name(self, method: bytes, beginning: bytes) -> bool:
        """Return whether any text may follow `beginning` as a name, because no path has a literal segment there."""
        return not any(place.node.literal for place in self._resolve(method, beginning))

    def methods(self, path: bytes) -> list[str]:
        """Return the methods that this path has."""
        return sorted(method.decode() for method in self._roots if self.find(method, path))

    def _resolve(self, method: bytes, beginning: bytes) -> list[_Place]:
        places: list[_Place] = []
        if (root := self._roots.get(method)) is not None and beginning[:1] in (b"", b"/"):
            places = [_Place(root, [])]
            for segment in beginning.split(b"/")[1:]:
                places = list(self._following(places, segment))
                if not places:  # a path may have thousands of segments
                    break
        if len(beginning) <= MAX_PREFIX_LENGTH:
            if len(self._places) >= MAX_PREFIXES:
                self._places.clear()
            self._places[method, beginning] = places
        return places

    def _following(self, places: list[_Place], segment: bytes) -> Iterator[_Place]:
        for place in places:
            if (literal := place.node.literal.get(segment)) is not None:
                yield _Place(literal, place.texts)
            if place.node.any is not None:
                text = unquote(segment, plus_is_space=self._plus_is_space)
                yield _Place(place.node.any, [*place.texts, text])


def _add(node: _Node, path: Path) -> None:
    for segment in path.template.split("/")[1:]:
        if segment.startswith("{"):
            node.any = node.any or _Node()
            node = node.any
        else:
            node = node.literal.setdefault(segment.encode(), _Node())
    node.path = path


def tidied(path: bytes) -> bytes:
    """Return a path, still percent-encoded, without empty segments, `.` and `..`, and without a slash at its end."""
    if b"//" not in path and b"/." not in path and not path.endswith(b"/"):
        return path
    kept: list[bytes] = []
    for segment in path.split(b"/"):
        if segment == b"..":
            del kept[-1:]
        elif segment not in (b"", b"."):
            kept.append(segment)
    return b"/" + b"/".join(kept)


_BAD_ESCAPE = re.compile(rb"%(?![0-9A-Fa-f]{2})")


def unquote(segment: bytes, *, plus_is_space: bool) -> str:
    """Return the text of one segment of a path. Raises MalformedRequestError if its percent-encoding is not UTF-8."""
    if plus_is_space:
        segment = segment.replace(b"+", b" ")
    if b"%" in segment:
        if _BAD_ESCAPE.search(segment):
            raise _cannot_unquote(
                segment, "a % is not followed by two hexadecimal digits; write %25 for a percent sign"
            )
        segment = parse.unquote_to_bytes(segment)
    try:
        return segment.decode()
    except UnicodeDecodeError:
        raise _cannot_unquote(segment, "its bytes are no UTF-8; percent-encode the UTF-8 bytes of the text") from None


def _cannot_unquote(segment: bytes, why: str) -> MalformedRequestError:
    return MalformedRequestError(f"failed to unescape request parameter {segment.decode('latin-1')!r}: {why}")
