"""Watches of a real sidecar: whose keys are shown, reloads, the end, crowds, clients that do not read; and gRPC and the
command line.
"""

from __future__ import annotations

import asyncio
import json
import signal
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import quote

import grpc
import pytest
from servers.component_files import component
from servers.event_source import PATIENCE_S, EventStream, Refused, close_all, connect, target
from servers.grpc_protos import OWN, methods
from servers.pannier_process import Pannier, call
from servers.usage import resident_mib

SOON = {"changesPollInterval": "100ms"}


@pytest.fixture(autouse=True)
async def no_stream_is_left() -> AsyncIterator[None]:
    yield
    await close_all()


@contextmanager
def sidecar(folder: Path, *flags: object, app_id: str = "shop", **environment: str) -> Iterator[Pannier]:
    """Serve the components of a folder; at the end nothing may have gone wrong."""
    ports = ("--http-port", 0, "--grpc-port", 0, "--metrics-port", 0)
    pannier = Pannier("serve", "--app-id", app_id, "--components", folder, *ports, *flags, environment=environment)
    try:
        yield pannier
        assert "Traceback" not in pannier.err
    finally:
        pannier.close()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "components"
    made.mkdir()
    put(made, "state.in-memory")
    return made


def put(folder: Path, kind: str, name: str = "statestore", **settings: Any) -> None:
    """Write a component, as a whole."""
    fresh = folder / ".fresh"
    fresh.write_text(component(name, kind, settings))
    fresh.replace(folder / f"{name}.yaml")


def save(pannier: Pannier, **values: object) -> None:
    items = [{"key": key, "value": value} for key, value in values.items()]
    assert pannier.call("/v1.0/state/statestore", "POST", json.dumps(items))[0] == 201


async def begin(pannier: Pannier, prefix: str | None = None, **how: Any) -> EventStream:
    """Begin a watch, and read the state."""
    stream = await connect(pannier.port(), target(prefix, **how))
    await stream.until("ready")
    return stream


async def test_watchers_see_only_what_they_watch(folder: Path) -> None:
    with sidecar(folder) as pannier:
        orders, users = await begin(pannier, "order/"), await begin(pannier, "user/", values=True)
        save(pannier, **{"order/1": 1, "user/1": 2, "other": 3, "order/2": 4, "user/2": 5})
        assert [(await orders.until("change"))[0].key for _ in range(2)] == ["order/1", "order/2"]
        found = [(await users.until("change"))[0] for _ in range(2)]
        assert [(event.key, event.data["value"]) for event in found] == [("user/1", 2), ("user/2", 5)]


async def test_keys_of_other_apps_and_of_actors_are_never_shown(folder: Path, tmp_path: Path) -> None:
    """One database, and prefixes that could reach beyond the app's keys."""
    put(folder, "state.sqlite", connectionString=str(tmp_path / "state.db"), actorStateStore="true", **SOON)
    prefixes = ("", "|", "||", "shop||", "shop2||", "2||", "s", "%", "_", "..", "\0", "cat||", "shop||cat||tom||")
    with sidecar(folder) as pannier, sidecar(folder, app_id="shop2") as other, sidecar(folder, app_id="sho") as third:
        streams = {
            prefix: await connect(pannier.port(), f"{target()}?prefix={quote(prefix, safe='')}") for prefix in prefixes
        }
        for stream in streams.values():
            await stream.until("ready")
        for one in (other, third):
            save(one, secret=1, s=2, cat=3)
        actor = json.dumps([{"operation": "upsert", "request": {"key": "k", "value": 1}}])
        assert pannier.call("/v1.0/actors/cat/tom/state", "POST", actor)[0] == 204
        save(pannier, own=1)
        (change,) = await streams[""].until("change")
        assert change.key == "own"
        await asyncio.sleep(0.5)
        for prefix, stream in streams.items():
            assert not stream.waiting, prefix
            stream.close()


async def test_what_changed_between_two_connections_is_told(folder: Path) -> None:
    with sidecar(folder) as pannier:
        stream = await begin(pannier)
        numbers = []
        for number in range(1, 40):
            save(pannier, k=number)
            if number % 4 == 0:  # cut in the middle
                stream.close()
                stream = await connect(pannier.port(), target(values=True), stream.parser.last_id)
                continue
            async for event in stream:
                assert event.name in ("ready", "change"), event
                if event.name == "change" and "value" in event.data:
                    numbers.append(event.data["value"])
                if event.name == "change" and event.data.get("value", number) == number:
                    break
        assert numbers == sorted(numbers) and numbers[-1] == 39


async def test_a_watch_goes_on_when_its_component_changes_and_ends_with_it(folder: Path, tmp_path: Path) -> None:
    with sidecar(folder) as pannier:
        stream = await begin(pannier)
        put(folder, "state.sqlite", connectionString=str(tmp_path / "state.db"), **SOON)
        events = await stream.until("ready")
        assert events[0].name == "reset" and events[0].data["reason"]
        save(pannier, a=1)
        assert (await stream.until("change"))[0].key == "a"
        (folder / "statestore.yaml").unlink()
        (error,) = await stream.until("error")
        assert error.data["errorCode"].startswith("ERR_STATE_STORE_NOT_")
        assert await stream.next() is None and stream.is_whole
        with pytest.raises(Refused) as refused:
            await connect(pannier.port(), target())
        assert refused.value.status == 400


async def test_a_sidecar_that_stops_ends_watches_whole_and_waits_for_nobody(folder: Path) -> None:
    with sidecar(folder, "--graceful-shutdown-seconds", 120) as pannier:
        streams = [await begin(pannier) for _ in range(20)]
        await connect(pannier.port(), target(), receive_buffer=4096)
        began = time.monotonic()
        pannier.send(signal.SIGTERM)
        for stream in streams:
            assert await stream.next() is None and stream.is_whole
        assert await asyncio.to_thread(pannier.end) == 0
        assert time.monotonic() - began < PATIENCE_S


async def test_a_client_that_never_reads_costs_little(folder: Path) -> None:
    with sidecar(folder) as pannier:
        for _ in range(5):
            await connect(pannier.port(), target(values=True), receive_buffer=4096)
        reading = await begin(pannier)
        value = "x" * 1000
        await asyncio.to_thread(save_many, pannier, 2000, value)
        before = resident_mib(pannier.process.pid)
        for _ in range(10):
            await asyncio.to_thread(save_many, pannier, 2000, value)
        grown = resident_mib(pannier.process.pid) - before
        assert grown < 60, f"{grown:.0f} MiB more, with {5 * 10 * 2000} changes told to nobody"
        save(pannier, last=1)
        while (await reading.until("change"))[-1].key != "last":
            pass


def save_many(pannier: Pannier, count: int, value: str) -> None:
    for first in range(0, count, 500):
        items = [{"key": f"k{first + number}", "value": value} for number in range(500)]
        assert pannier.call("/v1.0/state/statestore", "POST", json.dumps(items))[0] == 201


async def test_many_watches_opened_and_dropped_leave_nothing(folder: Path) -> None:
    with sidecar(folder) as pannier:
        save(pannier, a=1)

        async def come_and_go() -> None:
            for number in range(25):
                stream = await connect(pannier.port(), target())
                if number % 3:
                    await stream.until("ready")
                stream.close()

        await asyncio.gather(*(come_and_go() for _ in range(20)))
        before = resident_mib(pannier.process.pid)
        for _ in range(4):
            await asyncio.gather(*(come_and_go() for _ in range(20)))
        assert resident_mib(pannier.process.pid) - before < 8
        await asyncio.to_thread(
            pannier.until, lambda: metric(pannier, "pannier_state_watches", "statestore") == 0, "no watch left"
        )


async def test_watches_beyond_the_limit_are_refused(folder: Path) -> None:
    with sidecar(folder) as pannier:
        streams = []
        with pytest.raises(Refused) as refused:
            for _ in range(1001):
                streams.append(await connect(pannier.port(), target()))
        assert (refused.value.status, len(streams)) == (429, 1000)
        assert "retry-after" in refused.value.headers
        assert metric(pannier, "pannier_state_watches", "statestore") == 1000
        streams.pop().close()
        await asyncio.to_thread(
            pannier.until, lambda: metric(pannier, "pannier_state_watches", "statestore") == 999, "one less"
        )
        streams.append(await connect(pannier.port(), target()))
        for stream in streams:
            stream.close()


def metric(pannier: Pannier, name: str, component: str, **labels: str) -> float | None:
    """The value of a metric; None: there is none with these labels."""
    page = call(f"http://127.0.0.1:{pannier.metrics_port()}/metrics")[1]
    wanted = [f'component="{component}"', *(f'{label}="{value}"' for label, value in labels.items())]
    lines = [line for line in page.splitlines() if line.startswith(name + "{") and all(one in line for one in wanted)]
    return float(lines[0].rpartition(" ")[2]) if lines else None


async def test_watches_are_seen_in_metrics_and_in_the_log(folder: Path) -> None:
    with sidecar(folder, "--enable-api-logging") as pannier:
        assert metric(pannier, "pannier_state_watches", "statestore") is None
        stream = await begin(pannier)
        save(pannier, a=1, b=2)
        for _ in range(2):
            await stream.until("change")
        assert metric(pannier, "pannier_state_watches", "statestore") == 1
        assert metric(pannier, "pannier_state_watch_events_total", "statestore", event="change") == 2
        assert metric(pannier, "pannier_state_watch_events_total", "statestore", event="ready") == 1
        pannier.until_says("HTTP API called: GET /v1.0-alpha1/state/statestore/watch -> 200")


async def test_token_hosts_and_origins_hold(folder: Path) -> None:
    flags = ("--allowed-origins", "http://page.example")
    with sidecar(folder, *flags, DAPR_API_TOKEN="of the test") as pannier:
        port = pannier.port()
        with pytest.raises(Refused) as refused:
            await connect(port, target())
        assert refused.value.status == 401
        token = "dapr-api-token: of the test"
        stream = await connect(port, target(), headers=(token, "Origin: http://page.example"))
        assert stream.headers["access-control-allow-origin"] == "http://page.example"
        await stream.until("ready")
        with pytest.raises(Refused) as refused:
            await connect(port, target(), headers=(token, "Origin: http://other.example"))
        assert refused.value.code == "ERR_ORIGIN_NOT_ALLOWED"
        status, _ = call(
            f"http://127.0.0.1:{port}{target()}",
            "OPTIONS",
            **{
                "Origin": "http://page.example",
                "Access-Control-Request-Method": "GET",
                "Access-Control-Request-Headers": "last-event-id",
            },
        )
        assert status == 204


async def test_a_configuration_can_deny_it(folder: Path, tmp_path: Path) -> None:
    configuration = tmp_path / "configuration.yaml"
    rule = "{name: state, version: v1alpha1, protocol: PROTOCOL}".replace
    denied = f"[{rule('PROTOCOL', 'http')}, {rule('PROTOCOL', 'grpc')}]"
    head = "apiVersion: dapr.io/v1alpha1\nkind: Configuration\nmetadata: {name: lists}\n"
    configuration.write_text(f"{head}spec: {{api: {{denied: {denied}}}}}\n")
    with sidecar(folder, "--config", configuration) as pannier:
        with pytest.raises(Refused) as refused:
            await connect(pannier.port(), target())
        assert refused.value.code == "ERR_API_NOT_ALLOWED"
        with pytest.raises(grpc.RpcError) as failed:
            next(watched(pannier))
        assert failed.value.code() is grpc.StatusCode.PERMISSION_DENIED


# --- gRPC -------------------------------------------------------------------------------------------------------------

STATE, READY, CHANGE, DELETE, RESET, BEAT = range(1, 7)


def watched(pannier: Pannier, timeout: float = PATIENCE_S, **fields: Any) -> Any:
    """Begin a watch by grpcio. The channel lives as long as the call."""
    request, event = methods(OWN)["Watch"]
    channel = grpc.insecure_channel(f"127.0.0.1:{pannier.grpc_port()}", [("grpc.use_local_subchannel_pool", 1)])
    begin_watch = channel.unary_stream(f"/{OWN}/Watch", request.SerializeToString, event.FromString)
    return begin_watch(request(**fields), timeout=timeout)


def test_grpc_tells_the_same(folder: Path) -> None:
    with sidecar(folder) as pannier:
        save(pannier, **{"a/1": 1, "b": 2})
        stream = watched(pannier, prefix="a/", values=True)
        first, ready = next(stream), next(stream)
        assert (first.kind, first.key, first.data, ready.kind) == (STATE, "a/1", b"1", READY)
        save(pannier, **{"b": 3, "a/1": 4})
        changed = next(stream)
        assert (changed.kind, changed.key, changed.data) == (CHANGE, "a/1", b"4")
        assert pannier.call("/v1.0/state/statestore/a%2F1", "DELETE")[0] == 200
        deleted = next(stream)
        assert (deleted.kind, deleted.key, deleted.etag, deleted.HasField("data")) == (DELETE, "a/1", "", False)
        stream.cancel()
        save(pannier, **{"a/2": 5})
        again = watched(pannier, prefix="a/", since=deleted.id)
        assert [(event.kind, event.key) for event in (next(again), next(again))] == [(READY, ""), (CHANGE, "a/2")]
        again.cancel()
        pannier.until(lambda: metric(pannier, "pannier_state_watches", "statestore") == 0, "no watch left")


def test_grpc_says_what_is_wrong(folder: Path) -> None:
    with sidecar(folder) as pannier:
        for fields, code, word in (
            ({"store_name": "other"}, grpc.StatusCode.INVALID_ARGUMENT, "other"),
            ({"since": "never"}, grpc.StatusCode.INVALID_ARGUMENT, "since"),
        ):
            with pytest.raises(grpc.RpcError) as failed:
                next(watched(pannier, PATIENCE_S, **fields))
            assert failed.value.code() is code and word in failed.value.details()
        with pytest.raises(grpc.RpcError) as failed:
            for _ in watched(pannier, timeout=1.0):
                pass
        assert failed.value.code() is grpc.StatusCode.DEADLINE_EXCEEDED


def test_grpc_ends_with_the_sidecar_and_with_the_store(folder: Path) -> None:
    with sidecar(folder) as pannier:
        stream = watched(pannier)
        assert next(stream).kind == READY
        (folder / "statestore.yaml").unlink()
        with pytest.raises(grpc.RpcError) as failed:
            next(stream)
        assert failed.value.code() in (grpc.StatusCode.INVALID_ARGUMENT, grpc.StatusCode.FAILED_PRECONDITION)
        put(folder, "state.in-memory")
        pannier.until(lambda: pannier.call("/v1.0/state/statestore/k")[0] == 204, "the store is back")
        stream = watched(pannier)
        assert next(stream).kind == READY
        pannier.send(signal.SIGTERM)
        with pytest.raises(grpc.RpcError) as failed:
            next(stream)
        assert failed.value.code() is grpc.StatusCode.UNAVAILABLE
        assert pannier.end() == 0


# --- the command line -------------------------------------------------------------------------------------------------


@contextmanager
def command(port: int, *words: str) -> Iterator[Pannier]:
    """Run `pannier state watch`; interrupt it at the end."""
    running = Pannier("state", "watch", *words, environment={"DAPR_HTTP_PORT": str(port), "PYTHONUNBUFFERED": "1"})
    try:
        yield running
        if running.process.poll() is None:
            running.send(signal.SIGINT)
            assert running.end() == 130
        assert "Traceback" not in running.err
    finally:
        running.close()


def test_the_command_line_prints_a_line_for_each_event(folder: Path) -> None:
    with sidecar(folder) as pannier:
        save(pannier, **{"order/1": 1, "user": 2})
        with (
            command(pannier.port(), "order/", "--values") as text,
            command(pannier.port(), "--output", "json") as lines,
        ):
            text.until(lambda: text.out == "state order/1 1\nready\n", "the state")
            lines.until(lambda: len(lines.out.splitlines()) == 3, "the state as JSON")
            save(pannier, **{"order/2": {"a": "ä"}, "order/line\n": None})
            assert pannier.call("/v1.0/state/statestore/order%2F1", "DELETE")[0] == 200
            expected = 'change order/2 {"a": "ä"}\nchange "order/line\\n" null\ndelete order/1\n'
            text.until(lambda: text.out.endswith(expected), "the changes")
            lines.until(lambda: len(lines.out.splitlines()) == 6, "the changes as JSON")
            last = json.loads(lines.out.splitlines()[-1])
            assert (last["event"], last["key"]) == ("delete", "order/1")
        save(pannier, **{"order/3": 3})
        with command(pannier.port(), "order/", "--since", last["id"]) as text:
            text.until(lambda: text.out == "ready\nchange order/3\n", "what was missed")


def test_the_command_line_connects_again_and_says_what_was_missed(folder: Path) -> None:
    with sidecar(folder) as pannier:
        port = pannier.port()
        with command(port) as text:
            text.until(lambda: text.out == "ready\n", "the state")
            pannier.process.kill()
            pannier.process.wait()
            text.until_says("trying again in 1 s")
            with sidecar(folder, "--http-port", port) as second:
                save(second, a=1)
                text.until(lambda: "reset " in text.out and text.out.endswith("ready\n"), "the reset")
                assert "state a\n" in text.out
                (folder / "statestore.yaml").unlink()
                assert text.end() == 1
                assert "ERR_STATE_STORE_NOT_" in text.err


def test_the_command_line_gives_up_where_nothing_will_come(folder: Path) -> None:
    with sidecar(folder) as pannier:
        for words, message in (
            (("--store", "other"), "other"),
            (("--since", "never"), "since"),
            (("--http-port", "1"), "no sidecar answers"),
        ):
            with command(pannier.port(), *words) as text:
                assert text.end() == 1, words
                assert message in text.err
