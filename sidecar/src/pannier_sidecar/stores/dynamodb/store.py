"""The store: which calls to DynamoDB each call makes, and what the answers mean."""

from __future__ import annotations

import asyncio
from time import time
from typing import TYPE_CHECKING, Final
from uuid import uuid4

from pannier_sidecar.state.cursors import cursor_after, key_before
from pannier_sidecar.state.errors import StoreError, StoreUnavailableError
from pannier_sidecar.state.feeds import ChangesBy, ETagPage
from pannier_sidecar.state.requests import Delete, Get, Set, Write
from pannier_sidecar.state.store import Feature, KeyPage, Store, StoredValue, key_page

from . import batches
from .client import Client
from .errors import ConditionNotMetError, is_answer, reading_answer
from .layout import Layout, fresh_etags, mismatch
from .settings import read_settings

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from contextlib import AsyncExitStack

    from pannier_sidecar.state.feeds import KeyETag
    from pannier_sidecar.state.store import Setting

    from .batches import Placed
    from .layout import Arguments

SCANNED_AT_ONCE: Final = 1000
"""Items that one call reads when keys are listed; DynamoDB ends it at 1 MB at the latest."""


class DynamoDBStore(Store):
    """State in one table of DynamoDB, which Dapr's sidecars may use at the same time."""

    features = frozenset(Feature)
    keeps_expiry = True
    changes_by = ChangesBy.POLL
    max_key_bytes = 2048
    max_transaction = 100

    def __init__(self, settings: Mapping[str, Setting]):
        """Read the component's settings (canonical names, durations in seconds); connect to nothing yet."""
        super().__init__(settings)
        self._settings = read_settings(settings)
        self._layout = Layout(
            self._settings.table,
            self._settings.partition_key,
            self._settings.ttl_attribute,
            fresh_etags(),
            self._settings.shown_table,
            self._settings.shown_key,
        )
        self._client = Client(self._settings, self._layout)

    async def _open(self, resources: AsyncExitStack) -> None:
        await self._client.open(resources)
        await self.ping()

    async def ping(self) -> None:
        # A read needs no further permission, and unlike other such calls it finds a wrong partitionKey.
        await self.get(Get("pannier||ping"))

    async def probe(self) -> None:
        try:
            await self.ping()
        except StoreUnavailableError as error:
            if not is_answer(error.__cause__):
                raise

    async def get(self, get: Get) -> StoredValue | None:
        layout = self._layout
        answer = await self._client.read(
            "get_item", TableName=layout.table, Key=layout.key(get.key), ConsistentRead=get.strong
        )
        return layout.stored_value(get.key, answer.get("Item"), time())

    async def set(self, write: Set) -> None:
        await self._write_one([write])

    async def delete(self, write: Delete) -> None:
        await self._write_one([write])

    async def bulk_get(self, gets: Sequence[Get]) -> Sequence[StoredValue | StoreError | None]:
        keys = list(dict.fromkeys(get.key for get in gets))
        strong = any(get.strong for get in gets)
        some = [
            batches.read(self._client, self._layout, part, strong=strong)
            for part in batches.parts(keys, batches.READ_AT_ONCE)
        ]
        items = {key: item for part in await asyncio.gather(*some) for key, item in part.items()}
        found: dict[str, StoredValue | StoreError | None] = {}
        for key, item in items.items():
            try:
                found[key] = item if isinstance(item, StoreError) else self._layout.stored_value(key, item, time())
            except StoreError as error:
                found[key] = error
        return [found.get(get.key) for get in gets]

    async def bulk_write(self, writes: Sequence[Write]) -> Sequence[StoreError | None]:
        """Carry out the writes concurrently, but those to one key in their order."""
        together: list[Placed] = []
        in_turn: list[list[Placed]] = []
        for group in batches.by_key(writes):
            if len(group) == 1 and not group[0][1].is_conditional:
                together += group
            else:
                in_turn.append(group)
        ends = await asyncio.gather(
            *map(self._write_batch, batches.parts(together, batches.WRITTEN_AT_ONCE)),
            *map(self._write_in_turn, in_turn),
        )
        errors = {place: error for failed in ends for place, error in failed.items()}
        return [errors.get(place) for place in range(len(writes))]

    async def transact(self, writes: Sequence[Write]) -> None:
        # DynamoDB takes only one operation for a key: the last write, with the preconditions of all.
        groups = [[write for _, write in group] for group in batches.by_key(writes)]
        if len(groups) == 1:
            await self._write_one(groups[0])  # half the price of a transaction
        elif groups:
            await self._write_together(groups)

    async def keys(self, prefix: str, limit: int, cursor: str | None) -> KeyPage:
        return key_page(await self.etags(prefix, limit, cursor))

    async def etags(self, prefix: str, limit: int, cursor: str | None) -> ETagPage:
        layout = self._layout
        found: list[KeyETag] = []
        start = None if cursor is None else layout.key(key_before(cursor, prefix))
        while True:
            answer = await self._client.read(
                "scan",
                TableName=layout.table,
                ConsistentRead=True,  # else a key that was there all the time might be missing
                Limit=max(SCANNED_AT_ONCE, limit),
                **layout.listing(prefix, time()),
                **({"ExclusiveStartKey": start} if start else {}),
            )
            with reading_answer():
                found += map(layout.listed, answer["Items"])
            start = answer.get("LastEvaluatedKey")
            if len(found) > limit or (start and len(found) == limit):
                return ETagPage(found[:limit], cursor_after(found[limit - 1].key))
            if not start:
                return ETagPage(found, None)

    async def _write_batch(self, writes: Sequence[Placed]) -> dict[int, StoreError]:
        """Carry out writes to different keys without preconditions; return those that failed, by place."""
        failed: dict[int, StoreError] = {}
        requests: dict[str, Arguments] = {}
        for place, write in writes:
            try:
                kind, arguments = self._layout.writing(write, time())
                requests[write.key] = {f"{kind}Request": arguments}
            except StoreError as error:
                failed[place] = error
        errors = await batches.write(self._client, self._layout, requests)
        return failed | {place: errors[write.key] for place, write in writes if write.key in errors}

    async def _write_in_turn(self, writes: Sequence[Placed]) -> dict[int, StoreError]:
        """Carry out writes to one key; return those that failed, by place."""
        failed: dict[int, StoreError] = {}
        for place, write in writes:
            try:
                await self._write_one([write])
            except StoreError as error:
                failed[place] = error
        return failed

    async def _write_one(self, writes: Sequence[Write]) -> None:
        """Carry out the last of some writes to one key, if the preconditions of all hold."""
        now = time()
        condition = self._layout.condition(writes, now)
        kind, arguments = self._layout.writing(writes[-1], now)
        try:
            await self._client.write(
                f"{kind.lower()}_item",
                TableName=self._layout.table,
                **arguments,
                **condition,
            )
        except ConditionNotMetError as unmet:
            raise mismatch(writes) from unmet

    async def _write_together(self, groups: Sequence[Sequence[Write]]) -> None:
        now = time()
        operations = []
        for writes in groups:
            kind, arguments = self._layout.writing(writes[-1], now)
            condition = self._layout.condition(writes, now)
            operations.append({kind: {"TableName": self._layout.table, **arguments, **condition}})
        try:
            # DynamoDB recognizes a repetition by the token.
            token = uuid4().hex
            await self._client.write(
                "transact_write_items", has_token=True, TransactItems=operations, ClientRequestToken=token
            )
        except ConditionNotMetError as unmet:
            raise mismatch(groups[unmet.places[0]]) from unmet
