"""The HTTP API declared to FastAPI: its OpenAPI document, its page, and the same calls for any ASGI server.

Importing it takes half a second and 20 MB, so `asgi.py` imports it only when somebody requests `/docs`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec
from fastapi import FastAPI, Request, Response
from fastapi.openapi.docs import get_swagger_ui_html
from fastapi.responses import StreamingResponse

from ..state.idempotency import MAX_KEY
from ..state.requests import MAX_LIMIT
from .batch_calls import BatchBody
from .change_calls import (
    ExistsBody,
    LengthBody,
    NumberBody,
    SentAppend,
    SentGetAndSet,
    SentIncrement,
    SentTouch,
)
from .docs_page import with_table
from .encoding import BulkDeleteBody, DeletedBody, ErrorBody, ItemBody, KeysBody, QueryBody
from .messages import Call, EndlessAnswer, StreamedAnswer
from .paths import Path, paths_of
from .sent import LenientItem, SentBulkGet, SentOperation, SentTransaction, StrictItem

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from .calls import HttpApi
    from .messages import Parts
    from .profiles import Profile


def build(api: HttpApi) -> FastAPI:
    """Return the API as an ASGI app that answers with the same bytes as `HttpConnection`."""
    app = FastAPI(
        title="Pannier",
        version=api.runtime.version,
        description="State that rides beside your app: save, get and delete keys in the store of your choice.",
        redirect_slashes=False,
        docs_url=None,
        redoc_url=None,
    )
    paths = paths_of(api.profile)
    shown = get_swagger_ui_html(openapi_url="/openapi.json", title="Pannier", swagger_favicon_url="data:,")
    page = with_table(bytes(shown.body).decode(), paths)

    async def docs() -> Response:
        return Response(page, media_type="text/html")

    async def endpoint(request: Request) -> Response:
        return await _answered(api, request)

    async def unmatched(request: Request, _: Exception) -> Response:
        return await _answered(api, request)

    app.add_api_route("/docs", docs, include_in_schema=False)
    for path in paths:
        if path.operation != "documentation":
            _declare(app, path, api.profile, endpoint)
    # FastAPI's routes do not match paths with an escaped slash. HttpApi answers those, and wrong paths.
    app.add_exception_handler(404, unmatched)
    app.add_exception_handler(405, unmatched)
    _describe_bodies(app, api.profile)
    return app


async def _answered(api: HttpApi, request: Request) -> Response:
    headers = {name.lower(): value for name, value in request.scope["headers"]}
    path = request.scope["raw_path"]
    query = request.scope["query_string"]
    answer = await api.answer(Call(request.method.encode(), path, query, headers, await request.body()))
    response = Response(answer.body, answer.status)
    if isinstance(answer, StreamedAnswer | EndlessAnswer):
        response = StreamingResponse(_all(answer.parts), answer.status)
    response.raw_headers = answer.header_list()
    return response


async def _all(parts: Parts) -> AsyncIterator[bytes]:
    try:
        async for part in parts:
            yield part
    finally:
        await parts.aclose()


def _declare(app: FastAPI, path: Path, profile: Profile, endpoint: Any) -> None:
    for method in path.methods:
        app.add_api_route(
            path.template,
            endpoint,
            methods=[method],
            operation_id=f"{path.operation}_{method.lower()}" + ("_default" if path.is_for_default_store else ""),
            summary=path.summary,
            response_class=Response,
            status_code=_success(path.operation, profile),
            responses=_responses(path.operation),
            openapi_extra=_request(path),
        )


def _success(operation: str, profile: Profile) -> int:
    return {
        "save": profile.saved,
        "put_value": profile.saved,
        "delete": profile.deleted,
        "transact": 204,
        "transact_actor_state": 204,
        "set_metadata": 204,
        "healthz": 204,
        "healthz_outbound": 204,
        "shutdown": 204,
    }.get(operation, 200)


CHANGES = frozenset({"increment", "append", "get_and_set", "touch"})
STATE_OPERATIONS = CHANGES | {
    *("get", "save", "delete", "bulk_get", "bulk_delete", "transact", "batch", "get_value", "put_value"),
    *("keys", "delete_keys", "query", "exists", "watch"),
}
IDEMPOTENT = CHANGES | {"save", "delete", "transact"}
"""The calls that take an Idempotency-Key."""
WRITES = frozenset({"save", "delete", "bulk_delete", "transact", "transact_actor_state"})
BODIES = {
    "save": {"type": "array", "items": {"$ref": "#/components/schemas/Item"}},
    "bulk_get": {"$ref": "#/components/schemas/BulkGet"},
    "bulk_delete": {"type": "array", "items": {"$ref": "#/components/schemas/Item"}},
    "transact": {"$ref": "#/components/schemas/Transaction"},
    "transact_actor_state": {"type": "array", "items": {"$ref": "#/components/schemas/Operation"}},
    "query": {"$ref": "#/components/schemas/Query"},
    "batch": {"$ref": "#/components/schemas/Transaction"},
    "increment": {"$ref": "#/components/schemas/Increment"},
    "append": {"$ref": "#/components/schemas/Append"},
    "get_and_set": {"$ref": "#/components/schemas/GetAndSet"},
    "touch": {"$ref": "#/components/schemas/Touch"},
}
_ANY_BYTES = {"application/octet-stream": {"schema": {"type": "string", "format": "binary"}}}
ANSWERS = {
    "get": {"description": "The value, byte for byte as it was saved"},
    "get_actor_state": {"description": "The value, byte for byte as it was saved"},
    "bulk_get": {"type": "array", "items": {"$ref": "#/components/schemas/FoundItem"}},
    "keys": {"$ref": "#/components/schemas/KeysPage"},
    "bulk_delete": {"$ref": "#/components/schemas/BulkDelete"},
    "query": {"$ref": "#/components/schemas/QueryPage"},
    "increment": {"$ref": "#/components/schemas/Number"},
    "append": {"$ref": "#/components/schemas/Length"},
    "get_and_set": {"description": "The value before, byte for byte"},
    "touch": {"$ref": "#/components/schemas/Exists"},
    "exists": {"$ref": "#/components/schemas/Exists"},
    "batch": {"$ref": "#/components/schemas/Batch"},
    "delete_keys": {"$ref": "#/components/schemas/DeletedKeys"},
    "delete_actor_state": {"$ref": "#/components/schemas/DeletedKeys"},
    "get_secret": {"type": "object", "additionalProperties": {"type": "string"}},
    "get_secrets": {
        "type": "object",
        "additionalProperties": {"type": "object", "additionalProperties": {"type": "string"}},
    },
    "metadata": {"type": "object"},
}


def _responses(operation: str) -> dict[int | str, dict[str, Any]]:
    error = {"application/json": {"schema": {"$ref": "#/components/schemas/Error"}}}
    responses: dict[int | str, dict[str, Any]] = {}
    if operation in ANSWERS:
        responses[200] = {"description": "Found", "content": {"application/json": {"schema": ANSWERS[operation]}}}
    if operation in ("get", "get_actor_state"):
        responses[200]["headers"] = {"ETag": {"schema": {"type": "string"}}}
        responses[204] = {"description": "The key is not there"}
    if operation == "get_value":
        responses[200] = responses[206] = {"description": "The bytes", "content": _ANY_BYTES}
        responses[204] = {"description": "The key is not there"}
        responses[304] = {"description": "The ETag is one of If-None-Match"}
        responses[412] = {"description": "The ETag is none of If-Match"}
        responses[416] = {"description": "The range begins after the end"}
    if operation == "put_value":
        responses[413] = {"description": "The value is too large", "content": error}
    if operation == "get_and_set":
        responses[204] = {"description": "There was no value"}
    if operation == "watch":
        stream = {"text/event-stream": {"schema": {"type": "string"}}}
        responses[200] = {"description": "Server-Sent Events, without an end", "content": stream}
        responses[406] = {"description": "The accept header leaves out text/event-stream", "content": error}
        responses[429] = {"description": "There are too many watches", "content": error}
    if operation == "query":
        responses[204] = {"description": "Nothing was found"}
    if operation in STATE_OPERATIONS or "actor" in operation:
        responses[400] = {"description": "The request is malformed, or the store missing", "content": error}
        responses[500] = {"description": "The store failed", "content": error}
        responses[503] = {"description": "The store is not ready yet", "content": error}
    if operation.startswith("get_secret"):
        responses[400] = {"description": "No such secret store", "content": error}
        responses[404] = {"description": "The store has no such secret", "content": error}
        responses[500] = {"description": "The store failed", "content": error}
        responses[503] = {"description": "The store cannot be reached", "content": error}
    if operation in WRITES or operation == "put_value":
        responses[409] = {"description": "The ETag is not the current one", "content": error}
    if operation in CHANGES:
        responses[409] = {
            "description": "The ETag is not the current one, or the value can't be changed so",
            "content": error,
        }
    if operation in IDEMPOTENT:
        responses[422] = {"description": "The Idempotency-Key came with another request before", "content": error}
    if operation == "healthz":
        responses[200] = {"description": "With `verbose`: each store", "content": {"application/json": {}}}
    if operation.startswith("healthz"):
        responses[500] = {"description": "Not ready", "content": error}
    responses[401] = {"description": "The API token is missing or wrong"}
    return responses


def _request(path: Path) -> dict[str, Any]:
    names = [segment[1:-1] for segment in path.template.split("/") if segment.startswith("{")]
    parameters = [_parameter(name, "path", required=True) for name in names]
    operation = path.operation
    if operation in STATE_OPERATIONS - {"keys", "delete_keys", "query", "watch"}:
        parameters.append(_parameter("consistency", "query", enum=["strong", "eventual"]))
    if operation in WRITES:
        parameters.append(_parameter("concurrency", "query", enum=["first-write", "last-write"]))
        parameters.append(_parameter("retryPattern", "query", enum=["linear", "exponential"]))
        parameters += [_parameter(name, "query", type="integer") for name in ("retryInterval", "retryThreshold")]
    if operation in CHANGES or operation in ("delete", "get_value", "put_value"):
        parameters.append(_parameter("If-Match", "header"))
    if operation == "put_value":
        parameters.append(_parameter("concurrency", "query", enum=["first-write", "last-write"]))
    if operation in ("get_value", "put_value"):
        parameters.append(_parameter("If-None-Match", "header"))
    if operation == "get_value":
        parameters += [_parameter(name, "header") for name in ("Range", "If-Range")]
    if operation in IDEMPOTENT:
        parameters.append(_parameter("Idempotency-Key", "header", maxLength=MAX_KEY))
    if operation == "batch":
        parameters.append(_parameter("returnEtags", "query", type="boolean"))
    if operation == "watch":
        parameters += [_parameter("prefix", "query"), _parameter("since", "query")]
        parameters.append(_parameter("values", "query", type="boolean"))
        parameters.append(_parameter("Last-Event-ID", "header"))
    if operation == "exists":
        parameters.append(_parameter("key", "query", required=True))
    if operation in ("keys", "delete_keys", "delete_actor_state"):
        parameters.append(_parameter("cursor", "query"))
        parameters.append(_parameter("limit", "query", type="integer", minimum=1, maximum=MAX_LIMIT))
    if operation in ("keys", "delete_keys"):
        parameters.append(_parameter("prefix", "query", required=operation == "delete_keys"))
    if operation == "keys":
        parameters += [_parameter(name, "query", type="boolean") for name in ("values", "actors")]
    if operation == "healthz":
        parameters += [_parameter("verbose", "query"), _parameter("appid", "query")]
    extra: dict[str, Any] = {"parameters": parameters}
    if operation in BODIES:
        schema = BODIES[operation]
        extra["requestBody"] = {"required": True, "content": {"application/json": {"schema": schema}}}
    if operation == "put_value":
        extra["requestBody"] = {"required": True, "content": _ANY_BYTES}
    if operation == "set_metadata":
        extra["requestBody"] = {"content": {"text/plain": {"schema": {"type": "string"}}}}
    return extra


def _parameter(name: str, place: str, *, required: bool = False, **schema: Any) -> dict[str, Any]:
    return {"name": name, "in": place, "required": required, "schema": {"type": "string", **schema}}


def _describe_bodies(app: FastAPI, profile: Profile) -> None:
    """Add the bodies' schemas, made from the structs that read and write them."""
    item: Any = LenientItem if profile.is_lenient else StrictItem
    named: dict[str, Any] = {
        "Item": item,
        "BulkGet": SentBulkGet,
        "Operation": SentOperation[item],
        "Transaction": SentTransaction[SentOperation[item]],
        "FoundItem": ItemBody,
        "KeysPage": KeysBody,
        "BulkDelete": BulkDeleteBody,
        "QueryPage": QueryBody,
        "DeletedKeys": DeletedBody,
        "Error": ErrorBody,
        "Increment": SentIncrement,
        "Append": SentAppend,
        "GetAndSet": SentGetAndSet,
        "Touch": SentTouch,
        "Number": NumberBody,
        "Length": LengthBody,
        "Exists": ExistsBody,
        "Batch": BatchBody,
    }
    schemas, components = msgspec.json.schema_components(
        named.values(), schema_hook=_schema_of_raw, ref_template="#/components/schemas/{name}"
    )
    components["Query"] = {"type": "object"}
    for component in components.values():
        component.pop("additionalProperties", None)  # unknown fields are ignored, see `decoding`
    inline = app.openapi

    def openapi() -> dict[str, Any]:
        document = inline()
        known = document.setdefault("components", {}).setdefault("schemas", {})
        known.update(components)
        known.update({name: schema for name, schema in zip(named, schemas, strict=True) if name not in components})
        return document

    app.openapi = openapi  # type: ignore[method-assign]  # FastAPI's documented way to extend the document


def _schema_of_raw(kind: type) -> dict[str, Any]:
    if kind is msgspec.Raw:
        return {"description": "Any JSON value"}
    raise NotImplementedError(kind)
