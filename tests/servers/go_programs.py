"""Programs written in Go that judge ours: built once a machine, kept in ~/.cache/pannier, named by version."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "pannier" / "bin"
H2SPEC = "v2.2.1+incompatible"
GRPCURL = "v1.9.4"


def h2spec() -> Path:
    """Judges servers by the sentences of the HTTP/2 and HPACK standards."""
    return _installed("github.com/summerwind/h2spec/cmd/h2spec", H2SPEC)


def grpcurl() -> Path:
    """Makes calls after asking the server what it serves."""
    return _installed("github.com/fullstorydev/grpcurl/cmd/grpcurl", GRPCURL)


def _installed(package: str, version: str) -> Path:
    name = package.rpartition("/")[2]
    program = CACHE / f"{name}-{version.partition('+')[0]}"
    if not program.exists():
        go = shutil.which("go")
        assert go, f"Go is needed to build {name} (https://go.dev/dl)"
        folder = CACHE / f"{name}.{os.getpid()}"  # two runs of the tests may build it at once
        folder.mkdir(parents=True)
        done = subprocess.run(
            [go, "install", "-trimpath", f"{package}@{version}"],
            env={**os.environ, "GOBIN": str(folder), "CGO_ENABLED": "0"},
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, done.stderr
        (folder / name).rename(program)
        folder.rmdir()
    return program
