"""A sidecar with a delivered Redis store loads no module that only others need: each takes memory in every pod."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from pathlib import Path

from servers.delivered_folder import deliver
from servers.pannier_process import PATIENCE

NOT_NEEDED = {
    # OpenSSL
    *("ssl", "_ssl", "_hashlib", "hashlib", "hmac"),
    # what the libraries of every sidecar import, but do not use here
    *("ast", "difflib", "dis", "email", "encodings.idna", "inspect", "ipaddress", "locale", "msgspec.inspect"),
    *("asyncio.selector_events", "asyncio.streams", "asyncio.subprocess", "asyncio.unix_events", "base64", "datetime"),
    *("http", "json", "msgspec._json_schema", "platform", "random", "typing_extensions", "urllib.parse", "yaml"),
    # large libraries, and those of other stores and other commands
    *(
        "aiohttp",
        "argparse",
        "cryptography",
        "ctypes",
        "fastapi",
        "google",
        "grpc",
        "http.client",
        "importlib.metadata",
    ),
    *("multiprocessing", "opentelemetry", "pydantic", "sqlite3", "tempfile", "unittest", "urllib.request"),
    # parts of Pannier that a component, another object or a call asks for
    *("pannier_sidecar.encryption", "pannier_sidecar.loading.guarded_store", "pannier_sidecar.loading.retrying_store"),
    *(
        "pannier_sidecar.http_api.go_json",
        "pannier_sidecar.http_api.renaming",
        "pannier_sidecar.loading.remote_secrets",
    ),
    *("pannier_sidecar.secret_stores", "pannier_sidecar.state.queries", "pannier_sidecar.state.querying"),
    *("pannier_sidecar.state.delegating_store", "pannier_sidecar.state.resiliency"),
    *(
        "pannier_sidecar.state.watching",
        "pannier_sidecar.state.watch_events",
        "pannier_sidecar.observing.watch_metrics",
    ),
    *("pannier_sidecar.http_api.watch_calls", "pannier_sidecar.http_api.endless"),
    "pannier_sidecar.grpc_api.watch_calls",
    *("pannier_crds.credential_providers", "pannier_sidecar.stores.redis.provided", "redis"),
    *("pannier_sidecar.loading.configuration_files", "pannier_crds.configuration"),
    *("pannier_crds.api_lists", "pannier_sidecar.http_api.operations", "pannier_sidecar.grpc_api.denied_methods"),
}
SIDECAR = """
import sys, threading
from pannier_sidecar.__main__ import main

def answer():
    sys.stdin.readline()
    from pannier_sidecar.deferred_modules import Deferred
    names = [name for name, module in list(sys.modules.items()) if not isinstance(module, Deferred)]
    import json
    print(json.dumps(names))
    sys.stdout.flush()

threading.Thread(target=answer, daemon=True).start()
sys.exit(main())
"""


def loaded(folder: Path) -> set[str]:
    """Start a sidecar, have it answer once, and return the modules that it has then."""
    command = [sys.executable, "-c", SIDECAR, "serve", "--app-id", "shop", "--components", str(folder)]
    command += ["--unix-domain-socket", str(folder), "--metrics-port", "0"]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    try:
        assert process.stdin is not None and process.stdout is not None and process.stderr is not None
        while b"gRPC on" not in (line := process.stderr.readline()):
            assert line, "it ended before it served"
        with socket.socket(socket.AF_UNIX) as client:
            client.settimeout(PATIENCE)
            client.connect(os.fspath(folder / "dapr-shop-http.socket"))
            client.sendall(b"GET /v1.0/state/orders/1 HTTP/1.1\r\nhost: 127.0.0.1\r\n\r\n")
            assert client.recv(1024).startswith(b"HTTP/1.1 503 ")
        process.stdin.write(b"\n")
        process.stdin.flush()
        return set(json.loads(process.stdout.readline()))
    finally:
        process.kill()
        process.communicate()


POLICIES = """\
apiVersion: dapr.io/v1alpha1
kind: Resiliency
metadata: {name: patient, namespace: default, generation: 3}
spec:
  policies:
    timeouts: {quick: 2s}
    retries: {few: {policy: constant, duration: 10ms, maxRetries: 2}}
    circuitBreakers: {rare: {maxRequests: 1, timeout: 5s, trip: consecutiveFailures >= 500}}
  targets:
    components:
      orders: {outbound: {timeout: quick, retry: few, circuitBreaker: rare}}
"""


def test_policies_that_the_operator_delivers_are_read_without_pyyaml(tmp_path):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # nobody listens there
        settings = {"redisHost": f"127.0.0.1:{taken.getsockname()[1]}", "dialTimeout": "1s"}
        deliver(tmp_path, "orders", "state.redis", settings, policies=[POLICIES])
        modules = loaded(tmp_path)
    assert "pannier_crds.resiliency_policies" in modules
    assert sorted(modules & {"yaml", "json", "pannier_crds.yaml_nodes"}) == []


def test_a_sidecar_whose_redis_is_down_loads_nothing_that_it_does_not_need(tmp_path):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # nobody listens there
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        settings = {"redisHost": address, "dialTimeout": "1s"}
        deliver(tmp_path, "orders", "state.redis", settings)
        modules = loaded(tmp_path)
    assert "pannier_sidecar.stores.redis.store" in modules
    assert sorted(modules & NOT_NEEDED) == []
