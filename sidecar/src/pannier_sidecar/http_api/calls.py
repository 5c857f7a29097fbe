"""Every call of the HTTP API: from a completely received request to its answer.

`HttpConnection` and the ASGI app both come here, so both answer with the same bytes.
"""

from __future__ import annotations

from functools import cached_property, partial
from typing import TYPE_CHECKING, Any

from msgspec.structs import replace

from pannier_crds.digests import compare_digest
from pannier_crds.folder import STATUS_KEY_HEADER

from ..runtime import not_counted
from ..state.errors import ApiNotAllowedError, OperationFailedError, StateError, ValueInPartsError
from ..state.items_in_flight import MUCH
from ..state.pacing import FEW
from ..state.requests import (
    ActorGetRequest,
    ActorTransactRequest,
    BulkGetRequest,
    DeleteRequest,
    GetRequest,
    SaveRequest,
    TransactRequest,
    WriteItem,
)
from .advice import on_if_match, on_path
from .bounds import likely_items, likely_keys
from .decoding import NO_DEFAULTS, Decoding, RequestDefaults, request_defaults
from .encoding import NO_CONTENT, error_answer, items_answer, query_answer, refusal, value_answer
from .key_calls import KeyCalls
from .messages import TEXT, Answer
from .paths import Operation, PathTree, paths_of, tidied
from .secrets import SecretCalls
from .sidecar_calls import SidecarCalls

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from pannier_crds.api_lists import Api, ApiLists

    from ..runtime import Runtime
    from ..state.items_in_flight import Share
    from ..state.repeatable import RepeatableWrites
    from ..state.service import StateService
    from .change_calls import ChangeCalls
    from .messages import Call
    from .profiles import Profile
    from .value_calls import ValueCalls
    from .watch_calls import WatchCalls

    Handler = Callable[..., Awaitable[Answer]]

SHORT = 512
"""A body with fewer bytes than this is too short for many items."""
WITHOUT_TOKEN = frozenset({b"/v1.0/healthz", b"/v1.0/healthz/outbound"})
"""Probes have no token (as in Dapr)."""

UNAUTHORIZED = Answer(401, b"invalid api token\n", TEXT)
STATUS_KEY = STATUS_KEY_HEADER.encode()


class HttpApi:
    """The HTTP API of one app's sidecar."""

    def __init__(self, service: StateService, runtime: Runtime, profile: Profile, token: str | None = None):
        """Serve `service`. With a `token`, calls must carry it in the header `dapr-api-token`."""
        self.runtime = runtime
        self.profile = profile
        self.on_error: Callable[[StateError], None] = not_counted
        """Called with each error that a request is answered with."""
        self.documentation: Callable[[Call], Awaitable[Answer]] | None = None
        """Answers `/openapi.json` and `/docs`. It is set from outside, so that this module does not need FastAPI."""
        self.service = service
        self._token = token.encode() if token else None
        self.decoding = Decoding(is_lenient=profile.is_lenient, max_items=service.max_items, pace=service.pace)
        self.paths = PathTree(paths_of(profile), plus_is_space=profile.plus_is_space)
        self._saved = Answer(profile.saved)
        self._deleted = Answer(profile.deleted)
        self._key_calls = KeyCalls(service, profile)
        secrets = SecretCalls(runtime)
        self._sidecar_calls = SidecarCalls(runtime, profile)
        self.denied: dict[Operation, Api] = {}
        """The operations that are refused; see `restrict`."""
        self._every_handler: dict[Operation, Handler] = {
            Operation.GET: self._get,
            Operation.SAVE: self._sharing(self._save, likely_items),
            Operation.DELETE: self._delete,
            Operation.BULK_GET: self._sharing(self._bulk_get, likely_keys),
            Operation.TRANSACT: self._sharing(self._transact, likely_items),
            Operation.KEYS: self._key_calls.keys,
            Operation.BULK_DELETE: self._sharing(self._bulk_delete, likely_items),
            Operation.DELETE_KEYS: self._key_calls.delete_keys,
            Operation.QUERY: self._query,
            Operation.INCREMENT: partial(self._change, Operation.INCREMENT),
            Operation.APPEND: partial(self._change, Operation.APPEND),
            Operation.GET_AND_SET: partial(self._change, Operation.GET_AND_SET),
            Operation.TOUCH: partial(self._change, Operation.TOUCH),
            Operation.EXISTS: self._exists,
            Operation.GET_VALUE: self._get_value,
            Operation.PUT_VALUE: self._put_value,
            Operation.BATCH: self._sharing(self._batch, likely_items),
            Operation.WATCH: self._watch,
            Operation.GET_ACTOR_STATE: self._get_actor_state,
            Operation.TRANSACT_ACTOR_STATE: self._sharing(self._transact_actor_state, likely_items),
            Operation.DELETE_ACTOR_STATE: self._key_calls.delete_actor_state,
            Operation.GET_SECRET: secrets.get,
            Operation.GET_SECRETS: secrets.get_all,
            Operation.METADATA: self._sidecar_calls.metadata,
            Operation.SET_METADATA: self._sidecar_calls.set_metadata,
            Operation.HEALTHZ: self._sidecar_calls.healthz,
            Operation.HEALTHZ_OUTBOUND: self._sidecar_calls.healthz_outbound,
            Operation.SHUTDOWN: self._sidecar_calls.shutdown,
            Operation.DOCUMENTATION: self._documentation,
        }
        self._handlers = self._every_handler

    def restrict(self, lists: ApiLists) -> None:
        """From now on refuse the operations that the lists of a Configuration do not permit."""
        from .operations import denied_operations  # few sidecars have such lists

        self.denied = denied_operations(paths_of(self.profile), lists)
        refused = {operation: partial(self._refuse, api) for operation, api in self.denied.items()}
        self._handlers = {**self._every_handler, **refused}

    async def _refuse(self, api: Api, call: Call, *texts: str | None) -> Answer:
        if self.profile.invokes_apps:
            return self._unknown(call.method, call.path)
        raise ApiNotAllowedError(api.name, api.version, "HTTP")

    async def answer(self, call: Call, *, is_public: bool = False) -> Answer:
        """Return the answer to any request; errors of callers, stores and components become answers and are not raised.

        The public port (`is_public`) has only health, which needs no token, and metadata, which needs one.
        """
        if not is_public and not self.is_allowed(call):
            return UNAUTHORIZED
        path = tidied(call.path) if self.profile.tidies_paths else call.path
        try:
            found = self.paths.find(call.method, path)
            if found is None and path.endswith(b"/") and call.method not in KEYED:
                found = self.paths.find(call.method, path[:-1])
            if found is None or (is_public and not found[0].is_public):
                return self._unknown(call.method, path)
            where, texts = found
            if where.is_public and not self._is_trusted(call, is_public):
                return self._sidecar_calls.without_token(where.operation, call)
            return await self._handlers[where.operation](call, *texts)
        except StateError as error:
            return self._failed(error)

    async def answer_of(self, result: Awaitable[Any], answer: Callable[[Any], Answer]) -> Answer:
        """Await the result of a begun call. Return the answer that `answer` makes of it, or the answer to its error."""
        try:
            return answer(await result)
        except StateError as error:
            if not isinstance(error, OperationFailedError) or not isinstance(error.__cause__, ValueInPartsError):
                return self._failed(error)
            try:
                return await self._value_calls.in_parts(error, None)
            except StateError as failure:
                return self._failed(failure)

    def _failed(self, error: StateError) -> Answer:
        self.on_error(error)
        return error_answer(error, self.profile)

    def is_allowed(self, call: Call) -> bool:
        """Return whether a request has the API token, if one is needed."""
        if self._token is None:
            return True
        given = call.headers.get(b"dapr-api-token", b"")
        return call.path in WITHOUT_TOKEN or compare_digest(given, self._token)

    def _is_trusted(self, call: Call, is_public: bool) -> bool:
        """Return whether the caller may learn about stores and the app, and not only whether the sidecar is ready."""
        headers = call.headers
        if self._token is None and not is_public:
            return True
        if self._token is not None and compare_digest(headers.get(b"dapr-api-token", b""), self._token):
            return True
        key = self.runtime.status_key().encode()
        return bool(key) and compare_digest(headers.get(STATUS_KEY, b""), key)

    def _unknown(self, method: bytes, path: bytes) -> Answer:
        if self.profile.invokes_apps:
            message = "failed getting app id either from the URL path or the header dapr-app-id"
            advice = f"no other app is called here, {on_path(method, path)}"
            return refusal(404, "ERR_DIRECT_INVOKE", message, advice, gives_advice=self.profile.gives_advice)
        known = self.paths.methods(path)
        if known:
            allowed = ", ".join(known)
            answer = refusal(
                405, "ERR_METHOD_NOT_ALLOWED", f"{_shown(method)} is no method of this path; use {allowed}"
            )
            answer.headers = ((b"allow", allowed.encode()),)
            return answer
        return refusal(404, "ERR_NOT_FOUND", f"no such path: {_shown(path)}; {on_path(method, path)}")

    # --- state ----------------------------------------------------------------------------------------------------

    def _sharing(self, handler: Handler, likely: Callable[[bytes], int]) -> Handler:
        """Return a handler that first waits for other requests if the body is large or may have many items."""

        def answer(call: Call, *texts: str | None) -> Awaitable[Answer]:
            if len(call.body) <= SHORT or ((items := likely(call.body)) <= FEW and len(call.body) <= MUCH):
                return handler(call, *texts)
            return self._answer_many(handler, items, call, *texts)

        return answer

    async def _answer_many(self, handler: Handler, items: int, call: Call, *texts: str | None) -> Answer:
        share = await self.service.in_flight.share(items, len(call.body))
        try:
            return await handler(call, *texts, share=share)
        finally:
            share.end()

    async def _get(self, call: Call, store: str | None, key: str) -> Answer:
        defaults = _defaults_of(call)
        try:
            return value_answer(await self.service.get(GetRequest(store, key, defaults.consistency, defaults.metadata)))
        except OperationFailedError as error:
            if not isinstance(error.__cause__, ValueInPartsError):
                raise
            return await self._value_calls.in_parts(error, call)

    async def _save(self, call: Call, store: str | None, share: Share | None = None) -> Answer:
        self.service.directory.find(store)  # a missing store is reported before a malformed body (as in Dapr)
        items = await self.decoding.items(call.body, _defaults_of(call))
        if share is not None:
            share.correct(len(items))
        request = SaveRequest(store, items)
        if once := self._idempotency_key(call):
            await self._repeatable.save(request, once)
        else:
            await self.service.save(request)
        return self._saved

    @cached_property
    def _repeatable(self) -> RepeatableWrites:
        from ..state.repeatable import RepeatableWrites  # most sidecars are never asked one

        return RepeatableWrites(self.service)

    def _idempotency_key(self, call: Call) -> str:
        """Return the Idempotency-Key of a call that Dapr has too; empty if there is none, or if Dapr's answers are
        given, because Dapr ignores it.
        """
        return "" if self.profile.invokes_apps else call.headers.get(b"idempotency-key", b"").decode("latin-1")

    def saved(self, _: None) -> Answer:
        """Return the answer to a save."""
        return self._saved

    def deleted(self, _: None) -> Answer:
        """Return the answer to a delete."""
        return self._deleted

    async def _delete(self, call: Call, store: str | None, key: str) -> Answer:
        defaults = _defaults_of(call)
        etag = call.headers.get(b"if-match", b"").decode("utf-8", "replace")
        item = WriteItem(
            key,
            etag=etag,
            concurrency=defaults.concurrency,
            consistency=defaults.consistency,
            metadata=defaults.metadata,
            retry=defaults.retry,
        )
        request = DeleteRequest(store, item)
        try:
            if once := self._idempotency_key(call):
                await self._repeatable.delete(request, once)
            else:
                await self.service.delete(request)
        except OperationFailedError as error:
            advice = on_if_match(etag) if error.http_status == 409 and not self.profile.invokes_apps else ""
            if not advice:
                raise
            return refusal(409, error.code, f"{error}{advice}")
        return self._deleted

    async def _bulk_get(self, call: Call, store: str | None, share: Share | None = None) -> Answer:
        if store is None and self.service.directory.knows("bulk"):
            return await self._save(call, "bulk", share)  # the same path saves to a store that is named `bulk`
        self.service.directory.find(store)
        keys, metadata = await self.decoding.bulk_get(call.body)
        if share is not None:
            share.correct(len(keys))
        defaults = _defaults_of(call)
        metadata = {**metadata, **defaults.metadata}
        found = await self.service.bulk_get(BulkGetRequest(store, keys, defaults.consistency, metadata))
        return await items_answer(found, self.service.pace)

    async def _transact(self, call: Call, store: str | None, share: Share | None = None) -> Answer:
        if store is None and self.service.directory.knows("transaction"):
            return await self._save(call, "transaction", share)
        self.service.require_transactions(store)
        items, metadata = await self.decoding.transaction(call.body, _defaults_of(call))
        if share is not None:
            share.correct(len(items))
        request = TransactRequest(store, items, metadata)
        if once := self._idempotency_key(call):
            await self._repeatable.transact(request, once)
        else:
            await self.service.transact(request)
        return NO_CONTENT

    async def _bulk_delete(self, call: Call, store: str | None, share: Share | None = None) -> Answer:
        self.service.directory.find(store)
        items = await self.decoding.items(call.body, _defaults_of(call))
        if share is not None:
            share.correct(len(items))
        return await self._key_calls.bulk_delete(store, items)

    async def _query(self, call: Call, store: str | None) -> Answer:
        return await query_answer(await self.service.queries.run(store, call.body), self.service.pace)

    @cached_property
    def _change_calls(self) -> ChangeCalls:
        from .change_calls import ChangeCalls  # most sidecars are never asked one

        return ChangeCalls(self.service)

    async def _change(self, operation: Operation, call: Call, store: str | None) -> Answer:
        return await self._change_calls.change(operation, call, store)

    async def _exists(self, call: Call, store: str | None) -> Answer:
        return await self._change_calls.exists(call, store)

    @cached_property
    def _value_calls(self) -> ValueCalls:
        from .value_calls import ValueCalls  # most sidecars are never asked one

        return ValueCalls(self.service, self._saved)

    async def _get_value(self, call: Call, store: str | None, key: str) -> Answer:
        return await self._value_calls.get(call, store, key)

    async def _put_value(self, call: Call, store: str | None, key: str) -> Answer:
        return await self._value_calls.put(call, store, key)

    def streams(self, method: bytes, path: bytes) -> bool:
        """Return whether the call of a method and path reads its body while it arrives."""
        try:
            found = self.paths.find(method, tidied(path) if self.profile.tidies_paths else path)
        except StateError:
            return False
        return found is not None and found[0].operation is Operation.PUT_VALUE

    async def _batch(self, call: Call, store: str | None, share: Share | None = None) -> Answer:
        from .batch_calls import batch  # most sidecars are never asked one

        return await batch(self.service, self.decoding, call, store, share)

    @cached_property
    def _watch_calls(self) -> WatchCalls:
        from .watch_calls import WatchCalls  # most sidecars are never asked one

        return WatchCalls(self.service, self.profile, self.on_error)

    async def _watch(self, call: Call, store: str | None) -> Answer:
        return await self._watch_calls.watch(call, store)

    async def _get_actor_state(self, call: Call, actor_type: str, actor_id: str, key: str) -> Answer:
        value = await self.service.get_actor_state(ActorGetRequest(actor_type, actor_id, key))
        if value is None or not value.value:
            return NO_CONTENT
        answer = value_answer(value)
        answer.headers = answer.headers[1:]  # no ETag: an actor has one writer (as in Dapr)
        return answer

    async def _transact_actor_state(
        self, call: Call, actor_type: str, actor_id: str, share: Share | None = None
    ) -> Answer:
        items = await self.decoding.actor_transaction(call.body, _defaults_of(call))
        if share is not None:
            share.correct(len(items))
        await self.service.transact_actor_state(ActorTransactRequest(actor_type, actor_id, items))
        return NO_CONTENT

    async def _documentation(self, call: Call) -> Answer:
        if self.documentation is None:
            return self._unknown(call.method, call.path)
        return await self.documentation(replace(call, path=tidied(call.path)))  # FastAPI knows no other spelling


KEYED = frozenset({b"GET", b"DELETE"})
"""Methods whose last segment is a key: an empty key is an error to report, not a trailing slash to ignore."""


def _defaults_of(call: Call) -> RequestDefaults:
    """Return the request's defaults. Most requests have none, and must not pay for decoding them.

    A header that `request_defaults` reads must be named here too.
    """
    headers = call.headers
    if not call.query_string and b"consistency" not in headers and b"concurrency" not in headers:
        return NO_DEFAULTS
    return request_defaults(call.query(), headers)


def _shown(raw: bytes) -> str:
    return raw[:200].decode("latin-1")
