"""A fake of Spanner: `python -m servers.spanner_fake PORT FILE` serves the part of its API that our store calls.

Sessions and transactions are forgotten when it ends; rows are in the file.
"""

from __future__ import annotations

import asyncio
import itertools
import os
import sys
from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import grpc.aio
from google.cloud.spanner_admin_database_v1.types import CreateDatabaseRequest
from google.cloud.spanner_admin_instance_v1.types import CreateInstanceRequest
from google.cloud.spanner_v1.types import (
    CommitRequest,
    CommitResponse,
    CreateSessionRequest,
    DeleteSessionRequest,
    PartialResultSet,
    ReadRequest,
    RollbackRequest,
    Session,
)
from google.longrunning.operations_pb2 import Operation
from google.protobuf.empty_pb2 import Empty
from google.protobuf.struct_pb2 import Value
from servers.spanner_tables import Refused, Tables

PIECE = 512 * 1024
"""Maximum of a value's characters in one message; a longer value is divided."""
PER_MESSAGE = 100


class Spanner:
    """The service."""

    def __init__(self, tables: Tables):
        self._tables = tables
        self._sessions: dict[str, str] = {}
        self._numbers = itertools.count(1)

    async def create_session(self, request: Any) -> Any:
        self._tables.check_database(request.database)
        name = f"{request.database}/sessions/{os.getpid()}-{next(self._numbers)}"
        self._sessions[name] = request.database
        return Session.meta.pb(name=name)

    async def delete_session(self, request: Any) -> Empty:
        self._sessions.pop(request.name, None)
        return Empty()

    async def streaming_read(self, request: Any) -> AsyncIterator[Any]:
        database = self._database(request.session)
        chosen = request.transaction.WhichOneof("selector")
        transaction = request.transaction.id
        if chosen == "begin":
            transaction = self._tables.begin(request.session)
        cells = list(
            self._tables.read(database, request.table, request.columns, request.key_set, request.limit, transaction)
        )
        for message in messages(cells):
            if chosen == "begin":
                message.metadata.transaction.id = transaction
            yield message

    async def commit(self, request: Any) -> Any:
        database = self._database(request.session)
        transaction = request.transaction_id if request.WhichOneof("transaction") == "transaction_id" else None
        moment = self._tables.commit(database, transaction, request.mutations)
        response = CommitResponse.meta.pb()
        response.commit_timestamp.FromJsonString(moment)
        return response

    async def rollback(self, request: Any) -> Empty:
        self._database(request.session)
        self._tables.forget(request.transaction_id)
        return Empty()

    async def create_instance(self, request: Any) -> Operation:
        return Operation(name="instance", done=True)

    async def create_database(self, request: Any) -> Operation:
        name = request.create_statement.removeprefix("CREATE DATABASE ").strip("`")
        self._tables.create(f"{request.parent}/databases/{name}", request.extra_statements)
        return Operation(name="database", done=True)

    def _database(self, session: str) -> str:
        if session not in self._sessions:
            raise Refused(grpc.StatusCode.NOT_FOUND, f"Session not found: {session}")
        return self._sessions[session]


def messages(cells: Iterable[Value]) -> Iterator[Any]:
    """Put the cells into messages: some in each, with long values divided between several."""
    message = PartialResultSet.meta.pb()
    for cell in cells:
        text = cell.string_value
        while len(text) > PIECE:
            message.values.append(Value(string_value=text[:PIECE]))
            message.chunked_value = True
            yield message
            message, text = PartialResultSet.meta.pb(), text[PIECE:]
            cell = Value(string_value=text)
        message.values.append(cell)
        if len(message.values) >= PER_MESSAGE:
            yield message
            message = PartialResultSet.meta.pb()
    yield message


def unary(method: Callable[[Any], Any], request: Any, answer: Any) -> grpc.RpcMethodHandler:
    async def handle(message: Any, context: grpc.aio.ServicerContext) -> Any:
        try:
            return await method(message)
        except Refused as refused:
            await context.abort(refused.code, str(refused))

    return grpc.unary_unary_rpc_method_handler(handle, request.FromString, answer.SerializeToString)


def streaming(method: Callable[[Any], AsyncIterator[Any]], request: Any, answer: Any) -> grpc.RpcMethodHandler:
    async def handle(message: Any, context: grpc.aio.ServicerContext) -> AsyncIterator[Any]:
        try:
            async for part in method(message):
                yield part
        except Refused as refused:
            await context.abort(refused.code, str(refused))

    return grpc.unary_stream_rpc_method_handler(handle, request.FromString, answer.SerializeToString)


def handlers(spanner: Spanner) -> list[grpc.GenericRpcHandler]:
    services = {
        "google.spanner.v1.Spanner": {
            "CreateSession": unary(spanner.create_session, CreateSessionRequest.meta.pb, Session.meta.pb),
            "DeleteSession": unary(spanner.delete_session, DeleteSessionRequest.meta.pb, Empty),
            "StreamingRead": streaming(spanner.streaming_read, ReadRequest.meta.pb, PartialResultSet.meta.pb),
            "Commit": unary(spanner.commit, CommitRequest.meta.pb, CommitResponse.meta.pb),
            "Rollback": unary(spanner.rollback, RollbackRequest.meta.pb, Empty),
        },
        "google.spanner.admin.instance.v1.InstanceAdmin": {
            "CreateInstance": unary(spanner.create_instance, CreateInstanceRequest.meta.pb, Operation),
        },
        "google.spanner.admin.database.v1.DatabaseAdmin": {
            "CreateDatabase": unary(spanner.create_database, CreateDatabaseRequest.meta.pb, Operation),
        },
    }
    return [grpc.method_handlers_generic_handler(name, methods) for name, methods in services.items()]


async def serve(port: int, file: Path) -> None:
    options = (("grpc.max_receive_message_length", -1), ("grpc.max_send_message_length", -1))
    server = grpc.aio.server(options=options)
    server.add_generic_rpc_handlers(handlers(Spanner(Tables(file))))
    server.add_insecure_port(f"127.0.0.1:{port}")
    await server.start()
    await server.wait_for_termination()


if __name__ == "__main__":
    asyncio.run(serve(int(sys.argv[1]), Path(sys.argv[2])))
