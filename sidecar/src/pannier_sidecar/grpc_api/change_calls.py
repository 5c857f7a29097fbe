"""The calls of `pannier.v1.State` that change a value where it is stored, and Exists.

Imported with the first such call.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..protobuf import Int64
from ..state.changes import MAX_INTEGER, MIN_INTEGER, Append, GetAndSet, Increment, Touch
from ..state.changing import ChangeRequest
from ..state.errors import MalformedRequestError, TooManyItemsError
from ..state.json_values import is_json
from ..state.requests import GetRequest
from . import messages
from .encoding import CONSISTENCY, Encoding, choice

if TYPE_CHECKING:
    from collections.abc import Mapping

    from msgspec import Struct

    from ..http2.headers import Headers
    from ..state.changes import Change
    from ..state.hot_keys import Result
    from ..state.service import StateService


class ChangeCalls:
    """Answers these calls."""

    def __init__(self, service: StateService, unnamed: str | None):
        """`unnamed` is the store of a request that names none."""
        self._service = service
        self._unnamed = unnamed
        self._encoding = Encoding()

    async def increment(self, request: messages.IncrementRequest, headers: Headers) -> Struct:
        change = Increment(
            request.key,
            1 if request.by is None else int(request.by),
            int(request.initial),
            MIN_INTEGER if request.floor is None else int(request.floor),
            MAX_INTEGER if request.ceiling is None else int(request.ceiling),
        )
        done = await self._change(request, change, headers)
        return messages.IncrementResponse(Int64(done.value), done.etag or "")

    async def append(self, request: messages.AppendRequest, headers: Headers) -> Struct:
        if not request.values:
            raise MalformedRequestError("values is empty", "send what is to be added")
        if len(request.values) > self._service.max_items:
            raise TooManyItemsError(self._service.max_items)
        for place, value in enumerate(request.values):
            if not is_json(value):
                raise MalformedRequestError(f"values[{place}] is not JSON", "write a text in quotes")
        if request.max_length < 0:
            raise MalformedRequestError(f"max_length is {request.max_length}", "write a whole number from 1, or 0")
        change = Append(request.key, request.values, request.max_length or None)
        done = await self._change(request, change, headers)
        return messages.AppendResponse(done.value, done.etag or "")

    async def get_and_set(self, request: messages.GetAndSetRequest, headers: Headers) -> Struct:
        item = self._encoding.write_item(request.state or messages.StateItem())
        if item.concurrency is not None:
            raise MalformedRequestError("concurrency has no effect here", "leave it out")
        change = GetAndSet(item.key, item.value or b"")
        store = request.store_name or self._unnamed
        wanted = ChangeRequest(
            store,
            item.key,
            change,
            item.etag,
            item.consistency,
            item.metadata,
            idempotency_key_in(headers),
            request.return_etag,
        )
        done = await self._service.changing.change(wanted)
        return messages.GetAndSetResponse(done.value, done.etag or "")

    async def touch(self, request: messages.TouchRequest, headers: Headers) -> Struct:
        done = await self._change(request, Touch(request.key), headers)
        return messages.ExistsResponse(done.value, done.etag or "")

    async def exists(self, request: messages.GetStateRequest) -> Struct:
        consistency = choice(CONSISTENCY, request.consistency, "consistency")
        wanted = GetRequest(request.store_name or self._unnamed, request.key, consistency, request.metadata)
        return messages.ExistsResponse(await self._service.changing.exists(wanted))

    async def _change(
        self,
        request: messages.IncrementRequest | messages.AppendRequest | messages.TouchRequest,
        change: Change,
        headers: Headers,
    ) -> Result:
        consistency = choice(CONSISTENCY, request.consistency, "consistency")
        metadata: Mapping[str, str] = request.metadata
        store = request.store_name or self._unnamed
        wanted = ChangeRequest(
            store,
            request.key,
            change,
            request.etag,
            consistency,
            metadata,
            idempotency_key_in(headers),
            request.return_etag,
        )
        return await self._service.changing.change(wanted)


def idempotency_key_in(headers: Headers) -> str:
    """Return the metadata `idempotency-key` of a call; empty if there is none."""
    return headers.get(b"idempotency-key", b"").decode("latin-1")
