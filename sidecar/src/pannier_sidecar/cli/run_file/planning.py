"""Decides what each app of a run file is started with. Asks the file system only whether a path is there.

A value of an app wins over that of `common`, even if it is false, 0 or empty. In Dapr such a value can't undo `common`.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Final

from msgspec import Struct

from pannier_crds.problems import Problem, quoted
from pannier_sidecar.cli.flag_values import path as expanded
from pannier_sidecar.cli.run_file.fields import BY_NAME, OF_ALL, OF_ONE_APP, PORTS
from pannier_sidecar.settings import Settings, SettingsError, check

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pannier_sidecar.cli.run_file.fields import Field
    from pannier_sidecar.cli.run_file.reading import RunFile, Written

_FREE_PORT: Final = ("0", "-1")
_OWN_FOLDER: Final = ".dapr"
_DEFAULT_DESTINATION: Final = {"appLogDestination": "fileAndConsole", "daprdLogDestination": "file"}


class AppPlan(Struct, frozen=True):
    """How one app is started."""

    app_id: str
    folder: Path
    arguments: tuple[str, ...]
    """Those of `pannier run`, without the command."""
    command: tuple[str, ...]
    environment: Mapping[str, str]
    """Variables of the app alone."""
    app_destination: str
    sidecar_destination: str
    log_name: str
    """What the names of its log files begin with."""

    def log(self, kind: str, time: str) -> Path:
        """Return the path of a log file; `kind` is app or daprd."""
        return self.folder / _OWN_FOLDER / "logs" / f"{self.log_name}_{kind}_{time}.log"


class Plan(Struct, frozen=True):
    """How all of them are started, or what is wrong."""

    apps: list[AppPlan]
    problems: list[Problem]
    without_effect: list[str]
    """Fields that are written and have no effect here."""


def plan(run_file: RunFile, folder: Path, home: Path | None) -> Plan:
    """Decide for each app. `folder` is the run file's, and `home` the one with the files of Dapr's installation."""
    problems: list[Problem] = []
    apps = []
    names: set[str] = set()
    for index, written in enumerate(run_file.apps):
        one = _OneApp(run_file, index, folder, home, problems)
        if "appDirPath" not in written:
            message, line = "is missing", run_file.lines[index]
            problems.append(Problem("error", f"apps[{index}].appDirPath", message, "write the app's folder", line))
        elif one.folder.is_dir():
            apps.append(one.plan(names))
            names.add(apps[-1].log_name)
        else:
            problems.append(
                written["appDirPath"].problem(f"there is no folder {one.folder}", "create it or correct it")
            )
    everywhere = [run_file.common, *run_file.apps]
    unused = [
        name for name, field in BY_NAME.items() if not field.has_effect and any(name in one for one in everywhere)
    ]
    return Plan(apps, problems, unused)


class _OneApp:
    """The values of one app."""

    def __init__(self, run_file: RunFile, index: int, folder: Path, home: Path | None, problems: list[Problem]):
        self._own, self._common = run_file.apps[index], run_file.common
        self._run_folder, self._home = folder, home
        self._problems = problems
        self.folder = _absolute(folder, self._own["appDirPath"].value) if "appDirPath" in self._own else folder

    def plan(self, taken: set[str]) -> AppPlan:
        app_id = self._text("appID") or self.folder.name or "app"
        self._check_app_id(app_id)
        arguments = ["--app-id", app_id]
        for field in (*OF_ONE_APP, *OF_ALL):
            if field.name not in ("appID", "configFilePath"):
                arguments += self._flag(field)
        for name in PORTS:
            if self._text(name) in ("", *_FREE_PORT):
                arguments += [f"--{BY_NAME[name].flag}", "0"]
        for path in self._resources():
            arguments += ["--components", str(path)]
        config = self._config()
        if config is not None and BY_NAME["configFilePath"].sets is not None:
            arguments += ["--config", str(config)]
        name = re.sub(r"[^A-Za-z0-9._-]+", "-", app_id).lstrip(".") or "app"
        return AppPlan(
            app_id,
            self.folder,
            tuple(arguments),
            tuple(self._own["command"].value) if "command" in self._own else (),
            self._environment(),
            self._destination("appLogDestination"),
            self._destination("daprdLogDestination"),
            next(each for each in _numbered(name) if each not in taken),
        )

    def _written(self, name: str) -> Written | None:
        return self._own.get(name, self._common.get(name))

    def _text(self, name: str) -> str:
        written = self._written(name)
        return written.value.strip() if written is not None else ""

    def _destination(self, name: str) -> str:
        return self._text(name) or _DEFAULT_DESTINATION[name]

    def _check_app_id(self, app_id: str) -> None:
        try:
            check(Settings().changed({"app.id": app_id}))
        except SettingsError as error:
            written = self._own.get("appID") or self._own["appDirPath"]
            message, _, advice = str(error).removeprefix("--app-id ").partition("; ")
            self._problems.append(written.problem(message, advice))

    def _flag(self, field: Field) -> list[str]:
        """Return the flag that a field sets, with its value, if the value can be used."""
        written, flag = self._written(field.name), field.sets
        if written is None or flag is None or not written.value.strip():
            return []
        text = written.value.strip()
        if field.name in PORTS and text in _FREE_PORT:
            return []
        if field.form == "path":
            text = str(self._path(written))
        try:
            flag.read(text)
        except ValueError as error:
            self._refuse(written, f"{quoted(text)} can't be used", str(error))
            return []
        return [f"--{field.flag}={text}"]

    def _environment(self) -> dict[str, str]:
        variables = {}
        if self._text("appChannelAddress") not in ("", "127.0.0.1"):
            variables["APP_CHANNEL_ADDRESS"] = self._text("appChannelAddress")
        for level in (self._common, self._own):
            written = level.get("env")
            for name, value in written.value.items() if written is not None else ():
                if not name or "=" in name or "\0" in f"{name}{value}":
                    self._refuse(written, f"{quoted(name)} can't be a variable", "write NAME: value")
                variables[name] = value or ""
        return variables

    def _resources(self) -> list[Path]:
        """Return the folders of the components: the app's, those in its own `.dapr`, those of `common`, or Dapr's."""
        if given := self._folders(self._own):
            return given
        own = self.folder / _OWN_FOLDER / "resources"
        if own.is_dir():
            return [own]
        names = ("resourcesPaths", "resourcesPath")
        is_undone = any(name in self._own for name in names)
        if not is_undone and (given := self._folders(self._common)):
            return given
        installed = self._home / _OWN_FOLDER / "components" if self._home else None
        return [installed] if installed is not None and installed.is_dir() else []

    def _folders(self, level: Mapping[str, Written]) -> list[Path]:
        """Return the existing folders that one level names."""
        found = []
        for name in ("resourcesPaths", "resourcesPath"):
            written = level.get(name)
            for value in _folder_names(written):
                path = _absolute(self._base_of(written), value)
                if "," in str(path):
                    self._refuse(written, f"{path} has a comma", "rename the folder: a comma separates folders")
                elif path.is_dir():
                    found.append(path)
                else:
                    self._refuse(written, f"there is no folder {path}", "create it or correct it")
        return found

    def _config(self) -> Path | None:
        own = self.folder / _OWN_FOLDER / "config.yaml"
        written = self._own.get("configFilePath")
        if written is None and own.is_file():
            return own
        if written is None:
            written = self._common.get("configFilePath")
        if written is not None and written.value:
            path = self._path(written)
            if not path.is_file():
                self._refuse(written, f"there is no file {path}", "create it or correct it")
            return path
        installed = self._home / _OWN_FOLDER / "config.yaml" if self._home else None
        return installed if written is None and installed is not None and installed.is_file() else None

    def _path(self, written: Written) -> Path:
        return _absolute(self._base_of(written), written.value)

    def _base_of(self, written: Written | None) -> Path:
        is_common = written is not None and written.path.startswith("common.")
        return self._run_folder if is_common else self.folder

    def _refuse(self, written: Written | None, message: str, advice: str) -> None:
        """Add a problem; what is wrong in `common` is reported once, not for each app."""
        assert written is not None
        problem = written.problem(message, advice)
        if problem not in self._problems:
            self._problems.append(problem)


def _folder_names(written: Written | None) -> list[str]:
    """Return the names in a list, or in a text that separates them by commas, as in Dapr's example."""
    value = written.value if written is not None else ""
    names = value.split(",") if isinstance(value, str) else value
    return [name.strip() for name in names if name.strip()]


def _absolute(base: Path, text: str) -> Path:
    """Return a path below a folder, unless it is absolute or begins with ~."""
    return Path(os.path.normpath(base / expanded(text)))


def _numbered(name: str) -> Iterator[str]:
    """Yield a name, then the same with numbers: two apps of one run file may have the same id."""
    yield name
    for number in range(2, 10_000):
        yield f"{name}-{number}"
