"""Server reflection (https://github.com/grpc/grpc/blob/master/doc/server-reflection.md), in both of its versions.

They differ in the name of the service alone. It answers from descriptors made beforehand, so no protobuf is needed.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Final

from ..protobuf import MalformedMessageError, decode, encode
from .connection import Method
from .messages import (
    ErrorResponse,
    FileDescriptorResponse,
    ListServiceResponse,
    ServerReflectionRequest,
    ServerReflectionResponse,
    ServiceResponse,
)
from .status import Code, StatusError

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from .headers import Headers

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
    """Return the descriptors of a file and of all that it imports; None where there is no such file."""
    name = request.file_by_filename
    if name is None and request.file_containing_symbol is not None:
        name = _files_by_symbol().get(request.file_containing_symbol)
    return None if name is None else _with_imports(name)


def _with_imports(name: str) -> list[bytes] | None:
    from .descriptors import FILES  # imported when somebody asks

    if name not in FILES:
        return None
    wanted = [name]
    for each in wanted:
        wanted += [imported for imported in FILES[each].imports if imported not in wanted]
    return [FILES[each].descriptor for each in wanted]


@cache
def _files_by_symbol() -> dict[str, str]:
    from .descriptors import FILES

    return {symbol: name for name, file in FILES.items() for symbol in file.symbols}
