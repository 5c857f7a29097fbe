"""`state.jetstream`: which requests each call makes, and what their answers mean."""

from __future__ import annotations

import asyncio
from bisect import bisect_left, bisect_right
from typing import TYPE_CHECKING, Any, Final, TypeVar

from msgspec import DecodeError, json

from pannier_sidecar.network.many_calls import read_each, write_each
from pannier_sidecar.state.cursors import cursor_after, key_before
from pannier_sidecar.state.errors import (
    NotSupportedError,
    StoreError,
    StoreRefusedError,
    StoreUnavailableError,
    unanswered,
)
from pannier_sidecar.state.feeds import ChangesBy
from pannier_sidecar.state.preconditions import absent_or_changed, exists_already
from pannier_sidecar.state.requests import Set
from pannier_sidecar.state.store import Feature, KeyPage, Store

from . import errors, layout
from .client import Client
from .layout import ReadAnswer, StreamAnswer, StreamConfig, WriteAnswer
from .settings import read_settings

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from contextlib import AsyncExitStack

    from pannier_sidecar.state.feeds import Feed
    from pannier_sidecar.state.requests import Delete, Get, Write
    from pannier_sidecar.state.store import Setting, StoredValue

    from .layout import Message

Answer = TypeVar("Answer", ReadAnswer, WriteAnswer, StreamAnswer)

AT_ONCE: Final = 64
"""Maximum number of requests of one bulk call that are in flight together."""
MAX_NAMES: Final = 1_000_000
"""Keys of which a list can be made: the server sends all their names for each page."""
ATTEMPTS: Final = 10
"""Attempts to create a key, while others write and delete it."""
PROBE: Final = "pannier-permission-probe-6d1f0a7c"
"""A key that is never written."""


class JetStreamStore(Store):
    """State in a bucket. Reads are answered by the stream's leader, whatever consistency is asked for."""

    features = frozenset({Feature.ETAG, Feature.TTL, Feature.KEYS_LIKE})
    changes_by = ChangesBy.POLL
    feed_lag_s = 3.0
    max_key_bytes = layout.MAX_KEY_BYTES

    def __init__(self, settings: Mapping[str, Setting]):
        """Read the component's settings (canonical names, durations in seconds); connect to nothing yet."""
        super().__init__(settings)
        self._settings = read_settings(settings)
        self._stream = f"KV_{self._settings.bucket}"
        self._subject = f"$KV.{self._settings.bucket}."
        self._opened: Client | None = None
        self._config = StreamConfig()

    async def _open(self, resources: AsyncExitStack) -> None:
        client = Client(self._settings)
        resources.push_async_callback(client.close)
        self._opened = client
        config = (await self._info()).config
        if config is None or config.subjects != [f"{self._subject}>"]:
            raise StoreRefusedError(
                f"bucket {self._settings.bucket} on {self._settings.where} is no bucket with keys of its own: perhaps"
                " a mirror; name the bucket that it copies"
            )
        self._config = config
        self.changes_by = ChangesBy.PUSH if layout.shows_changes(config) else ChangesBy.POLL
        await self._prove_permissions()

    async def _prove_permissions(self) -> None:
        """Raise StoreRefusedError if the user may not read or write: a condition that never holds is sent."""
        await self._last(PROBE)
        await self._publish(PROBE, b"", {}, layout.NEVER)

    async def ping(self) -> None:
        await self._info()

    # --- reading ------------------------------------------------------------------------------------------------------

    async def get(self, get: Get) -> StoredValue | None:
        found = await self._last(layout.name_of(get.key))
        return None if found is None else self._stored(found)

    async def bulk_get(self, gets: Sequence[Get]) -> Sequence[StoredValue | StoreError | None]:
        return await read_each(self.get, gets, AT_ONCE)

    async def keys(self, prefix: str, limit: int, cursor: str | None) -> KeyPage:
        """List a page. NATS sends all names at once, with those of deleted keys, so each page reads its keys too."""
        names = await self._names(prefix)
        first = bisect_left(names, prefix) if cursor is None else bisect_right(names, key_before(cursor, prefix))
        page: list[str] = []
        while first < len(names):
            group = names[first : first + min(AT_ONCE, limit + 1 - len(page))]
            first += len(group)
            found = await asyncio.gather(*(self._last(layout.name_of(key)) for key in group))
            page += [key for key, last in zip(group, found, strict=True) if last is not None and self._stored(last)]
            if len(page) > limit:
                return KeyPage(page[:limit], cursor_after(page[limit - 1]))
        return KeyPage(page, None)

    async def _names(self, prefix: str) -> list[str]:
        """Return the keys with a prefix in their order, deleted ones included."""
        pattern = self._subject + layout.names_with(prefix)
        found: set[str] = set()
        offset = 0
        while True:
            answer = await self._info(json.encode({"subjects_filter": pattern, "offset": offset}))
            subjects = answer.state.subjects if answer.state is not None else None
            found.update(subjects or ())
            offset += len(subjects or ())
            if offset > MAX_NAMES:
                raise StoreRefusedError(
                    f"bucket {self._settings.bucket} on {self._settings.where} has over {MAX_NAMES} keys, and all are"
                    " sent to list some; use several buckets"
                )
            if not subjects or offset >= answer.total:
                break
        keys = (layout.key_of(each[len(self._subject) :]) for each in found)
        return sorted(key for key in keys if key is not None and key.startswith(prefix))

    async def _last(self, name: str) -> Message | None:
        """Return the last message of a key, which may be a marker."""
        found = await self._message({"last_by_subj": self._subject + name})
        if found is not None and found.subject != self._subject + name:
            raise StoreUnavailableError(f"{self._settings.where} answered something else than was asked")
        return found

    async def _message(self, request: dict[str, Any]) -> Message | None:
        data = await self._client.request(f"$JS.API.STREAM.MSG.GET.{self._stream}", json.encode(request))
        answer = self._decoded(data, ReadAnswer, is_write=False)
        if answer.error is not None:
            if answer.error.err_code == errors.NO_MESSAGE:
                return None
            raise errors.of_api(answer.error, self._settings, is_write=False)
        if answer.message is None:
            raise StoreUnavailableError(f"{self._settings.where} answered something else than was asked")
        return answer.message

    def _stored(self, message: Message) -> StoredValue | None:
        """Return what a message stores; None: it is a marker, or has expired."""
        try:
            return message.stored
        except ValueError as error:
            raise StoreUnavailableError(f"{self._settings.where} did not answer as JetStream does") from error

    async def _info(self, request: bytes = b"") -> StreamAnswer:
        data = await self._client.request(f"$JS.API.STREAM.INFO.{self._stream}", request)
        answer = self._decoded(data, StreamAnswer, is_write=False)
        if answer.error is not None:
            raise errors.of_api(answer.error, self._settings, is_write=False)
        return answer

    def feed(self, prefix: str, since: str | None = None) -> Feed:
        from . import feed  # only who watches keys needs it

        bucket = feed.Bucket(self._client, self._settings, self._stream, self._subject, self._info, self._message)
        return feed.follow(bucket, prefix, since)

    # --- writing ------------------------------------------------------------------------------------------------------

    async def set(self, write: Set) -> None:
        await self._write(write)

    async def delete(self, write: Delete) -> None:
        await self._write(write)

    async def bulk_write(self, writes: Sequence[Write]) -> Sequence[StoreError | None]:
        return await write_each(self._write, writes, AT_ONCE)

    async def _write(self, write: Write) -> None:
        name = layout.name_of(write.key)
        if isinstance(write, Set) and write.ttl is not None:
            self._check_expiry(write)
        if write.if_absent:
            await self._write_if_absent(write, name)
            return
        last = None if write.if_match is None else layout.revision(write)
        if not await self._send(write, name, last):
            raise absent_or_changed(write)

    async def _write_if_absent(self, write: Write, name: str) -> None:
        """Create a key. A marker of a deleted key is read first, because its number is the precondition then."""
        last = 0
        for _ in range(ATTEMPTS):
            if isinstance(write, Set) and await self._send(write, name, last):
                return
            found = await self._last(name)
            if found is not None and self._stored(found):
                raise exists_already(write)
            if not isinstance(write, Set):
                return
            last = found.seq if found is not None else 0
        raise StoreUnavailableError("the key is written and deleted too often to find it absent; try again")

    async def _send(self, write: Write, name: str, last: int | None) -> bool:
        if not isinstance(write, Set):
            return await self._publish(name, b"", layout.DELETION, last)
        fields = {} if write.ttl is None else {layout.TTL: str(write.ttl)}
        return await self._publish(name, write.value, fields, last)

    async def _publish(self, name: str, value: bytes, fields: Mapping[str, str], last: int | None) -> bool:
        """Write a message for a key, if its last one has this number; return whether it had."""
        if last is not None:
            fields = {**fields, layout.EXPECTED: str(last)}
        client = self._client
        self._check_size(len(value) + layout.size(fields), client.max_payload)
        data = await client.request(self._subject + name, value, fields, is_write=True)
        answer = self._decoded(data, WriteAnswer, is_write=True)
        if answer.error is None and answer.seq > 0:
            return True
        error = answer.error or layout.ApiError()
        if last is not None and error.err_code in errors.WRONG_LAST:
            return False
        raise errors.of_api(error, self._settings, is_write=True)

    def _check_expiry(self, write: Write) -> None:
        """Raise NotSupportedError if the bucket cannot let one key expire, so that it is absent from then on."""
        bucket, stream = self._settings.bucket, self._stream
        if not self._config.allow_msg_ttl:
            raise NotSupportedError(
                f"key {write.key} cannot expire alone in bucket {bucket}; leave ttlInSeconds out, or allow it on a "
                f"server 2.11 or newer (nats stream edit {stream} --allow-msg-ttl) and restart the sidecar"
            )
        if self._config.max_msgs_per_subject != 1:
            raise NotSupportedError(
                f"key {write.key} cannot expire in bucket {bucket}, whose history would bring back the value before; "
                f"leave ttlInSeconds out, or keep no history (nats stream edit {stream} --max-msgs-per-subject=1) and "
                "restart the sidecar"
            )

    def _check_size(self, size: int, limit: int) -> None:
        if limit and size > limit:
            raise StoreRefusedError(
                f"the value is too large for NATS: {size} bytes with its headers, and {self._settings.where} takes "
                f"{limit}; store less under one key, or raise max_payload there"
            )

    def _decoded(self, data: bytes, kind: type[Answer], *, is_write: bool) -> Answer:
        try:
            return json.decode(data, type=kind)
        except (DecodeError, RecursionError, UnicodeDecodeError) as error:
            what = f"{self._settings.where} did not answer as JetStream does"
            raise unanswered(what, may_have_changed=is_write) from error

    @property
    def _client(self) -> Client:
        if self._opened is None:
            raise StoreUnavailableError("the store is not open")
        return self._opened
