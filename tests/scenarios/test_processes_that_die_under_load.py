"""Sidecar and database are killed, stopped and replaced while apps save: answered saves are kept."""

from __future__ import annotations

import signal
import time
from contextlib import closing
from pathlib import Path

from scenarios.http_client import HttpClient
from scenarios.http_load import HttpLoad, until
from scenarios.worlds import served
from servers.component_files import component
from servers.database import Settings
from servers.pannier_process import Pannier
from servers.redis_server import single, watched_by_sentinels

SURVIVES_KILLS = ("--appendonly", "yes", "--appendfsync", "always")


def components(folder: Path, kind: str, settings: Settings) -> Path:
    """Write a folder with `statestore`, and `other`, which no fault concerns."""
    path = folder / "components"
    path.mkdir()
    (path / "statestore.yaml").write_text(component("statestore", kind, settings))
    (path / "other.yaml").write_text(component("other", "state.in-memory", {}))
    return path


def client_of(pannier: Pannier) -> closing[HttpClient]:
    return closing(HttpClient(pannier.port()))


def test_a_sidecar_killed_while_it_writes_to_sqlite_has_every_answered_save(tmp_path: Path) -> None:
    folder = components(tmp_path, "state.sqlite", {"connectionString": str(tmp_path / "state.db")})
    loads = []
    for run in range(3):
        command = ("serve", "--app-id", "shop", "--components", folder, "--http-port", 0, "--enable-metrics=false")
        pannier = Pannier(*command, "--grpc-port", 0)
        try:
            with HttpLoad(pannier.port(), f"run {run}") as load:
                load.until_more(50 + 200 * run)
                pannier.send(signal.SIGKILL)
                until(lambda load=load: load.cut_off, "the connections end")
            loads.append(load)
        finally:
            pannier.close()
        assert load.refused == []
    with served(folder) as again, client_of(again) as client:
        for load in loads:
            load.check(client)


def test_a_redis_killed_and_restarted_has_every_answered_save(tmp_path: Path) -> None:
    with single(tmp_path / "redis", *SURVIVES_KILLS) as redis:
        folder = components(tmp_path, "state.redis", {**redis.settings, "dialTimeout": "200ms"})
        with served(folder) as pannier, client_of(pannier) as client:
            with HttpLoad(pannier.port()) as load:
                for _ in range(3):
                    load.until_more(100)
                    redis.kill()
                    failures = len(load.refused)
                    until(lambda failures=failures: len(load.refused) > failures, "failures are reported")
                    redis.start()
                load.until_more(100)
            load.check(client)
            assert load.cut_off == 0
            assert {status for status, _ in load.refused} <= {500, 503}
            assert all(f"Redis at {redis.address}" in message for _, message in load.refused)


def test_a_redis_that_hangs_fails_its_own_calls_in_time_and_is_used_again(tmp_path: Path) -> None:
    limits = {"dialTimeout": "500ms", "readTimeout": "500ms", "writeTimeout": "500ms"}
    with single(tmp_path / "redis") as redis:
        folder = components(tmp_path, "state.redis", {**redis.settings, **limits})
        with served(folder) as pannier, client_of(pannier) as client:
            with HttpLoad(pannier.port()) as load:
                load.until_more(100)
                redis.pause()
                until(lambda: len(load.refused) > 10, "failures are reported")
                started = time.monotonic()
                failed = client.call("GET", "/v1.0/state/statestore/k")
                assert failed.status == 503
                assert "fail to get k from state store statestore: " in failed.json["message"]
                assert client.call("POST", "/v1.0/state/other", '[{"key": "k", "value": 1}]').status == 201
                assert client.call("GET", "/v1.0/healthz").status == 204
                assert time.monotonic() - started < 20
                redis.resume()
                load.until_more(100)
            load.check(client)
            assert load.cut_off == 0


def test_a_primary_that_sentinels_replace_has_every_strong_save(tmp_path: Path) -> None:
    """Only strong saves are promised to survive: the others may not have reached a replica."""
    with watched_by_sentinels(tmp_path / "redis", 2) as watched:
        folder = components(tmp_path, "state.redis", {**watched.settings, "readTimeout": "1s"})
        with served(folder) as pannier, client_of(pannier) as client:
            with HttpLoad(pannier.port(), consistency="strong") as load:
                load.until_more(100)
                watched.primary.kill()
                load.until_more(100)
            assert watched.primary_port() != watched.primary.port
            load.check(client)
            assert load.cut_off == 0
