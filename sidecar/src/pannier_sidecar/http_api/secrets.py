"""The calls of the Secrets API over HTTP."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from .decoding import request_defaults
from .messages import JSON, Answer

if TYPE_CHECKING:
    from ..runtime import Runtime
    from .messages import Call


class SecretCalls:
    """Handles the calls for one secret, and for all of a store."""

    def __init__(self, runtime: Runtime):
        self._runtime = runtime

    async def get(self, call: Call, store: str, key: str) -> Answer:
        found = await self._runtime.secrets.get(store, key, request_defaults(call.query(), {}).metadata)
        return Answer(200, msgspec.json.encode(found), JSON)

    async def get_all(self, call: Call, store: str) -> Answer:
        found = await self._runtime.secrets.get_all(store, request_defaults(call.query(), {}).metadata)
        return Answer(200, msgspec.json.encode(found), JSON)
