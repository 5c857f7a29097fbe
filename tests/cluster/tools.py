"""Programs that the cluster tests need, built with Go once a machine and kept in ~/.cache/pannier, named by version."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "pannier"
KUBERNETES = "1.35.4"
HELM = "3.19.0"
SOURCES = Path(__file__).parent / "node"
VERSION_FLAGS = " ".join(
    f"-X {package}.{name}={value}"
    for package in ("k8s.io/component-base/version", "k8s.io/client-go/pkg/version")
    for name, value in (
        ("gitVersion", f"v{KUBERNETES}"),
        ("gitMajor", KUBERNETES.split(".")[0]),
        ("gitMinor", KUBERNETES.split(".")[1]),
    )
)


def kubernetes(program: str) -> Path:
    """Return kubectl or a program of the node: links to one file, which acts according to the name under which it is
    started.
    """
    return _called(program, _built(SOURCES, f"node-v{KUBERNETES}", VERSION_FLAGS, "-tags=selinux providerless notest"))


def kubectl() -> Path:
    found = shutil.which("kubectl")
    return Path(found) if found else kubernetes("kubectl")


def coredns() -> Path:
    return _built(SOURCES / "dns", "coredns")


def etcd() -> Path:
    """Return etcd in the version that kubeadm installs with this Kubernetes: with Debian's, which is older, API servers
    answer no current list from their cache.
    """
    return _called("etcd", _built(SOURCES / "etcd", "etcd"))


def pause() -> Path:
    return _built(SOURCES / "pause", "pause")


def helm() -> Path:
    """Return Helm's program."""
    built = CACHE / "bin" / f"helm-v{HELM}"
    if not built.exists():
        _say(f"building helm {HELM}")
        package = f"helm.sh/helm/v3/cmd/helm@v{HELM}"
        flags = f"-s -w -X helm.sh/helm/v3/internal/version.version=v{HELM}"
        folder = built.with_name(f"helm.{os.getpid()}")  # two runs of the tests may build it at once
        _go(folder, "install", "-trimpath", "-ldflags", flags, package, environment={"GOBIN": str(folder)})
        (folder / "helm").rename(built)
        folder.rmdir()
    return built


def debian_package(package: str, program: str) -> Path:
    """Return the path of a program; install its Debian package first if we may."""
    subprocess.run([ROOT / "scripts/debian-package", package, "which", program], check=True)
    found = shutil.which(program)
    assert found, f"{package} is installed and has no program {program} on the path"
    return Path(found)


def _built(folder: Path, name: str, link_flags: str = "", *options: str) -> Path:
    """Build the program of a folder unless the cache has it, built from the same source."""
    built = CACHE / "cluster" / f"{name}-{_digest(folder)}"
    if not built.exists():
        _say(f"building {name}: minutes, once on this machine")
        part = built.with_name(f"{built.name}.{os.getpid()}")  # two runs of the tests may build it at once
        _go(folder, "build", "-trimpath", "-ldflags", f"-s -w {link_flags}", *options, "-o", str(part), ".")
        part.rename(built)
    return built


def _called(program: str, built: Path) -> Path:
    """Return a link to a file that was built, under the name that the program has."""
    link = built.with_name(f"{built.name}.d") / program
    if not link.is_symlink():
        link.parent.mkdir(exist_ok=True)
        link.symlink_to(built)
    return link


def _digest(folder: Path) -> str:
    """Return a name that identifies a program's source, its dependencies' versions and its own version."""
    digest = hashlib.sha256(VERSION_FLAGS.encode())
    for name in ("main.go", "go.mod", "go.sum"):
        if (folder / name).exists():
            digest.update((folder / name).read_bytes())
    return digest.hexdigest()[:8]


def _go(folder: Path, *arguments: str, environment: dict[str, str] | None = None) -> None:
    """Run go at a low priority, because it uses every core for minutes."""
    go = shutil.which("go")
    assert go, "Go 1.25 or newer is needed to build what is missing (https://go.dev/dl)"
    folder.mkdir(parents=True, exist_ok=True)
    (CACHE / "cluster").mkdir(parents=True, exist_ok=True)
    environment = {**os.environ, "CGO_ENABLED": "0", **(environment or {})}
    done = subprocess.run(["nice", go, *arguments], cwd=folder, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, f"go {' '.join(arguments)}: {done.stderr}"


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)
