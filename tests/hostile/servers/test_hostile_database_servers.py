"""Database servers become hostile or break: their answers are bounded, and calls of other stores are served."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from hostile.effort import Effort
from servers import server_faults, usage
from servers.cassandra_faults import CASSANDRA
from servers.component_files import component
from servers.database import Database, Server
from servers.databases import named
from servers.hostile_proxy import Fault, HostileProxy
from servers.nats_faults import NATS
from servers.pannier_process import Pannier, call, serving
from servers.proxy_setups import PROXY_SETUPS

from pannier_crds.catalogue import component_type

Promise = Callable[..., None]
FAULTS = {
    "redis": server_faults.REDIS,
    "memcached": server_faults.MEMCACHED,
    "postgresql": server_faults.POSTGRESQL,
    "mongodb": server_faults.MONGODB,
    "mysql": server_faults.MYSQL,
    "sqlserver": server_faults.SQLSERVER,
    "consul": server_faults.HTTP,
    "etcd": server_faults.HTTP2,
    "dynamodb": server_faults.HTTP,
    "cosmosdb": server_faults.HTTP,
    "blobstorage": server_faults.HTTP,
    "tablestorage": server_faults.HTTP,
    "gcp-spanner": server_faults.HTTP2,
    "cassandra": CASSANDRA,
    "jetstream": NATS,
}
LYING = {
    "redis": {"numbers"},
    "memcached": {"answers to nothing", "answers without end"},
    "postgresql": {"ready without end"},
    "dynamodb": {"answers to nothing"},
}
"""Faults whose answers a good server could give too."""
BUDGET_MIB = 500
"""Memory that several hostile servers together may make the sidecar hold; one alone made it hold 6 GB."""
PATIENCE_S = 25
"""Limit for a call on a busy machine, with a timeout of a second in the component."""
AT_ONCE = 4
TIMEOUTS = ("timeout", "readTimeout", "dialTimeout", "operationTimeout")


def port_of(process: Pannier) -> int:
    """Return the API's port: log lines of stores over HTTP have other addresses."""
    pattern = re.compile(r"serving app \S+ on [^\n]*127\.0\.0\.1:(\d+)")
    process.until(lambda: pattern.search(process.err), "the address")
    found = pattern.search(process.err)
    assert found is not None
    return int(found[1])


class Sidecar:
    def __init__(self, process: Pannier):
        self.process = process
        self._url = f"http://127.0.0.1:{port_of(process)}/v1.0/state"

    def get(self, store: str, key: str) -> tuple[int, str]:
        return call(f"{self._url}/{store}/{key}")

    def save(self, store: str, key: str) -> tuple[int, str]:
        return call(f"{self._url}/{store}", "POST", json.dumps([{"key": key, "value": 1}]))

    def is_served(self, store: str) -> bool:
        return self.get(store, "any")[0] in (200, 204)


def settings_of(subject: Database, server: Server, port: int) -> dict[str, Any]:
    kind = component_type(subject.store_type, subject.store_version)
    assert kind is not None
    known = {field.name for field in kind.fields}
    limits: dict[str, Any] = {name: "1s" for name in TIMEOUTS if name in known}
    return {**server.settings, **PROXY_SETUPS[subject.name].names(port), **limits}


def go_through(sidecar: Sidecar, proxy: HostileProxy, store: str, fault: Fault, key: str, words: list[bytes]) -> None:
    """Let one server become hostile for requests with a word (empty: for all), and then be good again."""
    for word in words:
        proxy.turn(fault, word)
        for ask in (sidecar.get, sidecar.save):
            started = time.monotonic()
            status, said = ask(store, key)
            took = time.monotonic() - started
            is_unknown = ask == sidecar.save and status == 500 and "ERR_STATE_OUTCOME_UNKNOWN" in said
            assert status == 503 or is_unknown, f"{ask.__name__}: {status} {said}"
            assert took < PATIENCE_S
            assert "Traceback" not in said and "canary" not in said
        proxy.come_back()
        sidecar.process.until(lambda: sidecar.is_served(store), "the store after its server was good again")


@pytest.mark.parametrize("name", FAULTS)
def test_a_server_that_turns_hostile(name: str, tmp_path: Path, effort: Effort, promise: Promise) -> None:
    subject = named(name)
    faults = {**server_faults.ANY, **FAULTS[name]}
    faults = {title: fault for title, fault in faults.items() if title not in LYING.get(name, ())}
    folder = tmp_path / "components"
    folder.mkdir()
    (folder / "other.yaml").write_text(component("other", "state.in-memory", {}))
    with subject.serve(tmp_path / "server") as server, ExitStack() as stack:
        setup = PROXY_SETUPS[name]
        proxies = []
        for number in range(len(faults)):
            proxy = HostileProxy(setup.port(server.settings), announces_its_port=setup.announces_its_port)
            proxies.append(stack.enter_context(proxy))
            settings = settings_of(subject, server, proxy.port)
            text = component(f"store{number}", subject.store_type, settings, version=subject.store_version)
            (folder / f"store{number}.yaml").write_text(text)
        with serving(folder) as process:
            sidecar = Sidecar(process)
            for number in range(len(faults)):
                process.until(lambda number=number: sidecar.is_served(f"store{number}"), f"store{number}")
            before = usage.resident_mib(process.process.pid)
            usage.forget_peak(process.process.pid)
            with ThreadPoolExecutor(AT_ONCE) as pool:
                in_flight = {}
                for number, (title, fault) in enumerate(faults.items()):
                    key = f"hostile-{number}"
                    word = key.encode(setup.encoding)
                    words = [word, b""] if effort.times(1, 2) == 2 else [word if number % 2 else b""]
                    arguments = (sidecar, proxies[number], f"store{number}", fault, key, words)
                    in_flight[title] = pool.submit(go_through, *arguments)
                others = 0
                while not all(each.done() for each in in_flight.values()):
                    assert sidecar.save("other", "k")[0] == 201
                    others += 1
                    time.sleep(0.1)
            wrong = {title: str(each.exception()) for title, each in in_flight.items() if each.exception()}
            grown = usage.peak_mib(process.process.pid) - before
            assert not wrong, "\n".join(f"{title}: {said}" for title, said in wrong.items())
            assert grown < BUDGET_MIB
            assert "bug in Pannier" not in process.err
    promise(
        "Whatever a database server sends, calls end in time with 503 or an unknown outcome, the sidecar's memory "
        "is bounded, other stores are served, and the store is used again when a good server is back",
        on=server.version,
        fault=f"{len(faults)} kinds of hostile or broken answers: endless, huge, nested, slow, unrequested, "
        "missing, malformed",
        times=effort.times(1, 2) * len(faults),
        counted=f"{effort.times(2, 4) * len(faults)} calls; at most {BUDGET_MIB} MiB more",
    )
