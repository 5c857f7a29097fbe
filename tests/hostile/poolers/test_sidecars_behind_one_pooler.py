"""Several sidecars share the server's connections through PgBouncer: no wrong statement ever runs."""

from __future__ import annotations

import json
import time
import urllib.request
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import pytest
from servers.pannier_process import call
from servers.pgbouncer_server import MODES, PgBouncerServer
from servers.postgresql_server import PostgreSQLServer

KEYS = 200

each_mode = pytest.mark.parametrize("pooler", MODES, indirect=True)
each_version = pytest.mark.parametrize("version", ["v1", "v2"])


def saved(state: str) -> None:
    items = [{"key": f"k{number}", "value": number} for number in range(KEYS)]
    assert call(state, "POST", json.dumps(items))[0] == 201


def ask(state: str, method: str, pattern: str, until: float) -> Counter[int]:
    """Make a call, repeat it with one key after another, and count the answers by kind."""
    statuses: Counter[int] = Counter()
    while not statuses or time.monotonic() < until:
        statuses[call(f"{state}/{pattern.format(statuses.total() % KEYS)}", method)[0]] += 1
    return statuses


@each_mode
@each_version
def test_one_that_gets_and_one_that_deletes_do_only_that(
    server: PostgreSQLServer, pooler: PgBouncerServer, serve, effort, promise, version: str
) -> None:
    reader, deleter = serve(pooler.settings, version), serve(pooler.settings, version)
    saved(reader)
    until = time.monotonic() + effort.seconds(1.5, 15)
    with ThreadPoolExecutor(4) as threads:
        gets = [threads.submit(ask, reader, "GET", "k{}", until) for _ in range(2)]
        deletes = [threads.submit(ask, deleter, "DELETE", "junk{}", until) for _ in range(2)]
    asked = sum((each.result() for each in (*gets, *deletes)), Counter())
    assert set(gets[0].result()) == set(gets[1].result()) == {200}
    assert set(asked) <= {200, 204}
    assert server.sql("SELECT count(*) FROM state WHERE key LIKE 'shop||k%'") == str(KEYS)
    promise(
        "A sidecar that only reads never deletes a key, whatever other sidecars do on the connections that they share",
        on=f"{pooler.label}, {version}",
        fault="two sidecars on the connections of one pool: one reads, the other deletes other keys",
        times=asked.total(),
        counted=f"{asked.total():,} calls, {KEYS} keys; 0 keys lost, 0 calls refused",
    )


@each_mode
def test_what_was_prepared_before_a_restart_is_not_run_after_it(
    server: PostgreSQLServer, pooler: PgBouncerServer, serve, effort, promise
) -> None:
    restarts = effort.times(2, 15)
    for _ in range(restarts):
        deleter = serve(pooler.settings)
        saved(deleter)
        statuses = ask(deleter, "DELETE", "junk{}", time.monotonic() + 0.3)
        serve.end()
        reader = serve(pooler.settings)
        statuses += ask(reader, "GET", "k{}", time.monotonic() + 0.5)
        serve.end()
        assert set(statuses) <= {200, 204}
        assert server.sql("SELECT count(*) FROM state") == str(KEYS)
    promise(
        "A statement that an earlier process prepared is never run for a later one",
        on=pooler.label,
        fault="a sidecar deletes keys and ends; another one takes its place and reads",
        times=restarts,
        counted=f"{KEYS} keys; 0 lost",
    )


@each_mode
def test_no_increment_is_lost_or_made_twice(
    server: PostgreSQLServer, pooler: PgBouncerServer, serve, effort, promise
) -> None:
    states = [serve(pooler.settings, "v2") for _ in range(2)]
    assert call(states[0], "POST", json.dumps([{"key": "sum", "value": 0}]))[0] == 201
    until = time.monotonic() + effort.seconds(1.5, 15)
    with ThreadPoolExecutor(4) as threads:
        made = sum(threads.map(partial(increment, until=until), [*states, *states]))
    assert made
    assert call(f"{states[0]}/sum") == (200, str(made))
    promise(
        "Each write with an ETag is carried out once",
        on=pooler.label,
        fault="two sidecars on the connections of one pool increment one key at the same time",
        times=made,
        counted=f"{made:,} increments; the sum is {made:,}",
    )


def increment(state: str, until: float) -> int:
    """Try to increment one key, once and until the time is over; return how many increments succeeded."""
    made = tried = 0
    while not tried or time.monotonic() < until:
        tried += 1
        with urllib.request.urlopen(f"{state}/sum", timeout=30) as answer:
            etag, value = answer.headers["ETag"], int(answer.read())
        item = {"key": "sum", "value": value + 1, "etag": etag.strip('"'), "options": {"concurrency": "first-write"}}
        status, text = call(state, "POST", json.dumps([item]))
        assert status in {201, 409}, text
        made += status == 201
    return made
