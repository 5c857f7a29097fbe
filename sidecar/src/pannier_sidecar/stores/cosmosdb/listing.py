"""Lists stored keys by a query over all partitions: for ids that are keys, that encode keys, and that digest them.

It filters and projects alone, so Cosmos DB's gateway serves it, with its own continuation from page to page.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

from azure.cosmos.exceptions import CosmosHttpResponseError

from pannier_sidecar.state.cursors import RangeCursor, read_range_cursor
from pannier_sidecar.state.errors import InvalidCursorError
from pannier_sidecar.state.feeds import ETagPage, KeyETag
from pannier_sidecar.state.requests import PARTITION
from pannier_sidecar.state.store import KeyPage

from .errors import NotUnderstoodError
from .layout import encoded, key_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from .client import Client

    Item = Mapping[str, Any]

MAX_PAGE: Final = 1000
_QUERY: Final = (
    "SELECT c.id, c.partitionKey, c.key, c._etag FROM c "
    "WHERE STARTSWITH(c.id, @prefix) OR STARTSWITH(c.id, @encoded) OR STARTSWITH(c.key, @prefix)"
)
_MAX_CONTINUATION_KB: Final = 2
_MARKER: Final = re.compile(r"[ -~]{0,8192}")
"""What can be sent back in a header."""
_BAD_REQUEST: Final = 400


async def list_page(opened: Client, prefix: str, limit: int, cursor: str | None) -> KeyPage:
    """Return a page of keys. Raises InvalidCursorError and the client's errors."""
    items, following = await _read_page(opened, prefix, limit, cursor)
    places = list(_places(items, prefix))
    return KeyPage([key for key, _ in places], following, [partition for _, partition in places])


async def list_etags(opened: Client, prefix: str, limit: int, cursor: str | None) -> ETagPage:
    """Return a page of keys with their ETags. Raises as `list_page` does."""
    items, following = await _read_page(opened, prefix, limit, cursor)
    return ETagPage(list(_etags(items, prefix)), following)


async def _read_page(opened: Client, prefix: str, limit: int, cursor: str | None) -> tuple[list[Item], str | None]:
    """Return the items of a page, of which some may be no keys with the prefix, and the cursor of the next one."""
    marker = None if cursor is None else _marker(cursor, prefix)
    parameters: list[dict[str, object]] = [
        {"name": "@prefix", "value": prefix},
        {"name": "@encoded", "value": encoded(prefix)},
    ]
    found: Any = opened.container.query_items(
        _QUERY,
        parameters=parameters,
        max_item_count=min(limit, MAX_PAGE),
        continuation_token_limit=_MAX_CONTINUATION_KB,
    ).by_page(marker)
    try:
        items = [item async for item in await anext(found)]
    except StopAsyncIteration:
        return [], None
    except CosmosHttpResponseError as error:
        if error.status_code == _BAD_REQUEST and cursor is not None:
            raise _invalid(cursor) from error
        raise
    following = found.continuation_token
    if following is not None and not _MARKER.fullmatch(following):
        raise NotUnderstoodError
    return items, str(RangeCursor(prefix, 0, following)) if following else None


def _etags(items: Sequence[Item], prefix: str) -> Iterator[KeyETag]:
    for item in items:
        key, etag = key_of(item), item.get("_etag")
        if key is not None and key.startswith(prefix):
            if not isinstance(etag, str):
                raise NotUnderstoodError
            yield KeyETag(key, etag)


def _places(items: Sequence[Item], prefix: str) -> Iterator[tuple[str, str | None]]:
    """Yield the keys that begin with the prefix, with their partitions where these are not the keys themselves."""
    for item in items:
        key, partition = key_of(item), item.get(PARTITION)
        if key is not None and key.startswith(prefix) and isinstance(partition, str):
            yield key, None if partition == key else partition


def _marker(cursor: str, prefix: str) -> str:
    marker = read_range_cursor(cursor, prefix, 1).marker
    if not _MARKER.fullmatch(marker):
        raise _invalid(cursor)
    return marker


def _invalid(cursor: str) -> InvalidCursorError:
    return InvalidCursorError(f"cursor {cursor!r} was not made by this store; leave it out to start again")
