"""Programs written in Java: their jars are downloaded once on each machine and kept in ~/.cache/pannier."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
from pathlib import Path

from servers.one_at_a_time import one_at_a_time

ROOT = Path(__file__).resolve().parents[2]
CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "pannier" / "jars"
PLUGIN = "org.apache.maven.plugins:maven-dependency-plugin:3.8.1:copy-dependencies"


def java() -> Path:
    """Return the program that runs Java, even source files; install it first if we may."""
    return _program("default-jdk-headless", "javac").with_name("java")


def jars(pom: Path) -> Path:
    """Return a folder of all jars that a pom.xml lists, named after the folder of that file and what is in it."""
    folder = CACHE / f"{pom.parent.name}-{hashlib.sha256(pom.read_bytes()).hexdigest()[:12]}"
    if not folder.exists():
        with one_at_a_time(folder.name):
            if not folder.exists():
                _download(pom, folder)
    return folder


def _download(pom: Path, folder: Path) -> None:
    mvn = _program("maven", "mvn")
    part = folder.with_name(f"{folder.name}.{os.getpid()}")
    command: list[str | Path] = [mvn, "--batch-mode", "--quiet", "--file", pom, PLUGIN, f"-DoutputDirectory={part}"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    part.rename(folder)


def _program(package: str, name: str) -> Path:
    subprocess.run([ROOT / "scripts/debian-package", package, "which", name], check=True)
    found = shutil.which(name)
    assert found, f"{package} is installed and has no program {name} on the path"
    return Path(found)
