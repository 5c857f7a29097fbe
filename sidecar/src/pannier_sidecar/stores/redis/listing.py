"""Pages of keys by SCAN.

SCAN decides how many keys it returns, and a position within its answer means nothing later. So what does not fit on a
page goes into the cursor, as text. In this way a key that exists all the time is listed, whatever is written or deleted
between two pages. SCAN may return a key twice; within a page it is listed once.
"""

from __future__ import annotations

import asyncio
import base64
import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final

from hiredis import ReplyError
from msgspec import DecodeError, Struct, json

from pannier_sidecar.network.pipeline import ConnectionLostError
from pannier_sidecar.state.errors import InvalidCursorError, StoreUnavailableError
from pannier_sidecar.state.store import KeyPage

from . import errors
from .resp import pack
from .slots import SLOTS, slot_of

if TYPE_CHECKING:
    from .client import Servers
    from .settings import RedisSettings

MIN_COUNT: Final = 10
MAX_COUNT: Final = 2000
"""Keys that a single SCAN reads: some hundred microseconds during which the server does nothing else."""
_GLOB: Final = re.compile(rb"[*?\[\]\\]")


class Place(Struct, array_like=True, forbid_unknown_fields=True):
    """Where the next page begins."""

    scan: int
    """The server's own cursor; 0: from its beginning."""
    run_id: str
    """The server of that cursor, which means nothing to another one, or to the same one after a restart."""
    first: int
    """The first hash slot that is not finished; a server without Cluster counts as having all of them."""
    last: int
    """The last of the hash slots that are being scanned."""
    left_over: Sequence[str]
    """Keys already found that were too many for the last page."""


async def list_keys(servers: Servers, settings: RedisSettings, prefix: str, limit: int, cursor: str | None) -> KeyPage:
    """Return a page of keys. Raises InvalidCursorError, and the StoreError of a server that does not answer."""
    place = _decoded(cursor)
    found = dict.fromkeys(key for key in place.left_over if key.startswith(prefix))
    pattern = _GLOB.sub(rb"\\\g<0>", prefix.encode()) + b"*"
    count = MIN_COUNT
    while place.first < SLOTS and len(found) < limit:
        room = max(limit - len(found), MIN_COUNT)
        count = min(max(count, room), MAX_COUNT)
        keys, following = await _scan(servers, settings, place, pattern, count)
        fresh = [key for key in keys if key not in found]
        if len(fresh) > room and count > room:
            count = room  # repeat with fewer keys, so that few are left over
            continue
        found.update(dict.fromkeys(fresh))
        place = following
        count *= 2  # few of many keys may match
    keys = list(found)
    place.left_over = keys[limit:]
    is_done = place.first >= SLOTS and not place.left_over
    return KeyPage(keys[:limit], None if is_done else _encoded(place))


async def _scan(
    servers: Servers, settings: RedisSettings, place: Place, pattern: bytes, count: int
) -> tuple[list[str], Place]:
    """Return some keys and the place after them. `place` is corrected if its cursor is no longer valid."""
    loop = asyncio.get_running_loop()
    deadline = loop.time() + settings.dial_timeout
    for attempts_left in range(settings.max_retries, -1, -1):
        node, last = await servers.owner(place.first, deadline)
        connection = await node.link.usable(deadline, settings.write_timeout)
        if place.scan == 0 or place.run_id != connection.run_id or place.last > last:
            place.scan, place.run_id, place.last = 0, connection.run_id, last
        command = pack("SCAN", str(place.scan), "MATCH", pattern, "COUNT", count)
        try:
            keys, following = _keys_in(await connection.send(command, 1), place)
            if following.scan or await servers.still_has(connection, place.first, place.last, deadline):
                return keys, following
            # Slots have moved, so keys of theirs may not have been met: scan these slots again, where they are now.
            place.scan, place.run_id = 0, ""
            if not attempts_left:
                raise StoreUnavailableError("hash slots of the Redis Cluster are being moved; list again in a moment")
        except ConnectionLostError as lost:
            if lost.timed_out or not attempts_left:
                raise StoreUnavailableError(str(lost)) from lost
    raise AssertionError("the last attempt returns or raises")


def _keys_in(reply: Any, place: Place) -> tuple[list[str], Place]:
    if isinstance(reply, ReplyError):
        raise errors.translate(reply)
    following, names = int(reply[0]), reply[1]
    if (place.first, place.last) != (0, SLOTS - 1):
        names = [name for name in names if place.first <= slot_of(name) <= place.last]
    after = Place(following, place.run_id, place.first, place.last, ())
    return _texts(names), after if following else _at_slot(place.last + 1)


def _texts(names: Sequence[bytes]) -> list[str]:
    """Return the names that are UTF-8; other names are not those of state."""
    texts = []
    for name in names:
        try:
            texts.append(name.decode())
        except UnicodeDecodeError:
            continue
    return texts


def _at_slot(first: int) -> Place:
    return Place(0, "", first, SLOTS - 1, ())


def _encoded(place: Place) -> str:
    return base64.urlsafe_b64encode(json.encode(place)).rstrip(b"=").decode()


def _decoded(cursor: str | None) -> Place:
    if cursor is None:
        return _at_slot(0)
    try:
        text = cursor.encode("ascii")
        place = json.decode(base64.urlsafe_b64decode(text + b"=" * (-len(text) % 4)), type=Place)
    except (ValueError, DecodeError) as error:
        raise _foreign(cursor) from error
    if not (0 <= place.scan < 2**64 and 0 <= place.first <= SLOTS and 0 <= place.last < SLOTS):
        raise _foreign(cursor)
    return place


def _foreign(cursor: str) -> InvalidCursorError:
    return InvalidCursorError(f"cursor {cursor!r} was not made by this store; leave it out to start from the beginning")
