"""`pannier run -f`, `pannier list` and `pannier stop`: real apps beside real sidecars, started, ended and killed."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import stat
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from servers.component_files import component
from servers.pannier_process import Pannier, call

WAITS = """
import os, signal, sys, time
def end(number, _):
    print('got', number, flush=True)
    raise SystemExit(0)
signal.signal(signal.SIGTERM, end)
signal.signal(signal.SIGINT, end)
print('up', os.environ['APP_ID'], os.getpid(), flush=True)
time.sleep(600)
"""
SAVES_AT_THE_END = """
import json, os, signal, time, urllib.request as http
base = f"http://127.0.0.1:{os.environ['DAPR_HTTP_PORT']}/v1.0/state/statestore"
def end(*_):
    http.urlopen(http.Request(base, json.dumps([{"key": "k", "value": 41}]).encode(), method="POST")).close()
    print("read", json.load(http.urlopen(base + "/k")), flush=True)
    raise SystemExit(0)
signal.signal(signal.SIGTERM, end)
signal.signal(signal.SIGINT, end)
print("up", flush=True)
time.sleep(600)
"""
IGNORES = (
    "import os, signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('up', flush=True); time.sleep(600)"
)

RunApps = Callable[..., Pannier]


class Place:
    """A user's home, data folder and a folder of run files."""

    def __init__(self, folder: Path):
        self.folder = folder
        self.environment = {"XDG_DATA_HOME": str(folder / "data"), "HOME": str(folder / "home")}
        self.started: list[Pannier] = []

    def pannier(self, *arguments: object) -> Pannier:
        self.started.append(Pannier(*arguments, environment=self.environment, folder=self.folder))
        return self.started[-1]

    def write(self, apps: dict[str, str | None], name: str = "dapr.yaml", **fields: object) -> Path:
        """Write a run file of apps in Python, each in a folder of its own."""
        listed = []
        for app_id, code in apps.items():
            (self.folder / app_id).mkdir(exist_ok=True)
            command = {} if code is None else {"command": [sys.executable, "-c", code]}
            listed.append({"appID": app_id, "appDirPath": app_id, **command, **fields})
        path = self.folder / name
        path.write_text(json.dumps({"version": 1, "apps": listed}))
        return path

    def run(self, apps: dict[str, str | None], name: str = "dapr.yaml", **fields: object) -> Pannier:
        """Run such a file, and wait until every app has started."""
        runner = self.pannier("run", "-f", self.write(apps, name, **fields))
        for app_id in apps:
            runner.until_says(f"app '{app_id}' has started")
        return runner

    def said(self, *arguments: object) -> str:
        """What a verb prints; it must end with 0."""
        pannier = self.pannier(*arguments)
        assert pannier.end() == 0, pannier.err
        return pannier.out

    def rows(self) -> dict[str, dict[str, Any]]:
        return {row["appId"]: row for row in json.loads(self.said("list", "-o", "json"))}

    def log(self, app_id: str, kind: str) -> str:
        (path,) = (self.folder / app_id / ".dapr/logs").glob(f"{app_id}_{kind}_*.log")
        return path.read_text()


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    (tmp_path / "home").mkdir()
    found = Place(tmp_path)
    yield found
    for pannier in found.started:
        pannier.close()


def is_alive(pid: object) -> bool:
    try:
        return b") Z " not in Path(f"/proc/{pid}/stat").read_bytes()
    except OSError:
        return False


def test_each_app_has_a_sidecar_and_both_end_well_at_an_interrupt(place: Place) -> None:
    runner = place.run({"shop": SAVES_AT_THE_END, "till": WAITS})
    runner.until_says("== APP - till == up till")
    rows = place.rows()
    for app_id, row in rows.items():
        metadata = json.loads(call(f"http://127.0.0.1:{row['httpPort']}/v1.0/metadata")[1])
        assert metadata["id"] == app_id
        extended = metadata["extended"]
        assert (extended["cliPID"], extended["appPID"]) == (str(runner.process.pid), str(row["appPid"]))
        assert (extended["runTemplatePath"], extended["appLogPath"]) == (row["runTemplatePath"], row["appLogPath"])
    runner.send(signal.SIGINT)
    assert runner.end() == 0
    assert "== APP - shop == read 41\n" in runner.out  # the sidecar served until its app had ended
    assert "== APP - till == got 2\n" in runner.out
    assert not any(is_alive(row[name]) for row in rows.values() for name in ("daprdPid", "appPid"))
    assert place.rows() == {}


def test_output_goes_where_the_file_says(place: Place) -> None:
    says = "import sys; print('to out'); print('to err', file=sys.stderr)"
    runner = place.run({"shop": says}, appLogDestination="fileAndConsole")
    runner.end()
    assert "== APP - shop == to out\n" in runner.out and "== APP - shop == to err\n" in runner.err
    assert sorted(place.log("shop", "app").splitlines()) == ["to err", "to out"]
    assert "serves app 'shop'" in place.log("shop", "daprd") and "SIDECAR" not in runner.out
    runner = place.run({"till": says}, appLogDestination="file", daprdLogDestination="console")
    runner.end()
    assert "to out" not in runner.out and "== SIDECAR - till == Pannier 0.1.0 serves app 'till'" in runner.out
    assert not list((place.folder / "till/.dapr/logs").glob("*_daprd_*"))
    (log,) = (place.folder / "till/.dapr/logs").iterdir()
    assert stat.S_IMODE(log.stat().st_mode) == 0o600


def test_an_app_that_ends_leaves_the_others_running(place: Place) -> None:
    runner = place.run({"shop": "raise SystemExit(3)", "till": WAITS})
    runner.until_says("app 'shop' has ended with exit code 3; the others go on")
    assert list(place.rows()) == ["till"]
    assert place.said("stop", "--app-id", "till") == "app 'till' has ended\n"
    assert runner.end() == 1


def test_an_app_without_a_command_has_a_sidecar_only(place: Place) -> None:
    runner = place.run({"shop": None})
    assert place.rows()["shop"]["appPid"] == 0
    runner.send(signal.SIGTERM)
    assert runner.end() == 0


def test_a_port_in_use_ends_what_has_started(place: Place) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        file = place.write({"shop": WAITS, "till": WAITS, "late": WAITS})
        content = json.loads(file.read_text())
        content["apps"][1]["daprHTTPPort"] = port
        file.write_text(json.dumps(content))
        runner = place.pannier("run", "-f", file)
        assert runner.end() == 1
    message = f"port {port} is in use (127.0.0.1); stop the other program or change daprHTTPPort"
    assert runner.err.splitlines()[-1] == f"pannier: app 'till' did not start: {message}"
    assert "== APP - shop == got 15\n" in runner.out and "late" not in runner.out
    assert place.rows() == {}


def test_a_command_that_is_not_there_names_the_app(place: Place) -> None:
    file = place.write({"shop": None}, command=["./no-such-program"])
    runner = place.pannier("run", "-f", file)
    assert runner.end() == 1
    assert runner.err == "pannier: app 'shop' did not start: ./no-such-program: no such program; check its command\n"


@pytest.mark.parametrize("killed", ["runner", "sidecar"])
def test_nothing_is_left_when_a_process_is_killed(place: Place, killed: str) -> None:
    child = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {WAITS!r}])"
    runner = place.run({"shop": child, "till": WAITS})
    runner.until_says("== APP - shop == up shop")
    runner.until_says("== APP - till == up till")
    rows = place.rows()
    apps = [int(line.split()[-1]) for line in runner.out.splitlines() if "== up " in line]
    pids = {name: [row[name] for row in rows.values()] for name in ("daprdPid", "appPid")}
    for pid in [runner.process.pid] if killed == "runner" else pids["daprdPid"]:
        os.kill(pid, signal.SIGKILL)
    runner.until(lambda: not any(map(is_alive, [*pids["daprdPid"], *pids["appPid"], *apps])), "the end of all")
    runner.end()
    assert place.rows() == {}
    assert list((place.folder / "data/pannier/running").iterdir()) == []  # removed by `list`


def test_an_app_that_ignores_the_end_of_a_killed_run_is_killed(place: Place) -> None:
    pannier = place.pannier("run", "--http-port", "0", "--", sys.executable, "-c", IGNORES)
    pannier.until_says("== APP == up")
    app = place.rows()["app"]["appPid"]
    pannier.send(signal.SIGKILL)
    pannier.until(lambda: not is_alive(app), "the end of the app")


def test_two_runs_at_once_are_listed_and_stopped_apart(place: Place) -> None:
    first = place.run({"shop": WAITS}, "one.yaml")
    second = place.run({"shop": WAITS, "till": WAITS})
    alone = place.pannier("run", "--http-port", "0", "--app-id", "alone", "--", sys.executable, "-c", WAITS)
    alone.until_says("== APP == up alone")
    listed = json.loads(place.said("list", "--output", "json"))
    names = [(row["appId"], Path(row["runTemplatePath"]).name) for row in listed]
    assert names == [("shop", "one.yaml"), ("shop", "dapr.yaml"), ("till", "dapr.yaml"), ("alone", "")]
    assert len({row["httpPort"] for row in listed}) == 4
    assert place.said("stop", "-f", place.folder) == f"run of {place.folder}/dapr.yaml has ended\n"
    assert second.end() == 0
    assert place.said("stop", "--app-id", "alone", "-a", "shop").splitlines() in (
        ["app 'alone' has ended", "app 'shop' has ended"],
        ["app 'shop' has ended", "app 'alone' has ended"],
    )
    assert (first.end(), alone.end()) == (0, 0)
    assert place.said("list") == "no app runs; 'pannier run' starts one\n"


def test_components_read_the_variables_and_the_folder_of_their_app(place: Place) -> None:
    """Dapr's sidecar does not get the variables: https://github.com/dapr/cli/issues/1361."""
    components = place.folder / "components"
    components.mkdir()
    secrets = component("env", "secretstores.local.env", {})
    store = component("statestore", "state.sqlite", {"connectionString": "X"})
    reference = "secretKeyRef: {name: DATABASE, key: DATABASE}"
    store = re.sub(r'value: "?X"?', reference, store)
    (components / "all.yaml").write_text(f"{secrets}\n---\n{store}\nauth: {{secretStore: env}}\n")
    place.run({"shop": SAVES_AT_THE_END}, resourcesPath=str(components), env={"DATABASE": "own.db"})
    assert (place.folder / "shop/own.db").exists()


def test_two_stops_at_once_do_not_kill_an_app(place: Place) -> None:
    runner = place.run({"shop": SAVES_AT_THE_END})
    runner.until_says("== APP - shop == up")
    stops = [place.pannier("stop", "--app-id", "shop") for _ in range(3)]
    assert runner.end() == 0 and "== APP - shop == read 41\n" in runner.out
    assert 0 in [stop.end() for stop in stops]  # one that comes too late finds nothing


def test_a_very_long_command_is_cut_in_the_list_only(place: Place) -> None:
    place.run({"shop": f"{WAITS}\n# {'x' * 100_000}"})
    assert len(str(place.rows()["shop"]["command"])) == 2048


def test_the_table_has_daprs_columns(place: Place) -> None:
    runner = place.run({"shop": WAITS}, appPort=3000)
    title, row = place.said("list").splitlines()
    assert title.split("  ")[0] == "APP ID" and "RUN_TEMPLATE_PATH" in title and "DAPRD PID" in title
    assert row.split()[0] == "shop" and row.split()[3] == "3000"
    document = place.said("list", "-o", "yaml")
    assert document.startswith("- appId: shop\n  httpPort: ") and f"  cliPid: {runner.process.pid}\n" in document


def test_stop_says_what_does_not_run(place: Place) -> None:
    for arguments, line in (
        (["--app-id", "shop"], "app 'shop' does not run; 'pannier list' shows the apps that do"),
        (["-f", "dapr.yaml"], f"nothing that {place.folder}/dapr.yaml starts runs; 'pannier list' shows the run files"),
    ):
        pannier = place.pannier("stop", *arguments)
        assert (pannier.end(), pannier.out) == (1, "")
        assert line in pannier.err


def test_stop_never_ends_a_process_that_has_the_pid_of_an_ended_one(place: Place) -> None:
    pannier = place.pannier("run", "--http-port", "0", "--", sys.executable, "-c", WAITS)
    pannier.until_says("== APP == up")
    folder = place.folder / "data/pannier/running"
    (path,) = folder.iterdir()
    assert (stat.S_IMODE(path.stat().st_mode), stat.S_IMODE(folder.stat().st_mode)) == (0o600, 0o700)
    record = json.loads(path.read_text())
    record["process"] = {"pid": record["process"]["pid"], "started": "1"}
    (folder / f"{record['process']['pid']}-1.json").write_text(json.dumps({**record, "appId": "ended"}))
    (folder / "1-1.json").write_text("{")
    assert list(place.rows()) == ["app"]
    assert place.pannier("stop", "--app-id", "ended").end() == 1
    assert is_alive(pannier.process.pid)
    folder.chmod(0o777)  # anybody could have written the records
    refusing = place.pannier("stop", "--app-id", "app")
    assert refusing.end() == 1 and "only you can write to" in refusing.err
    folder.chmod(0o700)


def test_an_interrupt_during_the_start_leaves_nothing(place: Place) -> None:
    runner = place.pannier("run", "-f", place.write({f"app{number}": WAITS for number in range(4)}))
    runner.until_says("app 'app0' has started")
    runner.send(signal.SIGINT)
    assert runner.end() == 0
    assert place.rows() == {}
