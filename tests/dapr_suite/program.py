"""Dapr's suite as a program: fetched from the Go module proxy, built once on each machine, run for one case."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

from servers.go_programs import CACHE, go
from servers.one_at_a_time import one_at_a_time

MODULE = "github.com/dapr/dapr"
_WITHOUT_PROGRAM = ("placement", "sentry", "operator", "injector", "scheduler", "helmtemplate", "mcpstdioserver")
"""Programs that the suite would build if no path were given. No case of state that Pannier passes starts one."""
_CASE_LIMIT_S = 150
"""The suite gives each case 45 s, and its processes some more to end."""


def built(version: str) -> Path:
    """Return the suite's program; the first build takes some minutes."""
    program = CACHE / f"dapr-suite-{version}"
    if not program.exists():
        with one_at_a_time(program.name):
            if not program.exists():
                _build(version, program)
    return program


def _build(version: str, program: Path) -> None:
    print(f"building Dapr's suite {version}: about six minutes of processor time, the first time", flush=True)
    fetched = json.loads(go("mod", "download", "-json", f"{MODULE}@{version}", folder=CACHE, GOFLAGS="-mod=mod"))
    part = program.with_name(f"{program.name}.{os.getpid()}")
    options = ("-tags=integration", "-ldflags=-s -w", f"-o={part}")  # not trimmed: cases look for files beside theirs
    go("test", "-c", *options, "./tests/integration", folder=Path(fetched["Dir"]), GOFLAGS="-mod=mod")
    part.rename(program)


def daprd(folder: Path) -> Path:
    """Return a program that takes daprd's flags and runs this sidecar. The suite runs it without an environment."""
    launcher = folder / "daprd"
    launcher.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m pannier_sidecar daprd --profile dapr "$@"\n')
    launcher.chmod(0o755)
    return launcher


def run(suite: Path, launcher: Path, case: str) -> str:
    """Return what the suite prints about one case, which has a process of its own: a panic of Go ends all its cases."""
    paths = {f"DAPR_INTEGRATION_{name.upper()}_PATH": "/bin/false" for name in _WITHOUT_PROGRAM}
    paths["DAPR_INTEGRATION_DAPRD_PATH"] = str(launcher)
    try:
        done = subprocess.run(
            [suite, "-test.v", f"-focus=^{case}$"],
            cwd=launcher.parent,
            env={**os.environ, **paths},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=_CASE_LIMIT_S,
        )
    except subprocess.TimeoutExpired as late:
        return f"no end within {_CASE_LIMIT_S} s\n{(late.output or b'').decode(errors='replace')}"
    return done.stdout.decode(errors="replace")
