"""Each error that prevents `pannier run` is one clear line, with exit code 1, or 2 for a wrong command line."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
from servers.component_files import component
from servers.pannier_process import Pannier


@pytest.fixture
def components(tmp_path: Path) -> Path:
    folder = tmp_path / "components"
    folder.mkdir()
    (folder / "orders.yaml").write_text(component("orders", "state.in-memory", {}))
    return folder


@pytest.fixture
def busy_port() -> Iterator[int]:
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


def refused(*arguments: object, code: int = 1, **environment: str) -> list[str]:
    """The lines on standard error of a run that ends with this code."""
    pannier = Pannier(*arguments, environment=environment)
    try:
        assert pannier.end() == code, pannier.err
        assert pannier.out == ""
        return pannier.err.splitlines()
    finally:
        pannier.close()


def test_a_busy_port_is_refused(components: Path, busy_port: int) -> None:
    assert refused("run", "--components", components, "--http-port", busy_port) == [
        f"pannier: port {busy_port} is in use (127.0.0.1); stop the other program or pass --http-port"
    ]


def test_a_busy_metrics_port_is_refused(components: Path, busy_port: int) -> None:
    (line,) = refused("run", "--components", components, "--http-port", 0, "--metrics-port", busy_port)
    assert line.endswith("or pass --metrics-port")


def test_an_invalid_address_is_refused(components: Path) -> None:
    (line,) = refused("run", "--components", components, "--http-port", 0, "--listen-addresses", "no.such.host.invalid")
    assert line == "pannier: 'no.such.host.invalid', where --http-port should listen, is not an address of this machine"


def test_a_missing_folder_is_refused(tmp_path: Path) -> None:
    (line,) = refused("run", "--http-port", 0, "--components", tmp_path / "nowhere")
    assert line == f"pannier: components folder {tmp_path}/nowhere: no such file or directory"


def test_a_file_in_place_of_a_folder_is_refused(components: Path) -> None:
    (line,) = refused("run", "--http-port", 0, "--components", components / "orders.yaml")
    assert line.endswith("orders.yaml: not a directory")


def test_broken_yaml_is_refused(components: Path) -> None:
    (components / "broken.yaml").write_text("kind: Component\n  name: x\n")
    (line,) = refused("run", "--http-port", 0, "--components", components)
    assert line.startswith(f"pannier: {components}/broken.yaml:2: ")


def test_every_wrong_field_of_every_component(components: Path) -> None:
    (components / "a.yaml").write_text(component("a", "state.rediss", {}))
    (components / "b.yaml").write_text(component("b", "state.in-memory", {"ttlInSeconds": "soon"}))
    lines = refused("run", "--http-port", 0, "--components", components)
    assert lines[0] == (
        f"pannier: {components}/a.yaml:7: spec.type: there is no component type 'state.rediss'; write 'state.redis'"
    )
    assert lines[1].startswith(f"pannier: {components}/b.yaml:8: spec.metadata[ttlInSeconds].value: 'soon' is not")
    assert len(lines) == 2


def test_an_unknown_program_is_refused(components: Path) -> None:
    assert refused("run", "--http-port", 0, "--components", components, "--", "no-such-program") == [
        "pannier: no-such-program: no such program; check the command after ' -- '"
    ]


def test_a_program_that_cannot_be_run(components: Path, tmp_path: Path) -> None:
    program = tmp_path / "program"
    program.write_text("#!/no/such/interpreter\n")
    program.chmod(0o755)
    pannier = Pannier("run", "--http-port", 0, "--components", components, "--", program)
    assert pannier.end() == 1
    assert pannier.err.splitlines() == [f"pannier: {program} can't be started: no such file or directory"]
    pannier.close()


def test_a_data_folder_that_cannot_be_created_is_reported_for_the_store() -> None:
    pannier = Pannier("run", "--http-port", 0, environment={"XDG_DATA_HOME": "/proc/nowhere"})
    pannier.until_says("store    statestore (state.sqlite, in /proc/nowhere/pannier/statestore.db) is waiting: ")
    pannier.close()


def test_a_wrong_command_line_is_refused(subtests: pytest.Subtests) -> None:
    cases: list[tuple[list[str], str]] = [
        (["run", "-p", "3000"], "there is no flag -p; write --app-port for the dapr command's -p"),
        (["run", "-d", "./components"], "there is no flag -d; write --components for the dapr command's -d"),
        (["run", "-H", "3500"], "there is no flag -H; write --http-port for the dapr command's -H"),
        (["serve", "-f", "."], "there is no flag -f here; write 'pannier run -f FILE' for a run file of several apps"),
        (["run", "-f"], "-f needs a value: write -f FILE"),
        (
            ["run", "-f", ".", "-k"],
            "there is no flag -k: nothing is deployed from a run file; docs/kubernetes.md says how to deploy",
        ),
        (["stop"], "write pannier stop --app-id NAME, which may be given several times, or pannier stop -f FILE"),
        (["list", "shop"], "unexpected 'shop'; write pannier list"),
        (["run", "--htp-port", "1"], "there is no flag --htp-port; did you mean --http-port?"),
        (
            ["run", "--http-port", "x"],
            "--http-port: 'x' can't be used; write a port from 1 to 65535, or 0 for a free one",
        ),
        (["run", "--http-port"], "--http-port needs a value: write --http-port PORT"),
        (["run", "python"], "unexpected 'python'; flags start with --, and an app's command comes after ' -- '"),
        (["run", "--app-id", "a|"], "--app-id 'a|' can't be used in keys; write a name without '|' at its end"),
        (["run", "--app-id", "a||b"], "--app-id 'a||b' can't be used in keys; write a name without '||'"),
        (["serve"], "--app-id is missing: state is stored under the app's name; write --app-id NAME"),
        (["serve", "--app-id", "a", "--", "x"], "serve starts no app; write pannier run ... -- COMMAND"),
        (["srve"], "there is no command 'srve'; did you mean 'pannier serve'?"),
        (["check"], "check needs files or folders: write pannier check PATH ..."),
        (
            ["help", "nothing"],
            "there is no help on 'nothing'; write pannier help run, serve, list, stop, state, check, schema, copy, "
            "export, import, reencrypt, import layotto, completion, help or version",
        ),
    ]
    for arguments, line in cases:
        with subtests.test(" ".join(arguments)):
            assert refused(*arguments, code=2) == [f"pannier: {line}"]


def test_without_a_command_help_is_shown() -> None:
    assert refused(code=2)[0] == "Pannier serves a state API beside your app, over the database of your choice."
