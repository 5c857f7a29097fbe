"""The call of the HTTP API that writes several keys with an outcome for each. Imported with the first such call."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec
from msgspec import Struct

from ..state.batches import Batch, OutcomeKind
from ..state.errors import MalformedRequestError
from .decoding import request_defaults
from .messages import JSON, Answer

if TYPE_CHECKING:
    from ..state.batches import Outcome
    from ..state.items_in_flight import Share
    from ..state.service import StateService
    from .decoding import Decoding
    from .messages import Call


class OutcomeBody(Struct, omit_defaults=True, rename="camel", gc=False):
    """One entry of a batch."""

    key: str
    outcome: OutcomeKind
    etag: str | None = None
    status: int | None = None
    """The HTTP status that the write of this key alone would have had."""
    error_code: str | None = None
    error: str | None = None


class BatchBody(Struct):
    """The answer to a batch."""

    results: list[OutcomeBody]


async def batch(
    service: StateService, decoding: Decoding, call: Call, store: str | None, share: Share | None
) -> Answer:
    """Answer a batch. `share` is the call's share of all items in flight."""
    service.directory.find(store)
    if b"idempotency-key" in call.headers:
        raise MalformedRequestError(
            "an Idempotency-Key came with a batch, of which a part may happen", "send a transaction"
        )
    query = call.query()
    items, metadata = await decoding.transaction(call.body, request_defaults(query, call.headers))
    if share is not None:
        share.correct(len(items))
    returns_etags = query.get("returnEtags", "").lower() == "true"
    outcomes = await service.batches.run(Batch(store, items, metadata, returns_etags))
    return Answer(200, msgspec.json.encode(BatchBody(await service.pace.each(_entry, outcomes))), JSON)


def _entry(outcome: Outcome) -> OutcomeBody:
    alone = outcome.alone
    if alone is None:
        return OutcomeBody(outcome.key, outcome.kind, outcome.etag)
    return OutcomeBody(outcome.key, outcome.kind, None, alone.http_status, alone.code, str(outcome.error))
