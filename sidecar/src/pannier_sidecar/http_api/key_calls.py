"""The calls of the HTTP API about several keys that are Pannier's own: lists of keys, and deletions."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from ..state.errors import MalformedRequestError, OperationFailedError
from ..state.requests import (
    DEFAULT_LIMIT,
    MAX_LIMIT,
    ActorDeleteRequest,
    BulkDeleteRequest,
    KeysRequest,
    PrefixDeleteRequest,
)
from .encoding import DeletedBody, deleted_items_answer, keys_answer
from .messages import JSON, Answer

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from ..state.requests import WriteItem
    from ..state.service import StateService
    from .messages import Call
    from .profiles import Profile


class KeyCalls:
    """Answers these calls."""

    def __init__(self, service: StateService, profile: Profile):
        self._service = service
        self._profile = profile

    async def keys(self, call: Call, store: str | None) -> Answer:
        query = call.query()
        request = KeysRequest(
            store,
            query.get("prefix", ""),
            _limit(query.get("limit"), DEFAULT_LIMIT),
            query.get("cursor") or None,
            _is_true(query, "values"),
            _is_true(query, "actors"),
        )
        return await keys_answer(await self._service.lists.keys(request), self._service.pace)

    async def delete_keys(self, call: Call, store: str | None) -> Answer:
        query = call.query()
        limit = _limit(query.get("limit"), MAX_LIMIT)
        request = PrefixDeleteRequest(store, query.get("prefix", ""), limit, query.get("cursor") or None)
        done = await self._service.lists.delete_prefix(request)
        return Answer(200, msgspec.json.encode(DeletedBody(done.deleted, done.cursor)), JSON)

    async def delete_actor_state(self, call: Call, actor_type: str, actor_id: str) -> Answer:
        query = call.query()
        limit = _limit(query.get("limit"), MAX_LIMIT)
        request = ActorDeleteRequest(actor_type, actor_id, limit, query.get("cursor") or None)
        done = await self._service.lists.delete_actor_state(request)
        return Answer(200, msgspec.json.encode(DeletedBody(done.deleted, done.cursor)), JSON)

    async def bulk_delete(self, store: str | None, items: Sequence[WriteItem]) -> Answer:
        """Answer with an entry for each item, in the order of the request; the status is that of the gravest error."""
        try:
            await self._service.bulk_delete(BulkDeleteRequest(store, items))
        except OperationFailedError as error:
            if error.of_items is None:
                raise
            return await deleted_items_answer(items, error, self._profile, self._service.pace)
        return await deleted_items_answer(items, None, self._profile, self._service.pace)


def _is_true(query: Mapping[str, str], name: str) -> bool:
    return query.get(name, "").lower() in ("true", "1", "yes")


def _limit(text: str | None, default: int) -> int:
    if not text:
        return default
    digits = text.lstrip("0") if text.isascii() and text.isdigit() else ""
    if not 1 <= len(digits) <= len(str(MAX_LIMIT)) or int(digits) > MAX_LIMIT:
        raise MalformedRequestError(f"limit is {text[:50]!r}", f"write a whole number from 1 to {MAX_LIMIT}")
    return int(digits)
