"""`pannier run -- COMMAND`: the app is started when the API answers, and the two end together."""

from __future__ import annotations

import os
import pty
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from servers.pannier_process import Pannier

RunApp = Callable[..., Pannier]

SAVES_AND_READS = """
import json, os, urllib.request as http
base = f"http://127.0.0.1:{os.environ['DAPR_HTTP_PORT']}/v1.0/state/statestore"
http.urlopen(http.Request(base, json.dumps([{"key": "k", "value": 41}]).encode(), method="POST")).close()
print("read", json.load(http.urlopen(base + "/k")))
"""
WAITS = "import time; print('up', flush=True); time.sleep(60)"


@pytest.fixture
def run_app(tmp_path: Path) -> Iterator[RunApp]:
    """Run an app written in Python: `run_app(code, *flags)`."""
    started = []

    def start(code: str, *flags: object, command: list[str] | None = None, **environment: str) -> Pannier:
        app = [sys.executable, "-c", code] if command is None else command
        place = {"XDG_DATA_HOME": str(tmp_path), **environment}
        started.append(Pannier("run", "--http-port", "0", *flags, "--", *app, environment=place, folder=tmp_path))
        return started[-1]

    yield start
    for pannier in started:
        pannier.close()


def test_the_app_finds_the_api_answering(run_app: RunApp) -> None:
    pannier = run_app(SAVES_AND_READS)
    assert pannier.end() == 0
    assert "== APP == read 41\n" in pannier.out


def test_saved_state_is_there_at_the_next_run(run_app: RunApp) -> None:
    assert run_app(SAVES_AND_READS).end() == 0
    again = run_app(SAVES_AND_READS.replace("http.urlopen(http.Request", "#"))
    assert again.end() == 0 and "read 41" in again.out


def test_the_first_lines_say_address_stores_and_a_line_to_try(run_app: RunApp, tmp_path: Path) -> None:
    pannier = run_app("pass", "--app-id", "shop")
    pannier.end()
    first, store, grpc, metrics, attempt = pannier.out.splitlines()[:5]
    port = pannier.port()
    assert first == f"Pannier 0.1.0 serves app 'shop' at http://127.0.0.1:{port}"
    assert store == f"  store    statestore (state.sqlite, in {tmp_path}/pannier/statestore.db) is ready"
    assert grpc.startswith("  gRPC     127.0.0.1:")
    assert metrics.startswith("  metrics  http://127.0.0.1:")
    assert attempt.startswith("  try      curl -d '[{")


def test_the_line_to_try_works(run_app: RunApp) -> None:
    pannier = run_app(WAITS)
    pannier.until_says("== APP == up")
    line = next(line for line in pannier.out.splitlines() if line.startswith("  try")).removeprefix("  try")
    line = line.replace("curl", "curl -s --noproxy '*'")
    assert subprocess.run(line, shell=True, capture_output=True, check=True).stdout == b'"world"'
    pannier.send(signal.SIGTERM)
    assert pannier.end() == 143


def test_the_app_gets_variables_of_this_sidecar_and_none_of_another(run_app: RunApp) -> None:
    code = "import os; print({k: v for k, v in os.environ.items() if 'APP' in k or 'DAPR' in k or 'runtime' in k})"
    others = {"DAPR_GRPC_PORT": "1", "DAPR_HTTP_PORT": "2", "DAPR_MINE": "3", "runtime_GRPC_HOST": "elsewhere"}
    pannier = run_app(code, "--app-id", "shop", "--app-port", "6000", **others)
    pannier.end()
    answers = eval(pannier.out.partition("== APP == {")[2].join(["{", ""]))
    grpc = pannier.out.partition("  gRPC     127.0.0.1:")[2].partition(",")[0]
    assert answers == {
        "APP_ID": "shop",
        "APP_PORT": "6000",
        "APP_PROTOCOL": "http",
        "DAPR_HTTP_PORT": str(pannier.port()),
        "DAPR_GRPC_PORT": grpc,
        "DAPR_METRICS_PORT": str(pannier.metrics_port()),
        "runtime_GRPC_PORT": grpc,
        "DAPR_MINE": "3",
    }


@pytest.mark.parametrize("code", [0, 1, 7, 255])
def test_the_exit_code_is_the_apps(run_app: RunApp, code: int) -> None:
    assert run_app(f"raise SystemExit({code})").end() == code


def test_the_exit_code_after_a_signal_is_128_plus_its_number(run_app: RunApp) -> None:
    assert run_app("import os, signal; os.kill(os.getpid(), signal.SIGKILL)").end() == 137


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_is_passed_on(run_app: RunApp, number: signal.Signals) -> None:
    code = (
        "import signal, time\n"
        "def end(number, frame):\n    print('got', number, flush=True)\n    raise SystemExit(3)\n"
        f"signal.signal({int(number)}, end)\nprint('up', flush=True)\ntime.sleep(60)"
    )
    pannier = run_app(code)
    pannier.until_says("== APP == up")
    pannier.send(number)
    assert pannier.end() == 3
    assert f"== APP == got {int(number)}\n" in pannier.out


def test_the_api_serves_while_the_app_ends(run_app: RunApp) -> None:
    code = f"""
import signal, time
def end(*_):
    {SAVES_AND_READS.strip().replace(chr(10), chr(10) + "    ")}
    raise SystemExit(0)
signal.signal(signal.SIGTERM, end)
print('up', flush=True)
time.sleep(60)
"""
    pannier = run_app(code)
    pannier.until_says("== APP == up")
    pannier.send(signal.SIGTERM)
    assert pannier.end() == 0
    assert "read 41" in pannier.out


def test_a_second_interrupt_ends_an_app_that_ignores_the_first(run_app: RunApp) -> None:
    code = "import signal, time; signal.signal(signal.SIGINT, signal.SIG_IGN); print('up', flush=True); time.sleep(60)"
    pannier = run_app(code)
    pannier.until_says("== APP == up")
    pannier.send(signal.SIGINT)
    pannier.until_says("send it again to end at once")
    pannier.send(signal.SIGINT)
    assert pannier.end() == 137


def test_processes_of_the_app_end_with_it(run_app: RunApp) -> None:
    child = f"import os, subprocess, sys; subprocess.run([sys.executable, '-c', {WAITS!r}])"
    pannier = run_app(child)
    pannier.until_says("== APP == up")
    pannier.send(signal.SIGTERM)
    assert pannier.end() == 143


def test_what_a_shell_has_started_in_the_background_ends_at_an_interrupt_too(run_app: RunApp) -> None:
    pannier = run_app("", command=["sh", "-c", "sleep 600 & echo up $!; wait"])
    pannier.until_says("== APP == up")
    child = pannier.out.partition("== APP == up ")[2].split()[0]
    pannier.send(signal.SIGINT)
    assert pannier.end() == 130
    state = Path(f"/proc/{child}/stat")
    pannier.until(lambda: not state.exists() or ") Z " in state.read_text(), "the end of the child")


def test_a_call_to_shut_down_ends_the_app_too(run_app: RunApp) -> None:
    pannier = run_app(WAITS)
    pannier.until_says("== APP == up")
    assert pannier.call("/v1.0/shutdown", "POST")[0] == 204
    assert pannier.end() == 143


def test_lines_of_both_streams_are_prefixed_and_stay_apart(run_app: RunApp) -> None:
    pannier = run_app("import sys; print('one'); print('two', file=sys.stderr)")
    pannier.end()
    assert "== APP == one\n" in pannier.out and "two" not in pannier.out
    assert "== APP == two\n" in pannier.err


def test_a_line_without_an_end_is_not_lost(run_app: RunApp) -> None:
    pannier = run_app("import sys; sys.stdout.write('no end')")
    pannier.end()
    assert pannier.out.endswith("== APP == no end\n")


def test_bytes_that_are_no_text_pass_as_they_are(run_app: RunApp) -> None:
    pannier = run_app(r"import os; os.write(1, b'\xff\xfe\x00\x1b[31m\n')")
    pannier.end()
    assert b"== APP == \xff\xfe\x00\x1b[31m\n" in pannier.raw_out


def test_a_huge_line_passes_in_pieces(run_app: RunApp) -> None:
    pannier = run_app("print('x' * 300_000)")
    pannier.end()
    app_lines = [line for line in pannier.out.splitlines() if line.startswith("== APP == ")]
    assert "".join(line.removeprefix("== APP == ") for line in app_lines) == "x" * 300_000


def test_a_chatty_app_loses_no_line(run_app: RunApp) -> None:
    pannier = run_app("for n in range(20_000): print(n)")
    assert pannier.end() == 0
    assert [line for line in pannier.out.splitlines() if "APP" in line] == [f"== APP == {n}" for n in range(20_000)]


def test_there_is_no_colour_where_there_is_no_terminal(run_app: RunApp) -> None:
    pannier = run_app("print('x')")
    pannier.end()
    assert "\x1b" not in pannier.out


def test_on_a_terminal_the_prefix_is_coloured_unless_asked_not_to(tmp_path: Path) -> None:
    for environment, prefix in (({}, b"\x1b[36m== APP ==\x1b[0m hi"), ({"NO_COLOR": "1"}, b"\n== APP == hi")):
        assert prefix in _on_a_terminal(tmp_path, environment)


def _on_a_terminal(tmp_path: Path, environment: dict[str, str]) -> bytes:
    ours, theirs = pty.openpty()
    command = [sys.executable, "-m", "pannier_sidecar", "run", "--http-port", "0", "--", "echo", "hi"]
    place = {"PATH": os.environ["PATH"], "XDG_DATA_HOME": str(tmp_path), "TERM": "xterm", **environment}
    process = subprocess.Popen(command, stdin=theirs, stdout=theirs, stderr=theirs, env=place)
    os.close(theirs)
    said = b""
    while True:
        try:
            said += os.read(ours, 65536)
        except OSError:  # Linux's error for a closed other side
            break
    os.close(ours)
    assert process.wait() == 0
    return said.replace(b"\r\n", b"\n")
