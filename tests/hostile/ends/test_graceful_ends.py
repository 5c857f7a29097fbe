"""SIGTERM under load: every call that has a connection is answered."""

from __future__ import annotations

import http.client
import signal
import threading
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import grpc
import pytest
from hostile.conftest import Promise
from hostile.effort import Effort
from servers.component_files import component
from servers.grpc_protos import DAPR, message
from servers.pannier_process import Pannier, serving

CLIENTS = 8
TARGET = "/v1.0/state/statestore/k"
NOBODY_LISTENS = ("refused", "Failed to connect", "failed to connect")

Client = Callable[[Pannier, "Counter[str]"], None]


def kept_alive(pannier: Pannier, seen: Counter[str]) -> None:
    """Call on one connection for as long as it lasts, then on another, until nothing listens."""
    _over_http(pannier, seen, {})


def one_call_each(pannier: Pannier, seen: Counter[str]) -> None:
    """Call on a new connection each time."""
    _over_http(pannier, seen, {"Connection": "close"})


def _over_http(pannier: Pannier, seen: Counter[str], headers: dict[str, str]) -> None:
    port = pannier.port()
    while True:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
        try:
            connection.connect()
        except ConnectionRefusedError:
            return
        try:
            while connection.sock is not None:  # None: the answer said that it is the last
                connection.request("GET", TARGET, headers=headers)
                answer = connection.getresponse()
                answer.read()
                seen["answered" if answer.status == 204 else f"status {answer.status}"] += 1
        except (OSError, http.client.HTTPException) as error:
            seen[f"lost: {type(error).__name__}"] += 1
        finally:
            connection.close()


def over_grpc(pannier: Pannier, seen: Counter[str]) -> None:
    """Call on one channel until nothing listens. As by default, it repeats calls that the sidecar has never seen."""
    options = [("grpc.use_local_subchannel_pool", 1)]
    with grpc.insecure_channel(f"127.0.0.1:{pannier.grpc_port()}", options=options) as channel:
        get = channel.unary_unary(
            f"/{DAPR}/GetState",
            request_serializer=lambda sent: sent.SerializeToString(),
            response_deserializer=bytes,
        )
        request = message("dapr.proto.runtime.v1.GetStateRequest")(store_name="statestore", key="k")
        while True:
            try:
                get(request, timeout=30)
            except grpc.RpcError as error:
                if any(words in error.details() for words in NOBODY_LISTENS):
                    return
                seen[f"lost: {error.code()} {error.details()}"] += 1
            else:
                seen["answered"] += 1


@pytest.mark.parametrize("client", [kept_alive, one_call_each, over_grpc])
def test_a_graceful_end_under_load_loses_no_call(
    tmp_path: Path, effort: Effort, promise: Promise, client: Client
) -> None:
    (tmp_path / "statestore.yaml").write_text(component("statestore", "state.in-memory", {}))
    ends = effort.times(short=2, long=40)
    seen: Counter[str] = Counter()
    for _ in range(ends):
        with serving(tmp_path) as pannier:
            pannier.port()
            clients = [threading.Thread(target=client, args=(pannier, seen)) for _ in range(CLIENTS)]
            for each in clients:
                each.start()
            before = seen["answered"]
            pannier.until(lambda before=before: seen["answered"] > before + 100, "load")
            time.sleep(0.1)
            pannier.send(signal.SIGTERM)
            assert pannier.end() == 0
            for each in clients:
                each.join(timeout=60)
            assert "Traceback" not in pannier.err
    assert set(seen) == {"answered"}, seen
    how = {"kept_alive": "connections kept alive", "one_call_each": "a connection for each call", "over_grpc": "gRPC"}
    promise(
        "A graceful end loses no call",
        on="the HTTP API" if client is not over_grpc else "the gRPC API",
        fault=f"SIGTERM under load, {how[client.__name__]}",
        times=ends,
        counted=f"{seen['answered']:,} calls answered; 0 lost",
    )
