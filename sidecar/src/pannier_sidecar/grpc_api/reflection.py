"""Server reflection (https://github.com/grpc/grpc/blob/master/doc/server-reflection.md), in both of its versions.

They differ only in the name of the service. Descriptors are data, `descriptors.json`, which scripts/grpc-messages
writes from the .proto files, so the protobuf library is not needed.
"""

from __future__ import annotations

import base64
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Final

from msgspec import Struct, json

from ..protobuf import MalformedMessageError, decode, encode
from .messages import (
    ErrorResponse,
    FileDescriptorResponse,
    ListServiceResponse,
    ServerReflectionRequest,
    ServerReflectionResponse,
    ServiceResponse,
)
from .method import Method
from .status import Code, StatusError

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from ..http2.headers import Headers

SERVICES: Final = ("grpc.reflection.v1.ServerReflection", "grpc.reflection.v1alpha.ServerReflection")
NOT_FOUND: Final = 5


def methods(services: Collection[str]) -> Mapping[str, Method]:
    """Return the methods; `services` are listed beside reflection itself."""
    listed = ListServiceResponse([ServiceResponse(name) for name in sorted((*services, *SERVICES))])

    async def info(message: bytes, headers: Headers) -> bytes:
        try:
            request = decode(ServerReflectionRequest, message)
        except MalformedMessageError as error:
            raise StatusError(Code.INTERNAL, f"the request is no ServerReflectionRequest: {error}") from error
        answer = ServerReflectionResponse(request.host, request)
        if request.list_services is not None:
            answer.list_services_response = listed
        elif (found := _asked_for(request)) is not None:
            answer.file_descriptor_response = FileDescriptorResponse(found)
        else:
            answer.error_response = ErrorResponse(NOT_FOUND, "there is no such file, name or extension")
        return encode(answer)

    return {"ServerReflectionInfo": Method(info, is_streaming=True)}


def _asked_for(request: ServerReflectionRequest) -> list[bytes] | None:
    """Return the descriptors of a file and of all files that it imports; None if there is no such file."""
    name = request.file_by_filename
    if name is None and request.file_containing_symbol is not None:
        name = _files_by_symbol().get(request.file_containing_symbol)
    return None if name is None else _with_imports(name)


def _with_imports(name: str) -> list[bytes] | None:
    files = _files()
    if name not in files:
        return None
    wanted = [name]
    for each in wanted:
        wanted += [imported for imported in files[each].imports if imported not in wanted]
    return [base64.b64decode("".join(files[each].descriptor)) for each in wanted]


class _File(Struct):
    """One .proto file."""

    imports: list[str]
    symbols: list[str]
    """The names that it declares."""
    descriptor: list[str]
    """Its FileDescriptorProto in base64, on several lines."""


@cache
def _files() -> dict[str, _File]:
    """Return the files by name; they are read when a client asks for the first time."""
    return json.decode(Path(__file__).with_name("descriptors.json").read_bytes(), type=dict[str, _File])


@cache
def _files_by_symbol() -> dict[str, str]:
    return {symbol: name for name, file in _files().items() for symbol in file.symbols}
