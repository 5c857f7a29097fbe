"""Requests of many items from many clients at once, and requests that cost more than their size suggests."""

from __future__ import annotations

import json
import threading
from collections import Counter
from contextlib import ExitStack, closing

import pytest
from hostile.conftest import Promise
from hostile.effort import Effort
from hostile.floods.conftest import SAVE, Http, Target, request

ON = "HTTP, all ports"
SERVED = "While a client floods a sidecar, the sidecar's memory stays bounded and another client is served"
LARGE = {
    "saves": (SAVE, json.dumps([{"key": f"{n:x}", "value": 1} for n in range(10_000)])),
    "bulk reads": (SAVE + "/bulk", json.dumps({"keys": [f"{n:x}" for n in range(10_000)]})),
}


@pytest.mark.parametrize("what", LARGE)
def test_requests_of_many_items_wait_for_each_other(
    target: Target, promise: Promise, effort: Effort, what: str
) -> None:
    """Once, 300 saves of 245 KB made the sidecar hold 1.1 GB, and others wait for 5 s."""
    path, body = LARGE[what]
    count = effort.times(50, 400)
    statuses: Counter[int] = Counter()

    def call() -> None:
        with Http(target.connect()) as client:
            statuses[client.call("POST", path, body.encode())[0]] += 1

    with target.flooded() as used:
        clients = [threading.Thread(target=call) for _ in range(count)]
        for client in clients:
            client.start()
        for client in clients:
            client.join()
    assert statuses.keys() <= {200, 201, 503}, statuses
    assert statuses.total() == count, statuses
    assert used.grown_mib < 170, used
    assert used.others_are_served, used
    promise(SERVED, on=ON, fault=f"{what} of 10,000 items at once", times=count, counted=str(used))


COSTLY = {
    "a path of 15,000 slashes": ("GET", "/" * 15_000, ""),
    "a query of 7,500 parameters": ("GET", SAVE + "/k?" + "a&" * 7_500, ""),
    "an item of 350,000 unknown fields": (
        "POST", SAVE, '[{"key":"k",' + ",".join(f'"x{n}":1' for n in range(350_000)) + "}]",
    ),
}  # fmt: skip


@pytest.mark.parametrize("what", COSTLY)
def test_requests_that_cost_much_take_turns(target: Target, promise: Promise, effort: Effort, what: str) -> None:
    """Once, fifteen bodies with very many unknown fields at once made others wait for 4 s."""
    method, path, body = COSTLY[what]
    count = effort.times(6, 15) if body else effort.times(200, 1000)
    data = request(method, path, body.encode())
    with ExitStack() as stack, target.flooded() as used:
        socks = [stack.enter_context(closing(target.connect())) for _ in range(count)]
        for sock in socks:
            sock.sendall(data)
        for sock in socks:
            assert int(sock.recv(100).split()[1]) in (400, 404, 413)
    assert used.others_are_served, used
    assert used.grown_mib < 90, used
    promise(SERVED, on=ON, fault=f"{what}, from many clients", times=count, counted=str(used))
