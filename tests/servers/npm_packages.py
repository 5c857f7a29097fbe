"""Servers for Node.js: their packages are installed once on each machine, into ~/.cache/pannier."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from hashlib import sha256
from pathlib import Path

from servers.go_programs import CACHE
from servers.one_at_a_time import one_at_a_time


def packages(wanted: Path) -> Path:
    """Return a folder with the packages of a package.json, in exact versions; install them if necessary."""
    [(name, version)] = json.loads(wanted.read_text())["dependencies"].items()
    digest = sha256(wanted.read_bytes()).hexdigest()[:8]
    place = CACHE.parent / "npm" / f"{name.rpartition('/')[2]}-{version}-{digest}"
    if not place.exists():
        with one_at_a_time(place.name):
            if not place.exists():
                _install(wanted, place)
    return place


def version_of(wanted: Path) -> str:
    [version] = json.loads(wanted.read_text())["dependencies"].values()
    return str(version)


def node() -> str:
    found = shutil.which("node")
    assert found, "Node.js is needed for a server that tests run: install nodejs and npm, 18 or newer"
    return found


def _install(wanted: Path, place: Path) -> None:
    npm = shutil.which("npm")
    assert npm, "npm is needed for a server that tests run: install nodejs and npm, 18 or newer"
    making = place.with_name(f"{place.name}.{os.getpid()}")
    making.mkdir(parents=True)
    shutil.copy(wanted, making / "package.json")
    quiet = ("--ignore-scripts", "--no-audit", "--no-fund", "--no-package-lock", "--omit=dev", "--loglevel=error")
    done = subprocess.run([npm, "install", *quiet], cwd=making, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    making.rename(place)
