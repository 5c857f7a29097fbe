"""Our .proto files, compiled again by protoc into a separate pool: the SDKs have other files of the same names."""

from __future__ import annotations

import tempfile
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any

from google.protobuf.descriptor_pb2 import FileDescriptorSet
from google.protobuf.descriptor_pool import DescriptorPool
from google.protobuf.message_factory import GetMessageClass
from grpc_tools import protoc  # type: ignore[import-untyped]

PROTOS = Path(str(files("pannier_sidecar.grpc_api"))) / "protos"
DAPR = "dapr.proto.runtime.v1.Dapr"
OWN = "pannier.v1.State"
LAYOTTO = "spec.proto.runtime.v1.Runtime"
HEALTH = "grpc.health.v1.Health"


@cache
def descriptor_set() -> FileDescriptorSet:
    """All of our files, and those that they import."""
    names = sorted(str(path.relative_to(PROTOS)) for path in PROTOS.rglob("*.proto"))
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "all"
        google = files("grpc_tools") / "_proto"
        flags = [f"-I{PROTOS}", f"-I{google}", "--include_imports", f"--descriptor_set_out={out}"]
        assert protoc.main(["protoc", *flags, *names]) == 0
        return FileDescriptorSet.FromString(out.read_bytes())


@cache
def pool() -> DescriptorPool:
    found = DescriptorPool()
    for file in descriptor_set().file:
        found.Add(file)  # type: ignore[no-untyped-call]
    return found


def message(name: str) -> Any:
    """The class of a message by its full name."""
    return GetMessageClass(pool().FindMessageTypeByName(name))


def methods(service: str) -> dict[str, tuple[Any, Any]]:
    """Classes of request and answer by the names of a service's methods."""
    found = pool().FindServiceByName(service)
    return {
        method.name: (GetMessageClass(method.input_type), GetMessageClass(method.output_type))
        for method in found.methods
    }
