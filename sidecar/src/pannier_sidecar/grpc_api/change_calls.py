"""The calls of `pannier.v1.State` that change a value where it is stored, and Exists.

Imported with the first such call.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

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

    from ..state.changes import Change
    from ..state.service import StateService


class ChangeCalls:
    """Answers these calls."""

    def __init__(self, service: StateService, unnamed: str | None):
        """`unnamed` is the store of a request that names none."""
        self._service = service
        self._unnamed = unnamed
        self._encoding = Encoding()

    async def increment(self, request: messages.IncrementRequest) -> Struct:
        change = Increment(
            request.key,
            1 if request.by is None else request.by,
            request.initial,
            MIN_INTEGER if request.floor is None else request.floor,
            MAX_INTEGER if request.ceiling is None else request.ceiling,
        )
        return messages.IncrementResponse(Int64(await self._change(request, change)))

    async def append(self, request: messages.AppendRequest) -> Struct:
        if not request.values:
            raise MalformedRequestError("values is empty", "send what is to be added")
        if len(request.values) > self._service.max_items:
            raise TooManyItemsError(self._service.max_items)
        for place, value in enumerate(request.values):
            if not is_json(value):
                raise MalformedRequestError(f"values[{place}] is not JSON", "write a text in quotes")
        if request.max_length < 0:
            raise MalformedRequestError(f"max_length is {request.max_length}", "write a whole number from 1, or 0")
        return messages.AppendResponse(
            await self._change(request, Append(request.key, request.values, request.max_length or None))
        )

    async def get_and_set(self, request: messages.GetAndSetRequest) -> Struct:
        item = self._encoding.write_item(request.state or messages.StateItem())
        if item.concurrency is not None:
            raise MalformedRequestError("concurrency has no effect here", "leave it out")
        change = GetAndSet(item.key, item.value or b"")
        store = request.store_name or self._unnamed
        wanted = ChangeRequest(store, item.key, change, item.etag, item.consistency, item.metadata)
        return messages.GetAndSetResponse(await self._service.changing.change(wanted))

    async def touch(self, request: messages.TouchRequest) -> Struct:
        return messages.ExistsResponse(await self._change(request, Touch(request.key)))

    async def exists(self, request: messages.GetStateRequest) -> Struct:
        consistency = choice(CONSISTENCY, request.consistency, "consistency")
        wanted = GetRequest(request.store_name or self._unnamed, request.key, consistency, request.metadata)
        return messages.ExistsResponse(await self._service.changing.exists(wanted) is not None)

    async def _change(
        self, request: messages.IncrementRequest | messages.AppendRequest | messages.TouchRequest, change: Change
    ) -> Any:
        consistency = choice(CONSISTENCY, request.consistency, "consistency")
        metadata: Mapping[str, str] = request.metadata
        store = request.store_name or self._unnamed
        wanted = ChangeRequest(store, request.key, change, request.etag, consistency, metadata)
        return await self._service.changing.change(wanted)
