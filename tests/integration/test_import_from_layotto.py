"""`pannier import layotto`: from Layotto's configuration to a sidecar in which its clients find their state."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from servers.grpc_calls import ask
from servers.grpc_protos import LAYOTTO
from servers.pannier_process import Pannier
from servers.redis_server import single

Import = Callable[..., tuple[int, list[str]]]


def configuration(**state: Any) -> str:
    """Layotto's own example for Redis has these parts."""
    runtime = {
        "hellos": {"helloworld": {"type": "helloworld", "hello": "greeting"}},
        "state": state,
        "sequencer": {"sequencer_demo": {"type": "redis", "metadata": {"redisHost": "127.0.0.1:6380"}}},
        "app": {"app_id": "app1", "grpc_callback_port": 9999},
    }
    grpc_filter = {"type": "grpc", "config": {"server_name": "runtime", "grpc_config": runtime}}
    listeners = [
        {"name": "grpc", "address": "127.0.0.1:34904", "filter_chains": [{"filters": [grpc_filter]}]},
        {"name": "actuator", "address": "127.0.0.1:34999", "stream_filters": [{"type": "actuator_filter"}]},
    ]
    return json.dumps({"servers": [{"default_log_path": "stdout", "listeners": listeners}]}, indent=2)


def redis(host: str) -> dict[str, Any]:
    return {"type": "redis", "metadata": {"redisHost": host, "redisPassword": ""}}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "config.json").write_text(configuration(state_demo=redis("localhost:6380")))
    return tmp_path


@pytest.fixture
def importing(folder: Path) -> Import:
    def run(*arguments: object) -> tuple[int, list[str]]:
        pannier = Pannier("import", "layotto", *arguments, folder=folder)
        try:
            return pannier.end(), (pannier.out + pannier.err).splitlines()
        finally:
            pannier.close()

    return run


def test_everything_is_reported_with_the_next_step(importing: Import, folder: Path) -> None:
    code, lines = importing("config.json")
    assert code == 0
    assert lines == [
        "written: components/state_demo.yaml",
        "left out: hellos: SayHello always answers 'greeting'",
        "left out: sequencer: Pannier serves state alone",
        "left out: app.grpc_callback_port: the app is not called back",
        "left out: listener 'actuator' on 127.0.0.1:34999: health is shown at /v1.0/healthz of the HTTP port",
        "1 component fine, 0 errors, 0 warnings",
        "continue with: pannier serve --app-id app1 --components components --layotto-port 34904",
    ]


def test_a_client_of_layottos_finds_its_state_again(importing: Import, folder: Path) -> None:
    with single(folder / "redis") as server, server.client() as database:
        database.hset("key1", mapping={"data": "hello world", "version": 3})  # as Layotto left it
        (folder / "config.json").write_text(configuration(state_demo=redis(server.address)))
        code, lines = importing("config.json")
        assert code == 0, lines
        verb, *flags = lines[-1].removeprefix("continue with: pannier ").split()
        flags[flags.index("--layotto-port") + 1] = "0"
        more = ("--http-port", "0", "--grpc-port", "0", "--enable-metrics=false")
        pannier = Pannier(verb, *flags, *more, folder=folder)
        try:
            pannier.port()
            found = call(pannier, "GetState", store_name="state_demo", key="key1")
            assert (found.data, found.etag) == (b"hello world", "3")
            call(pannier, "SaveState", store_name="state_demo", states=[{"key": "key2", "value": b"x"}])
            assert database.hget("key2", "data") == b"x"
        finally:
            pannier.close()


def call(pannier: Pannier, name: str, **fields: Any) -> Any:
    return ask(pannier.grpc_port(), LAYOTTO, name, waits=True, **fields)


def test_nobody_else_may_read_what_may_hold_a_password(importing: Import, folder: Path) -> None:
    assert importing("config.json")[0] == 0
    assert [path.stat().st_mode & 0o777 for path in (folder / "components").iterdir()] == [0o600]


def test_standard_output_holds_the_components_alone(folder: Path) -> None:
    pannier = Pannier("import", "layotto", "config.json", "--output", "-", folder=folder)
    try:
        assert pannier.end() == 0, pannier.err
        (folder / "all.yaml").write_text(pannier.out)
    finally:
        pannier.close()
    check = Pannier("check", "all.yaml", folder=folder)
    try:
        assert (check.end(), check.out) == (0, "1 component fine, 0 errors, 0 warnings\n")
    finally:
        check.close()


def test_nothing_is_written_over(importing: Import, folder: Path) -> None:
    assert importing("config.json", "--output", "out")[0] == 0
    assert importing("config.json", "--output=out")[0] == 0  # the same again
    written = folder / "out" / "state_demo.yaml"
    written.write_text("# mine\n")
    code, lines = importing("-o", "out", "config.json")
    message = "out/state_demo.yaml is there already; remove it, or name another folder by --output"
    assert (code, lines) == (1, [f"pannier: {message}"])
    assert written.read_text() == "# mine\n"


def test_existing_components_are_judged_too(importing: Import, folder: Path) -> None:
    importing("config.json")
    (folder / "components" / "state_demo.yaml").rename(folder / "components" / "older.yaml")
    code, lines = importing("config.json")
    assert code == 1
    assert any("'state_demo'" in line and ": error: " in line for line in lines), lines


def test_a_store_that_cannot_be_served_is_a_failure(importing: Import, folder: Path) -> None:
    (folder / "config.json").write_text(configuration(a=redis("x"), b={"type": "no-such-store"}, c=redis("")))
    code, lines = importing("config.json")
    assert code == 1
    assert any(line.startswith("left out: state.b: state.no-such-store is not served") for line in lines)
    assert any(line.startswith("components/c.yaml:") and "redisHost" in line for line in lines)


def test_an_import_that_fails_prints_one_line(importing: Import, folder: Path, subtests: pytest.Subtests) -> None:
    cases: list[tuple[str, str]] = [
        ("{", "config.json is no JSON: "),
        ("\xff", "config.json is no JSON: "),
        ("[" * 100_000, "config.json is no JSON: "),
        ("{}", "config.json is not a configuration of Layotto: it has no servers[]"),
        (configuration(), "config.json has no state store that can be served"),
        (
            configuration(b={"type": "no-such"}),
            "config.json has no state store that can be served; left out: state.b: ",
        ),
        (configuration(**{"a/b": redis("x"), "a|b": redis("x")}), "two stores would be written to components/a-b.yaml"),
    ]
    for content, message in cases:
        with subtests.test(message):
            (folder / "config.json").write_text(content, encoding="latin-1")
            code, lines = importing("config.json")
            assert (code, len(lines)) == (1, 1)
            assert lines[0].startswith(f"pannier: {message}")
            assert not (folder / "components").exists()


def test_wrong_calls_get_advice(importing: Import) -> None:
    assert importing() == (2, ["pannier: import layotto needs one file: write pannier import layotto CONFIG.json"])
    assert importing("none.json") == (1, ["pannier: none.json: no such file or directory"])
