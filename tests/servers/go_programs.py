"""Programs written in Go that tests run: built once on each machine, kept in ~/.cache/pannier, named by version."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

from servers.one_at_a_time import one_at_a_time

CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "pannier" / "bin"
H2SPEC = "v2.2.1+incompatible"
GRPCURL = "v1.9.4"
CONSUL = "v1.12.9"
NATS_SERVER = "v2.15.2"
ETCD = "v3.6.16"


def h2spec() -> Path:
    """Checks servers against the HTTP/2 and HPACK standards."""
    return _installed("github.com/summerwind/h2spec/cmd/h2spec", H2SPEC)


def grpcurl() -> Path:
    """Makes calls after asking the server what it serves."""
    return _installed("github.com/fullstorydev/grpcurl/cmd/grpcurl", GRPCURL)


def nats_server() -> Path:
    """A NATS that lets single keys expire, which Debian's cannot. The first build takes minutes at a low priority."""
    return _installed("github.com/nats-io/nats-server/v2", NATS_SERVER, "nats-server")


def consul() -> Path:
    """Consul, as a cluster of one server. The first build takes minutes on one processor, at a low priority."""
    return _built("github.com/hashicorp/consul", CONSUL, "consul")


def etcd() -> Path:
    """An etcd whose watches say when they are up to date, which Debian's do too early."""
    return _built("go.etcd.io/etcd/server/v3", ETCD, "etcd")


def _built(package: str, version: str, name: str) -> Path:
    program = CACHE / f"{name}-{version}"
    if not program.exists():
        with one_at_a_time(program.name):
            if not program.exists():
                _build(package, name, program)
    return program


def _build(package: str, name: str, program: Path) -> None:
    # Its own go.mod replaces modules, which `go install` refuses; ours (NAME/go.mod) pins its modules.
    part = program.with_name(f"{program.name}.{os.getpid()}")
    options = ("-mod=readonly", "-p=1", "-trimpath", "-ldflags=-s -w", f"-o={part}")
    go("build", *options, package, folder=Path(__file__).parent / name, GOMAXPROCS="1")
    part.rename(program)


def _installed(package: str, version: str, name: str = "") -> Path:
    name = name or package.rpartition("/")[2]
    program = CACHE / f"{name}-{version.partition('+')[0]}"
    if not program.exists():
        with one_at_a_time(program.name):
            if not program.exists():
                _install(f"{package}@{version}", name, program)
    return program


def _install(package: str, name: str, program: Path) -> None:
    folder = CACHE / f"{name}.{os.getpid()}"
    folder.mkdir(parents=True)
    go("install", "-trimpath", "-ldflags=-s -w", package, folder=folder, GOBIN=str(folder), GOMAXPROCS="1")
    (folder / name).rename(program)
    folder.rmdir()


def go(*arguments: str, folder: Path, **environment: str) -> str:
    """Run the command `go` at a low priority, and return what it prints."""
    command = shutil.which("go")
    assert command, "Go is needed to build programs that the tests run (https://go.dev/dl)"
    CACHE.mkdir(parents=True, exist_ok=True)
    done = subprocess.run(
        ["nice", command, *arguments],
        cwd=folder,
        env={**os.environ, "CGO_ENABLED": "0", **environment},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout
