"""The messages of Dapr's and Layotto's state services, field by field as in `protos/*.proto`.

Both services' state messages have the same names, numbers and types, so one set of structs serves both. Names follow
the .proto files; a test encodes and decodes each of them against code generated from those.
"""

from __future__ import annotations

from typing import Annotated

from msgspec import Struct, field


class Etag(Struct):
    value: Annotated[str, 1] = ""


class StateOptions(Struct):
    concurrency: Annotated[int, 1] = 0
    consistency: Annotated[int, 2] = 0


class StateItem(Struct):
    key: Annotated[str, 1] = ""
    value: Annotated[bytes, 2] = b""
    etag: Annotated[Etag | None, 3] = None
    metadata: Annotated[dict[str, str], 4] = field(default_factory=dict)
    options: Annotated[StateOptions | None, 5] = None


class GetStateRequest(Struct):
    store_name: Annotated[str, 1] = ""
    key: Annotated[str, 2] = ""
    consistency: Annotated[int, 3] = 0
    metadata: Annotated[dict[str, str], 4] = field(default_factory=dict)


class QueryStateRequest(Struct):
    store_name: Annotated[str, 1] = ""
    query: Annotated[str, 2] = ""
    metadata: Annotated[dict[str, str], 3] = field(default_factory=dict)


class QueryStateResponse(Struct):
    token: Annotated[str, 2] = ""


class GetStateResponse(Struct):
    data: Annotated[bytes, 1] = b""
    etag: Annotated[str, 2] = ""
    metadata: Annotated[dict[str, str], 3] = field(default_factory=dict)


class GetBulkStateRequest(Struct):
    store_name: Annotated[str, 1] = ""
    keys: Annotated[list[str], 2] = field(default_factory=list)
    parallelism: Annotated[int, 3] = 0
    metadata: Annotated[dict[str, str], 4] = field(default_factory=dict)


class BulkStateItem(Struct):
    key: Annotated[str, 1] = ""
    data: Annotated[bytes, 2] = b""
    etag: Annotated[str, 3] = ""
    error: Annotated[str, 4] = ""
    metadata: Annotated[dict[str, str], 5] = field(default_factory=dict)


class GetBulkStateResponse(Struct):
    items: Annotated[list[BulkStateItem], 1] = field(default_factory=list)


class StatesRequest(Struct):
    """SaveStateRequest and DeleteBulkStateRequest: one shape."""

    store_name: Annotated[str, 1] = ""
    states: Annotated[list[StateItem], 2] = field(default_factory=list)


class DeleteStateRequest(Struct):
    store_name: Annotated[str, 1] = ""
    key: Annotated[str, 2] = ""
    etag: Annotated[Etag | None, 3] = None
    options: Annotated[StateOptions | None, 4] = None
    metadata: Annotated[dict[str, str], 5] = field(default_factory=dict)


class TransactionalStateOperation(Struct):
    operation_type: Annotated[str, 1] = ""
    request: Annotated[StateItem | None, 2] = None


class ExecuteStateTransactionRequest(Struct):
    store_name: Annotated[str, 1] = ""
    operations: Annotated[list[TransactionalStateOperation], 2] = field(default_factory=list)
    metadata: Annotated[dict[str, str], 3] = field(default_factory=dict)


class AnyValue(Struct):
    """google.protobuf.Any."""

    type_url: Annotated[str, 1] = ""
    value: Annotated[bytes, 2] = b""


class GetActorStateRequest(Struct):
    actor_type: Annotated[str, 1] = ""
    actor_id: Annotated[str, 2] = ""
    key: Annotated[str, 3] = ""


class GetActorStateResponse(Struct):
    data: Annotated[bytes, 1] = b""
    metadata: Annotated[dict[str, str], 2] = field(default_factory=dict)


class TransactionalActorStateOperation(Struct):
    operation_type: Annotated[str, 1] = ""
    key: Annotated[str, 2] = ""
    value: Annotated[AnyValue | None, 3] = None
    metadata: Annotated[dict[str, str], 4] = field(default_factory=dict)


class ExecuteActorStateTransactionRequest(Struct):
    actor_type: Annotated[str, 1] = ""
    actor_id: Annotated[str, 2] = ""
    operations: Annotated[list[TransactionalActorStateOperation], 3] = field(default_factory=list)


class RegisteredComponents(Struct):
    name: Annotated[str, 1] = ""
    type: Annotated[str, 2] = ""
    version: Annotated[str, 3] = ""
    capabilities: Annotated[list[str], 4] = field(default_factory=list)


class AppConnectionProperties(Struct):
    port: Annotated[int, 1] = 0
    protocol: Annotated[str, 2] = ""
    channel_address: Annotated[str, 3] = ""


class ActorRuntime(Struct):
    runtime_status: Annotated[int, 1] = 0
    host_ready: Annotated[bool, 3] = False
    placement: Annotated[str, 4] = ""


class GetMetadataResponse(Struct):
    id: Annotated[str, 1] = ""
    registered_components: Annotated[list[RegisteredComponents], 3] = field(default_factory=list)
    extended_metadata: Annotated[dict[str, str], 4] = field(default_factory=dict)
    app_connection_properties: Annotated[AppConnectionProperties | None, 7] = None
    runtime_version: Annotated[str, 8] = ""
    actor_runtime: Annotated[ActorRuntime | None, 10] = None


class SetMetadataRequest(Struct):
    key: Annotated[str, 1] = ""
    value: Annotated[str, 2] = ""


class SayHelloRequest(Struct):
    service_name: Annotated[str, 1] = ""
    name: Annotated[str, 2] = ""
    data: Annotated[AnyValue | None, 3] = None


class SayHelloResponse(Struct):
    hello: Annotated[str, 1] = ""
    data: Annotated[AnyValue | None, 2] = None


class Empty(Struct):
    """google.protobuf.Empty, and every request without fields."""


class HealthCheckRequest(Struct):
    service: Annotated[str, 1] = ""


class HealthCheckResponse(Struct):
    status: Annotated[int, 1] = 0


class ExtensionRequest(Struct):
    containing_type: Annotated[str, 1] = ""
    extension_number: Annotated[int, 2] = 0


class ServerReflectionRequest(Struct):
    """One of the last five is there, maybe empty."""

    host: Annotated[str, 1] = ""
    file_by_filename: Annotated[str | None, 3] = None
    file_containing_symbol: Annotated[str | None, 4] = None
    file_containing_extension: Annotated[ExtensionRequest | None, 5] = None
    all_extension_numbers_of_type: Annotated[str | None, 6] = None
    list_services: Annotated[str | None, 7] = None


class FileDescriptorResponse(Struct):
    file_descriptor_proto: Annotated[list[bytes], 1] = field(default_factory=list)


class ServiceResponse(Struct):
    name: Annotated[str, 1] = ""


class ListServiceResponse(Struct):
    service: Annotated[list[ServiceResponse], 1] = field(default_factory=list)


class ErrorResponse(Struct):
    error_code: Annotated[int, 1] = 0
    error_message: Annotated[str, 2] = ""


class ServerReflectionResponse(Struct):
    """One of the last three is there."""

    valid_host: Annotated[str, 1] = ""
    original_request: Annotated[ServerReflectionRequest | None, 2] = None
    file_descriptor_response: Annotated[FileDescriptorResponse | None, 4] = None
    list_services_response: Annotated[ListServiceResponse | None, 6] = None
    error_response: Annotated[ErrorResponse | None, 7] = None


class RpcStatus(Struct):
    """google.rpc.Status, which rides in the trailer `grpc-status-details-bin`."""

    code: Annotated[int, 1] = 0
    message: Annotated[str, 2] = ""
    details: Annotated[list[AnyValue], 3] = field(default_factory=list)


class ErrorInfo(Struct):
    """google.rpc.ErrorInfo."""

    reason: Annotated[str, 1] = ""
    domain: Annotated[str, 2] = ""
    metadata: Annotated[dict[str, str], 3] = field(default_factory=dict)


class ResourceInfo(Struct):
    """google.rpc.ResourceInfo."""

    resource_type: Annotated[str, 1] = ""
    resource_name: Annotated[str, 2] = ""
    owner: Annotated[str, 3] = ""
    description: Annotated[str, 4] = ""


class FieldViolation(Struct):
    field: Annotated[str, 1] = ""
    description: Annotated[str, 2] = ""


class BadRequest(Struct):
    """google.rpc.BadRequest."""

    field_violations: Annotated[list[FieldViolation], 1] = field(default_factory=list)


class Link(Struct):
    description: Annotated[str, 1] = ""
    url: Annotated[str, 2] = ""


class Help(Struct):
    """google.rpc.Help."""

    links: Annotated[list[Link], 1] = field(default_factory=list)
