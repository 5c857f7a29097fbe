"""A pluggable state store: serves components of type `state.ledger` on the socket `ledger.sock`.

It keeps what it claims: ETags with first-write, transactions of up to 1000 operations, and expiry.
"""

import os
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import grpc
from google.protobuf.any_pb2 import Any
from google.rpc.error_details_pb2 import BadRequest
from google.rpc.status_pb2 import Status
from grpc_reflection.v1alpha import reflection
from grpc_status import rpc_status
from ledger_file import Ledger, MismatchError

sys.path.append(str(Path(__file__).parent / "protos"))
messages, services = grpc.protos_and_services("state.proto")
common = grpc.protos("common.proto")

NAMES = ("StateStore", "TransactionalStateStore", "TransactionalStoreMultiMaxSize")
MAX_OPERATIONS = 1000
MAX_MESSAGE_BYTES = 64 * 1024 * 1024


class LedgerStore(
    services.StateStoreServicer,
    services.TransactionalStateStoreServicer,
    services.TransactionalStoreMultiMaxSizeServicer,
):
    """Serves all components of this type: calls name theirs in the field x-component-instance."""

    def __init__(self):
        self._ledgers = {}

    def Init(self, request, context):  # noqa: N802
        file = request.metadata.properties.get("file")
        if not file:
            context.abort(grpc.StatusCode.INVALID_ARGUMENT, "file is missing")
        self._ledgers[instance(context)] = Ledger(file)
        return messages.InitResponse()

    def Features(self, request, context):  # noqa: N802
        return common.FeaturesResponse(features=["ETAG", "TRANSACTIONAL", "TTL"])

    def Ping(self, request, context):  # noqa: N802
        self._ledger(context).get("")
        return common.PingResponse()

    def Get(self, request, context):  # noqa: N802
        found = self._ledger(context).get(request.key)
        return messages.GetResponse() if found is None else messages.GetResponse(**fields(found))

    def BulkGet(self, request, context):  # noqa: N802
        ledger = self._ledger(context)
        found = {item.key: ledger.get(item.key) for item in request.items}
        items = [
            messages.BulkStateItem(key=key, **({} if entry is None else fields(entry))) for key, entry in found.items()
        ]
        return messages.BulkGetResponse(items=items)

    def Set(self, request, context):  # noqa: N802
        self._write([request], context)
        return messages.SetResponse()

    def Delete(self, request, context):  # noqa: N802
        self._write([request], context)
        return messages.DeleteResponse()

    def BulkSet(self, request, context):  # noqa: N802
        self._write(request.items, context)
        return messages.BulkSetResponse()

    def BulkDelete(self, request, context):  # noqa: N802
        self._write(request.items, context)
        return messages.BulkDeleteResponse()

    def Transact(self, request, context):  # noqa: N802
        self._write([getattr(each, each.WhichOneof("request")) for each in request.operations], context)
        return messages.TransactionalStateResponse()

    def MultiMaxSize(self, request, context):  # noqa: N802
        return messages.MultiMaxSizeResponse(max_size=MAX_OPERATIONS)

    def _write(self, requests, context):
        try:
            self._ledger(context).write(requests)
        except MismatchError:
            violation = BadRequest.FieldViolation(field="etag", description="it is not the current one")
            refuse(context, grpc.StatusCode.FAILED_PRECONDITION, BadRequest(field_violations=[violation]))

    def _ledger(self, context):
        ledger = self._ledgers.get(instance(context))
        if ledger is None:
            context.abort(grpc.StatusCode.FAILED_PRECONDITION, "Init comes first")
        return ledger


def instance(context):
    """Return the name of the component that a call is for."""
    return dict(context.invocation_metadata()).get("x-component-instance", "")


def fields(entry):
    """Return the fields of an answer."""
    expiry = {}
    if entry.expires_at is not None:
        expiry["ttlExpireTime"] = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(round(entry.expires_at)))
    return {"data": entry.value, "etag": messages.Etag(value=entry.etag), "metadata": expiry}


def refuse(context, code, detail):
    """End a call with an error that says more than its code."""
    packed = Any()
    packed.Pack(detail)
    context.abort_with_status(rpc_status.to_status(Status(code=code.value[0], message=code.name, details=[packed])))


def main():
    folder = Path(os.environ.get("DAPR_COMPONENTS_SOCKETS_FOLDER", "/tmp/dapr-components-sockets"))
    folder.mkdir(parents=True, exist_ok=True)
    socket = folder / "ledger.sock"
    socket.unlink(missing_ok=True)
    sizes = [(f"grpc.max_{way}_message_length", MAX_MESSAGE_BYTES) for way in ("receive", "send")]
    server = grpc.server(ThreadPoolExecutor(8), options=sizes)
    store = LedgerStore()
    for name in NAMES:
        getattr(services, f"add_{name}Servicer_to_server")(store, server)
    reflection.enable_server_reflection([f"dapr.proto.components.v1.{name}" for name in NAMES], server)
    server.add_insecure_port(f"unix:{socket}")
    server.start()
    print(f"state.ledger is served on {socket}", flush=True)
    server.wait_for_termination()


if __name__ == "__main__":
    main()
