"""Both services answer on both ports: the gRPC port, and the one that Layotto's SDKs use."""

from pathlib import Path

import grpc
from scenarios.grpc_client import calls
from scenarios.worlds import component, served
from servers.grpc_protos import DAPR, LAYOTTO, message
from servers.processes import free_port


def test_both_ports_answer_for_both_services(tmp_path: Path) -> None:
    (tmp_path / "statestore.yaml").write_text(component("statestore", "state.in-memory", {}))
    second = free_port()
    with served(tmp_path, "--layotto-port", str(second)) as pannier:
        pannier.port()
        for port in (pannier.grpc_port(), second):
            with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
                hello = calls(channel, LAYOTTO)["SayHello"](
                    message("spec.proto.runtime.v1.SayHelloRequest")(), timeout=30
                )
                assert hello.hello == "greeting"
                hello = calls(channel, LAYOTTO)["SayHello"](
                    message("spec.proto.runtime.v1.SayHelloRequest")(service_name="helloworld", name="layotto"),
                    timeout=30,
                )
                assert hello.hello == "greeting, layotto"
                found = calls(channel, DAPR)["GetMetadata"](message("google.protobuf.Empty")(), timeout=30)
                assert [each.name for each in found.registered_components] == ["statestore"]
