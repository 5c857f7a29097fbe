"""Servers for a newer Python than that of the tests: each has a virtual environment in ~/.cache/pannier."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from servers.go_programs import CACHE
from servers.one_at_a_time import one_at_a_time

NEEDED = (3, 13)


def environment(name: str, requirements: Path) -> Path:
    """Return the Python of an environment with a file's pinned requirements; create it if necessary."""
    place = CACHE.parent / "venvs" / name
    program = place / "bin" / "python"
    if not program.exists():
        with one_at_a_time(name):
            if not program.exists():
                _make(place, requirements)
    return program


def _make(place: Path, requirements: Path) -> None:
    making = place.with_name(f"{place.name}.{os.getpid()}")
    making.parent.mkdir(parents=True, exist_ok=True)
    _run(_newer_python(), "-m", "venv", "--clear", making)
    _run(making / "bin" / "python", "-m", "pip", "install", "--quiet", "--no-deps", "-r", requirements)
    if place.exists():
        shutil.rmtree(place)  # its Python is gone
    making.rename(place)


def _newer_python() -> Path:
    for program in _candidates():
        if program.exists() and _is_new_enough(program):
            return program
    wanted = ".".join(map(str, NEEDED))
    raise AssertionError(
        f"Python {wanted} or newer is needed for a server that tests run: install it so that `python{wanted}` is in "
        f"PATH, or by `pyenv install {wanted}` or `uv python install {wanted}`"
    )


def _candidates() -> Iterator[Path]:
    yield Path(sys.executable)
    for minor in range(NEEDED[1], NEEDED[1] + 3):
        if found := shutil.which(f"python3.{minor}"):
            yield Path(found)
    pyenv = Path(os.environ.get("PYENV_ROOT") or Path.home() / ".pyenv")
    yield from sorted(pyenv.glob("versions/3.*/bin/python"))
    uv = Path(sys.executable).with_name("uv")
    by_uv = subprocess.run([uv, "python", "find", f">={NEEDED[0]}.{NEEDED[1]}"], capture_output=True, text=True)
    yield Path(by_uv.stdout.strip() or os.devnull)


def _is_new_enough(program: Path) -> bool:
    code = f"import sys, ensurepip; sys.exit(sys.version_info < {NEEDED})"
    try:
        return subprocess.run([program, "-c", code], capture_output=True).returncode == 0
    except OSError:
        return False


def _run(*command: str | Path) -> None:
    done = subprocess.run([*map(str, command)], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
