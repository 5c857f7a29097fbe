"""What a run file says, which value goes for which app, and what is wrong with it: without starting anything."""

from __future__ import annotations

from pathlib import Path

import pytest
from unit.tables import each_row

from pannier_sidecar.cli import run_command
from pannier_sidecar.cli.run_file.fields import BY_NAME
from pannier_sidecar.cli.run_file.planning import AppPlan, Plan, plan
from pannier_sidecar.cli.run_file.reading import read

PAGE = Path(__file__).parents[4] / "docs" / "several-apps.md"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in ("shop", "till", "home", "shared"):
        (tmp_path / name).mkdir()
    (tmp_path / "config.yaml").touch()
    return tmp_path


def planned(folder: Path, text: str) -> Plan:
    run_file, problems = read(text.encode())
    assert run_file is not None and problems == [], problems
    return plan(run_file, folder, folder / "home")


def one(folder: Path, common: str = "", app: str = "") -> AppPlan:
    """Return the plan of one app in the folder `shop`."""
    made = planned(folder, f"version: 1\ncommon: {{{common}}}\napps:\n- {{appDirPath: shop, {app}}}\n")
    assert made.problems == [], made.problems
    return made.apps[0]


def wrong(folder: Path, text: str) -> list[str]:
    run_file, problems = read(text.encode())
    if run_file is not None:
        problems += plan(run_file, folder, folder / "home").problems
    return [f"{problem.line}: {problem}".replace(str(folder), "DIR") for problem in problems]


def test_an_app_without_fields_gets_free_ports_and_the_name_of_its_folder(folder: Path) -> None:
    app = one(folder)
    assert app.arguments == ("--app-id", "shop", "--http-port", "0", "--grpc-port", "0", "--metrics-port", "0")
    assert (app.command, app.environment, app.folder) == ((), {}, folder / "shop")
    assert (app.app_destination, app.sidecar_destination) == ("fileAndConsole", "file")
    assert app.log("daprd", "20261127") == folder / "shop/.dapr/logs/shop_daprd_20261127.log"


SETS = {
    "appID: a": "--app-id a",
    "appPort: 3000": "--app-port=3000",
    "daprHTTPPort: 3510": "--http-port=3510",
    "daprGRPCPort: 3511": "--grpc-port=3511",
    "metricsPort: 3512": "--metrics-port=3512",
    "appProtocol: grpc": "--app-protocol=grpc",
    'apiListenAddresses: "127.0.0.1"': "--listen-addresses=127.0.0.1",
    "logLevel: debug": "--log-level=debug",
    "maxBodySize: 8Mi": "--max-body-size=8Mi",
    "readBufferSize: 8Ki": "--read-buffer-size=8Ki",
    "daprHTTPMaxRequestSize: 8": "--dapr-http-max-request-size=8",
    "daprHTTPReadBufferSize: 8": "--dapr-http-read-buffer-size=8",
    "enableApiLogging: true": "--enable-api-logging=true",
    "unixDomainSocket: run": "--unix-domain-socket=DIR/shop/run",
    "resourcesPath: ../shared": "--components DIR/shared",
    'resourcesPaths: "../shared, ."': "--components DIR/shared --components DIR/shop",
    "resourcesPaths: [../shared, .]": "--components DIR/shared --components DIR/shop",
}


@each_row(("field", "flags"), list(SETS.items()))
def test_a_field_sets_a_flag(folder: Path, field: str, flags: str) -> None:
    assert flags in " ".join(one(folder, app=field).arguments).replace(str(folder), "DIR")


PRECEDENCE = [
    ("logLevel: debug", "", "--log-level=debug"),
    ("logLevel: debug", "logLevel: warn", "--log-level=warn"),
    ("enableApiLogging: true", "enableApiLogging: false", "--enable-api-logging=false"),
    ("resourcesPath: shared", "", "--components DIR/shared"),
    ("resourcesPath: shared", "resourcesPaths: [.]", "--components DIR/shop"),
]


@each_row(("common", "app", "flag"), PRECEDENCE)
def test_the_value_of_an_app_wins(folder: Path, common: str, app: str, flag: str) -> None:
    arguments = " ".join(one(folder, common, app).arguments).replace(str(folder), "DIR")
    assert flag in arguments and arguments.count(flag.split("=")[0].split(" ")[0]) == 1


def test_an_empty_value_of_an_app_undoes_that_of_common(folder: Path) -> None:
    assert "--components" not in one(folder, "resourcesPaths: [shared]", "resourcesPaths: []").arguments
    assert "--log-level" not in " ".join(one(folder, "logLevel: debug", 'logLevel: ""').arguments)


def test_variables_are_merged_and_keep_their_text(folder: Path) -> None:
    app = one(folder, "env: {A: common, B: 1.10, C: yes}", "env: {A: app, D: }, appChannelAddress: 10.0.0.1")
    assert app.environment == {"A": "app", "B": "1.10", "C": "yes", "D": "", "APP_CHANNEL_ADDRESS": "10.0.0.1"}


def test_the_apps_own_folder_goes_before_common_and_the_installed_one_comes_last(folder: Path) -> None:
    installed = folder / "home/.dapr/components"
    installed.mkdir(parents=True)
    assert str(installed) in one(folder).arguments
    assert str(installed) not in one(folder, "resourcesPath: shared").arguments
    own = folder / "shop/.dapr/resources"
    own.mkdir(parents=True)
    assert str(own) in one(folder, "resourcesPath: shared").arguments
    assert str(own) not in one(folder, app="resourcesPath: ../shared").arguments


def test_what_has_no_effect_is_named_once(folder: Path) -> None:
    text = "version: 1\ncommon: {runtimePath: x, appSSL: true}\napps:\n" + 2 * "- {appDirPath: shop, appSSL: false}\n"
    assert planned(folder, text).without_effect == ["appSSL", "runtimePath"]


def test_two_apps_with_one_id_have_logs_of_their_own(folder: Path) -> None:
    apps = planned(folder, "version: 1\napps: [{appDirPath: shop, appID: a/b}, {appDirPath: shop, appID: a/b}]").apps
    assert [app.log_name for app in apps] == ["a-b", "a-b-2"]


HEAD = "version: 1\napps:\n- appDirPath: shop\n"
WRONG = {
    "apps: [{appDirPath: shop}]": ["1: version: is missing; write 'version: 1'"],
    "version: 2\napps: [{appDirPath: shop}]": ["1: version: '2' is not a known version; write 'version: 1'"],
    "version: 1": ["1: apps: has no app; list at least one, with its appDirPath"],
    "version: 1\napps: [{appID: a}]": ["2: apps[0].appDirPath: is missing; write the app's folder"],
    "version: 1\napps: [{appDirPath: nowhere}]": [
        "2: apps[0].appDirPath: there is no folder DIR/nowhere; create it or correct it"
    ],
    f"{HEAD}  appId: a": ["4: apps[0].appId: there is no field 'appId'; write 'appID'"],
    f"{HEAD}  resourcePaths: a": [
        "4: apps[0].resourcePaths: there is no field 'resourcePaths'; write 'resourcesPaths'"
    ],
    "version: 1\ncommon:\n  appPort: 1\napps: [{appDirPath: shop}]": [
        "3: common.appPort: only an app has this field; write it below the app in 'apps'"
    ],
    "version: 1\nApps: [{appDirPath: shop}]": [
        "2: Apps: there is no field 'Apps'; write 'apps'",
        "1: apps: has no app; list at least one, with its appDirPath",
    ],
    f"{HEAD}  appPort: many": [
        "4: apps[0].appPort: 'many' can't be used; write a port from 1 to 65535, or 0 for a free one"
    ],
    f"{HEAD}  command: python3 app.py": [
        """4: apps[0].command: 'python3 app.py' can't be used; write a list, such as ["python3", "app.py"]"""
    ],
    f"{HEAD}  appID: [a]": ["4: apps[0].appID: has another form; write one value"],
    f"{HEAD}  appID: a||b": ["4: apps[0].appID: 'a||b' can't be used in keys; write a name without '||'"],
    f"{HEAD}  env: [A=1]": ["4: apps[0].env: has another form; write NAME: value"],
    f"{HEAD}  appLogDestination: syslog": [
        "4: apps[0].appLogDestination: 'syslog' can't be used; write file, console or fileAndConsole"
    ],
    f"{HEAD}  configFilePath: none.yaml": [
        "4: apps[0].configFilePath: there is no file DIR/shop/none.yaml; create it or correct it"
    ],
    "version: 1\ncommon: {resourcesPath: none}\napps: [{appDirPath: shop}, {appDirPath: till}]": [
        "2: common.resourcesPath: there is no folder DIR/none; create it or correct it"
    ],
    "[]": ["1: the file is no run file; write 'version: 1' and 'apps:'"],
    "": ["1: the file is no run file; write 'version: 1' and 'apps:'"],
}


@each_row(("text", "lines"), list(WRONG.items()))
def test_what_is_wrong_is_one_line_with_the_field_and_the_way_out(folder: Path, text: str, lines: list[str]) -> None:
    assert wrong(folder, text) == lines


def test_broken_yaml_has_its_line(folder: Path) -> None:
    (line,) = wrong(folder, "version: 1\napps: [\n")
    assert line.split(":")[0] in ("2", "3")


def test_a_flag_that_a_field_sets_is_refused_beside_f(capsys: pytest.CaptureFixture[str]) -> None:
    for flag, field in (("--app-id", "appID"), ("--dapr-http-port", "daprHTTPPort"), ("-components", "resourcesPaths")):
        assert run_command(["run", "-f", ".", flag, "1"], {}) == 2
        assert f"can't be used beside -f; write {field} in the run file" in capsys.readouterr().err
    assert run_command(["run", "-f", ".", "--", "sh"], {}) == 2
    assert "-f takes the commands from the run file" in capsys.readouterr().err


def test_the_page_has_every_field() -> None:
    page = PAGE.read_text()
    assert [name for name in BY_NAME if f"`{name}" not in page] == []
    without_effect = page.partition("other building blocks")[2].partition("\n\n")[0]
    assert [name for name, field in BY_NAME.items() if f"`{name}`" in without_effect and field.has_effect] == []
