"""zsh and fish complete command lines with the scripts that `pannier completion` prints."""

from __future__ import annotations

import os
import pty
import select
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

INSTALL = Path(__file__).parents[2] / "scripts" / "debian-package"
PANNIER = Path(sys.executable).with_name("pannier")
LIMIT_S = 60.0

COMPLETED = (
    ("chec", "check"),
    ("import lay", "import layotto"),
    ("help expo", "help export"),
    ("completion fi", "completion fish"),
    ("state incr", "state increment"),
    ("check ord", "check orders.yaml"),
    ("import ord", "import orders.yaml"),
    ("import layotto ord", "import layotto orders.yaml"),
    ("import layotto --out", "import layotto --output"),
    ("copy --to ord", "copy --to orders.yaml"),
    ("run --profile d", "run --profile dapr"),
    ("run --profile=d", "run --profile=dapr"),
    ("run --app-id ord", "run --app-id ord"),
    ("run ord", "run ord"),
    ("run -- cat ord", "run -- cat orders.yaml"),
    ("run --strict -- printen", "run --strict -- printenv"),
    ("version ord", "version ord"),
)
"""The text after `pannier` before and after Tab. The folder has one file, orders.yaml."""


def script_for(shell: str) -> str:
    subprocess.run([INSTALL, shell, "which", shell], check=True)
    return subprocess.run([PANNIER, "completion", shell], capture_output=True, text=True, check=True).stdout


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    found = tmp_path_factory.mktemp("completion")
    (found / "orders.yaml").touch()
    return found


# --- fish -------------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def fish_script(tmp_path_factory: pytest.TempPathFactory) -> Path:
    script = tmp_path_factory.mktemp("fish") / "pannier.fish"
    script.write_text(script_for("fish"))
    return script


def fish_candidates(script: Path, folder: Path, line: str) -> list[str]:
    command = [
        "fish",
        "--no-config",
        "-c",
        "source $argv[1]; complete -C $argv[2]",
        "--",
        str(script),
        f"pannier {line}",
    ]
    environment = {**os.environ, "HOME": str(script.parent), "PATH": "/usr/bin:/bin"}
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=True)
    assert done.stderr == ""
    return [each.partition("\t")[0] for each in done.stdout.splitlines()]


def test_fish_completes(fish_script: Path, folder: Path, subtests: pytest.Subtests) -> None:
    for line, completed in COMPLETED:
        with subtests.test(line):
            words, _, last = line.rpartition(" ")
            found = [each for each in fish_candidates(fish_script, folder, line) if each.startswith(last)]
            assert [f"{words} {each}".strip() for each in found] == ([completed] if completed != line else [])


def test_fish_offers_no_flags_of_another_verb(fish_script: Path, folder: Path) -> None:
    assert fish_candidates(fish_script, folder, "import layotto --") == ["--help", "--output"]
    assert fish_candidates(fish_script, folder, "help run --") == ["--help"]
    assert set(fish_candidates(fish_script, folder, "export --")) == {
        *("--app-id", "--from", "--help", "--output", "--overwrite"),
    }


# --- zsh --------------------------------------------------------------------------------------------------------------


class Zsh:
    """An interactive zsh, in which `pannier` prints its arguments."""

    def __init__(self, script: Path, folder: Path) -> None:
        self._terminal, slave = pty.openpty()
        environment = {**os.environ, "TERM": "dumb", "HOME": str(script.parent), "PATH": "/usr/bin:/bin"}
        self._process = subprocess.Popen(
            ["setsid", "--ctty", "zsh", "-f", "-i"],
            cwd=folder,
            env=environment,
            stdin=slave,
            stdout=slave,
            stderr=slave,
        )
        os.close(slave)
        self._lines = 0
        self._type("PS1=; autoload -U compinit; compinit -D -u\n")
        self._type(f"source {script}\n")
        self._type('pannier() { print -r -- "[$((++lines)):$*]" }\n')

    def complete(self, line: str) -> str:
        """Type `pannier` with a line, Tab and Enter; return the arguments that it was called with."""
        self._lines += 1
        self._type(f"pannier {line}\t\n")
        begin = f"[{self._lines}:"
        return self._read(begin, "]").strip()

    def close(self) -> None:
        self._process.kill()
        self._process.wait()
        os.close(self._terminal)

    def _type(self, text: str) -> None:
        os.write(self._terminal, text.encode())

    def _read(self, begin: str, end: str) -> str:
        shown, deadline = "", time.monotonic() + LIMIT_S
        while begin not in shown or end not in shown.rpartition(begin)[2]:
            assert time.monotonic() < deadline, shown
            if select.select([self._terminal], [], [], 0.2)[0]:
                shown += os.read(self._terminal, 65536).decode(errors="replace")
        return shown.rpartition(begin)[2].partition(end)[0]


@pytest.fixture(scope="module")
def zsh(tmp_path_factory: pytest.TempPathFactory, folder: Path) -> Iterator[Zsh]:
    script = tmp_path_factory.mktemp("zsh") / "pannier.zsh"
    script.write_text(script_for("zsh"))
    found = Zsh(script, folder)
    yield found
    found.close()


def test_zsh_completes(zsh: Zsh, subtests: pytest.Subtests) -> None:
    for line, completed in COMPLETED:
        with subtests.test(line):
            assert zsh.complete(line) == completed
