"""A cluster made by kind, for machines with a Docker engine."""

from __future__ import annotations

import subprocess
import tempfile
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from cluster import tools
from cluster.access import Cluster

if TYPE_CHECKING:
    from collections.abc import Iterator

NAME = "pannier-test"


@contextmanager
def started() -> Iterator[Cluster]:
    """Use the cluster `pannier-test` if it runs, else run it during the block."""
    with tempfile.TemporaryDirectory() as folder:
        kubeconfig = Path(folder, "kubeconfig")
        is_ours = ensure(kubeconfig)
        try:
            yield of_context(kubeconfig, f"kind-{NAME}")
        finally:
            if is_ours:
                delete()


def ensure(kubeconfig: Path) -> bool:
    """Write the kubeconfig of the cluster, and return whether the cluster had to be created."""
    if NAME in _kind("get", "clusters").split():
        _kind("export", "kubeconfig", "--name", NAME, "--kubeconfig", str(kubeconfig))
        return False
    _kind("create", "cluster", "--name", NAME, "--kubeconfig", str(kubeconfig), "--wait", "120s")
    return True


def delete() -> None:
    _kind("delete", "cluster", "--name", NAME)


def of_context(kubeconfig: Path, context: str) -> Cluster:
    name = context.removeprefix("kind-")
    return Cluster(kubeconfig, tools.kubectl(), lambda image: _load(name, image))


def _load(cluster: str, image: str) -> None:
    _kind("load", "docker-image", image, "--name", cluster)


def _kind(*arguments: str) -> str:
    done = subprocess.run(["kind", *arguments], capture_output=True, text=True)
    assert done.returncode == 0, f"kind {' '.join(arguments)}: {done.stderr}"
    return done.stdout
