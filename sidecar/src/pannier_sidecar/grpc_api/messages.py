"""The messages of all services. Written by scripts/grpc-messages from the .proto files; never edited.

If several files declare the same message, it is one struct. `pannier_sidecar.protobuf` turns structs into bytes.
"""

from __future__ import annotations

from typing import Annotated

from msgspec import Struct

from pannier_sidecar.protobuf import Int64


class StateItem(Struct, gc=False):
    """Of dapr.proto.common.v1 and spec.proto.runtime.v1."""

    key: Annotated[str, 1] = ""
    value: Annotated[bytes, 2] = b""
    etag: Annotated[Etag | None, 3] = None
    metadata: Annotated[dict[str, str], 4] = {}
    options: Annotated[StateOptions | None, 5] = None


class Etag(Struct, gc=False):
    """Of dapr.proto.common.v1 and spec.proto.runtime.v1."""

    value: Annotated[str, 1] = ""


class StateOptions(Struct, gc=False):
    """Of dapr.proto.common.v1 and spec.proto.runtime.v1."""

    concurrency: Annotated[int, 1] = 0
    consistency: Annotated[int, 2] = 0


class AnyValue(Struct, gc=False):
    """Of google.protobuf."""

    type_url: Annotated[str, 1] = ""
    value: Annotated[bytes, 2] = b""


class Empty(Struct, gc=False):
    """Of google.protobuf."""


class QueryStateRequest(Struct, gc=False):
    """Of dapr.proto.runtime.v1."""

    store_name: Annotated[str, 1] = ""
    query: Annotated[str, 2] = ""
    metadata: Annotated[dict[str, str], 3] = {}


class QueryStateResponse(Struct, gc=False):
    """Of dapr.proto.runtime.v1."""

    results: Annotated[list[QueryStateItem], 1] = []
    token: Annotated[str, 2] = ""


class QueryStateItem(Struct, gc=False):
    """Of dapr.proto.runtime.v1."""

    key: Annotated[str, 1] = ""
    data: Annotated[bytes, 2] = b""
    etag: Annotated[str, 3] = ""
    error: Annotated[str, 4] = ""


class GetStateRequest(Struct, gc=False):
    """Of dapr.proto.runtime.v1 and spec.proto.runtime.v1."""

    store_name: Annotated[str, 1] = ""
    key: Annotated[str, 2] = ""
    consistency: Annotated[int, 3] = 0
    metadata: Annotated[dict[str, str], 4] = {}


class GetStateResponse(Struct, gc=False):
    """Of dapr.proto.runtime.v1 and spec.proto.runtime.v1."""

    data: Annotated[bytes, 1] = b""
    etag: Annotated[str, 2] = ""
    metadata: Annotated[dict[str, str], 3] = {}


class GetBulkStateRequest(Struct, gc=False):
    """Of dapr.proto.runtime.v1 and spec.proto.runtime.v1."""

    store_name: Annotated[str, 1] = ""
    keys: Annotated[list[str], 2] = []
    parallelism: Annotated[int, 3] = 0
    metadata: Annotated[dict[str, str], 4] = {}


class GetBulkStateResponse(Struct, gc=False):
    """Of dapr.proto.runtime.v1 and spec.proto.runtime.v1."""

    items: Annotated[list[BulkStateItem], 1] = []


class BulkStateItem(Struct, gc=False):
    """Of dapr.proto.runtime.v1 and spec.proto.runtime.v1."""

    key: Annotated[str, 1] = ""
    data: Annotated[bytes, 2] = b""
    etag: Annotated[str, 3] = ""
    error: Annotated[str, 4] = ""
    metadata: Annotated[dict[str, str], 5] = {}


class SaveStateRequest(Struct, gc=False):
    """Of dapr.proto.runtime.v1 and spec.proto.runtime.v1."""

    store_name: Annotated[str, 1] = ""
    states: Annotated[list[StateItem], 2] = []


class DeleteStateRequest(Struct, gc=False):
    """Of dapr.proto.runtime.v1 and spec.proto.runtime.v1."""

    store_name: Annotated[str, 1] = ""
    key: Annotated[str, 2] = ""
    etag: Annotated[Etag | None, 3] = None
    options: Annotated[StateOptions | None, 4] = None
    metadata: Annotated[dict[str, str], 5] = {}


class DeleteBulkStateRequest(Struct, gc=False):
    """Of dapr.proto.runtime.v1 and spec.proto.runtime.v1."""

    store_name: Annotated[str, 1] = ""
    states: Annotated[list[StateItem], 2] = []


class TransactionalStateOperation(Struct, gc=False):
    """Of dapr.proto.runtime.v1 and spec.proto.runtime.v1."""

    operation_type: Annotated[str, 1] = ""
    request: Annotated[StateItem | None, 2] = None


class ExecuteStateTransactionRequest(Struct, gc=False):
    """Of dapr.proto.runtime.v1 and spec.proto.runtime.v1."""

    store_name: Annotated[str, 1] = ""
    operations: Annotated[list[TransactionalStateOperation], 2] = []
    metadata: Annotated[dict[str, str], 3] = {}


class GetActorStateRequest(Struct, gc=False):
    """Of dapr.proto.runtime.v1."""

    actor_type: Annotated[str, 1] = ""
    actor_id: Annotated[str, 2] = ""
    key: Annotated[str, 3] = ""


class GetActorStateResponse(Struct, gc=False):
    """Of dapr.proto.runtime.v1."""

    data: Annotated[bytes, 1] = b""
    metadata: Annotated[dict[str, str], 2] = {}


class ExecuteActorStateTransactionRequest(Struct, gc=False):
    """Of dapr.proto.runtime.v1."""

    actor_type: Annotated[str, 1] = ""
    actor_id: Annotated[str, 2] = ""
    operations: Annotated[list[TransactionalActorStateOperation], 3] = []


class TransactionalActorStateOperation(Struct, gc=False):
    """Of dapr.proto.runtime.v1."""

    operation_type: Annotated[str, 1] = ""
    key: Annotated[str, 2] = ""
    value: Annotated[AnyValue | None, 3] = None
    metadata: Annotated[dict[str, str], 4] = {}


class GetSecretRequest(Struct, gc=False):
    """Of dapr.proto.runtime.v1."""

    store_name: Annotated[str, 1] = ""
    key: Annotated[str, 2] = ""
    metadata: Annotated[dict[str, str], 3] = {}


class GetSecretResponse(Struct, gc=False):
    """Of dapr.proto.runtime.v1."""

    data: Annotated[dict[str, str], 1] = {}


class GetBulkSecretRequest(Struct, gc=False):
    """Of dapr.proto.runtime.v1."""

    store_name: Annotated[str, 1] = ""
    metadata: Annotated[dict[str, str], 2] = {}


class SecretResponse(Struct, gc=False):
    """Of dapr.proto.runtime.v1."""

    secrets: Annotated[dict[str, str], 1] = {}


class GetBulkSecretResponse(Struct, gc=False):
    """Of dapr.proto.runtime.v1."""

    data: Annotated[dict[str, SecretResponse], 1] = {}


class GetMetadataRequest(Struct, gc=False):
    """Of dapr.proto.runtime.v1."""


class GetMetadataResponse(Struct, gc=False):
    """Of dapr.proto.runtime.v1."""

    id: Annotated[str, 1] = ""
    registered_components: Annotated[list[RegisteredComponents], 3] = []
    extended_metadata: Annotated[dict[str, str], 4] = {}
    app_connection_properties: Annotated[AppConnectionProperties | None, 7] = None
    runtime_version: Annotated[str, 8] = ""
    enabled_features: Annotated[list[str], 9] = []
    actor_runtime: Annotated[ActorRuntime | None, 10] = None
    resiliencies: Annotated[list[MetadataResiliency], 15] = []


class MetadataResiliency(Struct, gc=False):
    """Of dapr.proto.runtime.v1."""

    name: Annotated[str, 1] = ""


class ActorRuntime(Struct, gc=False):
    """Of dapr.proto.runtime.v1."""

    runtime_status: Annotated[int, 1] = 0
    host_ready: Annotated[bool, 3] = False
    placement: Annotated[str, 4] = ""


class RegisteredComponents(Struct, gc=False):
    """Of dapr.proto.runtime.v1."""

    name: Annotated[str, 1] = ""
    type: Annotated[str, 2] = ""
    version: Annotated[str, 3] = ""
    capabilities: Annotated[list[str], 4] = []


class AppConnectionProperties(Struct, gc=False):
    """Of dapr.proto.runtime.v1."""

    port: Annotated[int, 1] = 0
    protocol: Annotated[str, 2] = ""
    channel_address: Annotated[str, 3] = ""


class SetMetadataRequest(Struct, gc=False):
    """Of dapr.proto.runtime.v1."""

    key: Annotated[str, 1] = ""
    value: Annotated[str, 2] = ""


class ShutdownRequest(Struct, gc=False):
    """Of dapr.proto.runtime.v1."""


class ErrorInfo(Struct, gc=False):
    """Of google.rpc."""

    reason: Annotated[str, 1] = ""
    domain: Annotated[str, 2] = ""
    metadata: Annotated[dict[str, str], 3] = {}


class ResourceInfo(Struct, gc=False):
    """Of google.rpc."""

    resource_type: Annotated[str, 1] = ""
    resource_name: Annotated[str, 2] = ""
    owner: Annotated[str, 3] = ""
    description: Annotated[str, 4] = ""


class FieldViolation(Struct, gc=False):
    """Of google.rpc."""

    field: Annotated[str, 1] = ""
    description: Annotated[str, 2] = ""


class BadRequest(Struct, gc=False):
    """Of google.rpc."""

    field_violations: Annotated[list[FieldViolation], 1] = []


class Link(Struct, gc=False):
    """Of google.rpc."""

    description: Annotated[str, 1] = ""
    url: Annotated[str, 2] = ""


class Help(Struct, gc=False):
    """Of google.rpc."""

    links: Annotated[list[Link], 1] = []


class RpcStatus(Struct, gc=False):
    """Of google.rpc."""

    code: Annotated[int, 1] = 0
    message: Annotated[str, 2] = ""
    details: Annotated[list[AnyValue], 3] = []


class HealthCheckRequest(Struct, gc=False):
    """Of grpc.health.v1."""

    service: Annotated[str, 1] = ""


class HealthCheckResponse(Struct, gc=False):
    """Of grpc.health.v1."""

    status: Annotated[int, 1] = 0


class ServerReflectionRequest(Struct, gc=False):
    """Of grpc.reflection.v1 and grpc.reflection.v1alpha."""

    host: Annotated[str, 1] = ""
    file_by_filename: Annotated[str | None, 3] = None
    file_containing_symbol: Annotated[str | None, 4] = None
    file_containing_extension: Annotated[ExtensionRequest | None, 5] = None
    all_extension_numbers_of_type: Annotated[str | None, 6] = None
    list_services: Annotated[str | None, 7] = None


class ExtensionRequest(Struct, gc=False):
    """Of grpc.reflection.v1 and grpc.reflection.v1alpha."""

    containing_type: Annotated[str, 1] = ""
    extension_number: Annotated[int, 2] = 0


class ServerReflectionResponse(Struct, gc=False):
    """Of grpc.reflection.v1 and grpc.reflection.v1alpha."""

    valid_host: Annotated[str, 1] = ""
    original_request: Annotated[ServerReflectionRequest | None, 2] = None
    file_descriptor_response: Annotated[FileDescriptorResponse | None, 4] = None
    list_services_response: Annotated[ListServiceResponse | None, 6] = None
    error_response: Annotated[ErrorResponse | None, 7] = None


class FileDescriptorResponse(Struct, gc=False):
    """Of grpc.reflection.v1 and grpc.reflection.v1alpha."""

    file_descriptor_proto: Annotated[list[bytes], 1] = []


class ListServiceResponse(Struct, gc=False):
    """Of grpc.reflection.v1 and grpc.reflection.v1alpha."""

    service: Annotated[list[ServiceResponse], 1] = []


class ServiceResponse(Struct, gc=False):
    """Of grpc.reflection.v1 and grpc.reflection.v1alpha."""

    name: Annotated[str, 1] = ""


class ErrorResponse(Struct, gc=False):
    """Of grpc.reflection.v1 and grpc.reflection.v1alpha."""

    error_code: Annotated[int, 1] = 0
    error_message: Annotated[str, 2] = ""


class ListKeysRequest(Struct, gc=False):
    """Of pannier.v1."""

    store_name: Annotated[str, 1] = ""
    prefix: Annotated[str, 2] = ""
    limit: Annotated[int, 3] = 0
    cursor: Annotated[str, 4] = ""
    values: Annotated[bool, 5] = False
    actors: Annotated[bool, 6] = False


class ListKeysResponse(Struct, gc=False):
    """Of pannier.v1."""

    keys: Annotated[list[ListedKey], 1] = []
    cursor: Annotated[str, 2] = ""


class ListedKey(Struct, gc=False):
    """Of pannier.v1."""

    key: Annotated[str, 1] = ""
    actor_type: Annotated[str, 2] = ""
    actor_id: Annotated[str, 3] = ""
    data: Annotated[bytes, 4] = b""
    etag: Annotated[str, 5] = ""
    metadata: Annotated[dict[str, str], 6] = {}
    error: Annotated[str, 7] = ""


class DeleteBulkResponse(Struct, gc=False):
    """Of pannier.v1."""

    results: Annotated[list[DeletedItem], 1] = []


class DeletedItem(Struct, gc=False):
    """Of pannier.v1."""

    key: Annotated[str, 1] = ""
    code: Annotated[int, 2] = 0
    error_code: Annotated[str, 3] = ""
    error: Annotated[str, 4] = ""


class DeleteActorStateRequest(Struct, gc=False):
    """Of pannier.v1."""

    actor_type: Annotated[str, 1] = ""
    actor_id: Annotated[str, 2] = ""
    limit: Annotated[int, 3] = 0
    cursor: Annotated[str, 4] = ""


class DeleteActorStateResponse(Struct, gc=False):
    """Of pannier.v1."""

    deleted: Annotated[int, 1] = 0
    cursor: Annotated[str, 2] = ""


class DeleteKeysRequest(Struct, gc=False):
    """Of pannier.v1."""

    store_name: Annotated[str, 1] = ""
    prefix: Annotated[str, 2] = ""
    limit: Annotated[int, 3] = 0
    cursor: Annotated[str, 4] = ""


class DeleteKeysResponse(Struct, gc=False):
    """Of pannier.v1."""

    deleted: Annotated[int, 1] = 0
    cursor: Annotated[str, 2] = ""


class IncrementRequest(Struct, gc=False):
    """Of pannier.v1."""

    store_name: Annotated[str, 1] = ""
    key: Annotated[str, 2] = ""
    by: Annotated[Int64 | None, 3] = None
    initial: Annotated[Int64, 4] = Int64(0)
    floor: Annotated[Int64 | None, 5] = None
    ceiling: Annotated[Int64 | None, 6] = None
    etag: Annotated[str, 7] = ""
    consistency: Annotated[int, 8] = 0
    metadata: Annotated[dict[str, str], 9] = {}
    return_etag: Annotated[bool, 10] = False


class IncrementResponse(Struct, gc=False):
    """Of pannier.v1."""

    value: Annotated[Int64, 1] = Int64(0)
    etag: Annotated[str, 2] = ""


class AppendRequest(Struct, gc=False):
    """Of pannier.v1."""

    store_name: Annotated[str, 1] = ""
    key: Annotated[str, 2] = ""
    values: Annotated[list[bytes], 3] = []
    max_length: Annotated[int, 4] = 0
    etag: Annotated[str, 5] = ""
    consistency: Annotated[int, 6] = 0
    metadata: Annotated[dict[str, str], 7] = {}
    return_etag: Annotated[bool, 8] = False


class AppendResponse(Struct, gc=False):
    """Of pannier.v1."""

    length: Annotated[int, 1] = 0
    etag: Annotated[str, 2] = ""


class GetAndSetRequest(Struct, gc=False):
    """Of pannier.v1."""

    store_name: Annotated[str, 1] = ""
    state: Annotated[StateItem | None, 2] = None
    return_etag: Annotated[bool, 3] = False


class GetAndSetResponse(Struct, gc=False):
    """Of pannier.v1."""

    data: Annotated[bytes | None, 1] = None
    etag: Annotated[str, 2] = ""


class BatchRequest(Struct, gc=False):
    """Of pannier.v1."""

    store_name: Annotated[str, 1] = ""
    operations: Annotated[list[TransactionalStateOperation], 2] = []
    metadata: Annotated[dict[str, str], 3] = {}
    return_etags: Annotated[bool, 4] = False


class BatchResponse(Struct, gc=False):
    """Of pannier.v1."""

    results: Annotated[list[BatchResult], 1] = []


class BatchResult(Struct, gc=False):
    """Of pannier.v1."""

    key: Annotated[str, 1] = ""
    outcome: Annotated[str, 2] = ""
    etag: Annotated[str, 3] = ""
    code: Annotated[int, 4] = 0
    error_code: Annotated[str, 5] = ""
    error: Annotated[str, 6] = ""


class TouchRequest(Struct, gc=False):
    """Of pannier.v1."""

    store_name: Annotated[str, 1] = ""
    key: Annotated[str, 2] = ""
    etag: Annotated[str, 3] = ""
    consistency: Annotated[int, 4] = 0
    metadata: Annotated[dict[str, str], 5] = {}
    return_etag: Annotated[bool, 6] = False


class ExistsResponse(Struct, gc=False):
    """Of pannier.v1."""

    exists: Annotated[bool, 1] = False
    etag: Annotated[str, 2] = ""


class WatchRequest(Struct, gc=False):
    """Of pannier.v1."""

    store_name: Annotated[str, 1] = ""
    prefix: Annotated[str, 2] = ""
    since: Annotated[str, 3] = ""
    values: Annotated[bool, 4] = False


class WatchEvent(Struct, gc=False):
    """Of pannier.v1."""

    kind: Annotated[int, 1] = 0
    id: Annotated[str, 2] = ""
    key: Annotated[str, 3] = ""
    etag: Annotated[str, 4] = ""
    data: Annotated[bytes | None, 5] = None
    metadata: Annotated[dict[str, str], 6] = {}
    error: Annotated[str, 7] = ""
    reason: Annotated[str, 8] = ""
    late_ms: Annotated[Int64, 9] = Int64(0)


class SayHelloRequest(Struct, gc=False):
    """Of spec.proto.runtime.v1."""

    service_name: Annotated[str, 1] = ""
    name: Annotated[str, 2] = ""
    data: Annotated[AnyValue | None, 3] = None


class SayHelloResponse(Struct, gc=False):
    """Of spec.proto.runtime.v1."""

    hello: Annotated[str, 1] = ""
    data: Annotated[AnyValue | None, 2] = None
