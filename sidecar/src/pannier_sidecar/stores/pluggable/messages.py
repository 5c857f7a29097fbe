"""The messages of Dapr's pluggable state stores (dapr/proto/components/v1), of server reflection, and google.rpc's.

Only fields that are read or written are declared.
"""

from __future__ import annotations

from typing import Annotated

from msgspec import Struct

STATE: str = "dapr.proto.components.v1.StateStore"
TRANSACTIONS: str = "dapr.proto.components.v1.TransactionalStateStore"
MAX_SIZE: str = "dapr.proto.components.v1.TransactionalStoreMultiMaxSize"
"""The services of a component."""

UNSPECIFIED, FIRST_WRITE, LAST_WRITE = 0, 1, 2
"""StateConcurrency."""
STRONG = 2
"""StateConsistency."""


class MetadataRequest(Struct):
    """`properties` of Init."""

    properties: Annotated[dict[str, str], 1] = {}


class InitRequest(Struct):
    """Begins the life of a component."""

    metadata: Annotated[MetadataRequest | None, 1] = None


class FeaturesResponse(Struct):
    """What a component promises."""

    features: Annotated[list[str], 1] = []


class MultiMaxSizeResponse(Struct):
    """How many operations a transaction may have; -1: any number."""

    max_size: Annotated[int, 1] = 0


class Etag(Struct):
    """An ETag, where it is there at all."""

    value: Annotated[str, 1] = ""


class StateOptions(Struct):
    """Concurrency and consistency of a call."""

    concurrency: Annotated[int, 1] = 0
    consistency: Annotated[int, 2] = 0


class GetRequest(Struct):
    """Reads a key."""

    key: Annotated[str, 1] = ""
    metadata: Annotated[dict[str, str], 2] = {}
    consistency: Annotated[int, 3] = 0


class GetResponse(Struct):
    """The value of a key; nothing of it is there if the key is absent."""

    data: Annotated[bytes, 1] = b""
    etag: Annotated[Etag | None, 2] = None
    metadata: Annotated[dict[str, str], 3] = {}


class SetRequest(Struct):
    """Writes a key."""

    key: Annotated[str, 1] = ""
    value: Annotated[bytes, 2] = b""
    etag: Annotated[Etag | None, 3] = None
    metadata: Annotated[dict[str, str], 4] = {}
    options: Annotated[StateOptions | None, 5] = None
    content_type: Annotated[str, 6] = ""


class DeleteRequest(Struct):
    """Removes a key."""

    key: Annotated[str, 1] = ""
    etag: Annotated[Etag | None, 2] = None
    metadata: Annotated[dict[str, str], 3] = {}
    options: Annotated[StateOptions | None, 4] = None


class BulkGetRequest(Struct):
    """Reads several keys."""

    items: Annotated[list[GetRequest], 1] = []


class BulkStateItem(Struct):
    """One key of a bulk get."""

    key: Annotated[str, 1] = ""
    data: Annotated[bytes, 2] = b""
    etag: Annotated[Etag | None, 3] = None
    error: Annotated[str, 4] = ""
    metadata: Annotated[dict[str, str], 5] = {}


class BulkGetResponse(Struct):
    """The keys of a bulk get, in any order."""

    items: Annotated[list[BulkStateItem], 1] = []


class TransactionalStateOperation(Struct):
    """A delete or a set."""

    delete: Annotated[DeleteRequest | None, 1] = None
    set: Annotated[SetRequest | None, 2] = None


class TransactionalStateRequest(Struct):
    """Several operations that all happen or none."""

    operations: Annotated[list[TransactionalStateOperation], 1] = []


# --- server reflection ------------------------------------------------------------------------------------------------


class ServerReflectionRequest(Struct):
    """Asks which services there are."""

    list_services: Annotated[str | None, 7] = None


class ServiceResponse(Struct):
    """One service."""

    name: Annotated[str, 1] = ""


class ListServiceResponse(Struct):
    """All services."""

    service: Annotated[list[ServiceResponse], 1] = []


class ServerReflectionResponse(Struct):
    """The answer."""

    list_services_response: Annotated[ListServiceResponse | None, 6] = None


# --- google.rpc -------------------------------------------------------------------------------------------------------


class AnyMessage(Struct):
    """A message of any type."""

    type_url: Annotated[str, 1] = ""
    value: Annotated[bytes, 2] = b""


class Status(Struct):
    """The details of an error."""

    details: Annotated[list[AnyMessage], 3] = []


class FieldViolation(Struct):
    """A field of a request that is wrong."""

    field: Annotated[str, 1] = ""


class BadRequest(Struct):
    """Fields of a request that are wrong."""

    field_violations: Annotated[list[FieldViolation], 1] = []


class ErrorInfo(Struct):
    """An error that programs may recognize."""

    metadata: Annotated[dict[str, str], 3] = {}
