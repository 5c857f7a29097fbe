"""Which cluster tests get, in this order: that of KUBECONFIG, that of `make cluster`, one of kind, one made here."""

from __future__ import annotations

import os
import shutil
import subprocess
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from cluster import kind, tools
from cluster.access import Cluster
from cluster.one_node import node
from cluster.one_node.record import running_node

if TYPE_CHECKING:
    from collections.abc import Iterator

MARK = "pannier-test"


@contextmanager
def any_cluster() -> Iterator[Cluster]:
    """Find or start a cluster; if it was started for the block, end it with the block."""
    if os.environ.get("KUBECONFIG"):
        yield given()
    elif (folder := running_node()) is not None:
        yield node.reached_through(folder)
    elif has_kind():
        with kind.started() as cluster:
            yield cluster
    else:
        with node.started() as cluster:
            yield cluster


def prepare() -> None:
    """Install and build what `any_cluster` will need. That takes minutes on a new machine."""
    if os.environ.get("KUBECONFIG") or running_node() is not None or has_kind():
        tools.kubectl()
    else:
        node.prepare()
    tools.helm()


def has_kind() -> bool:
    """Return whether kind and the engine that it needs are installed."""
    if not (shutil.which("kind") and shutil.which("docker")):
        return False
    return subprocess.run(["docker", "info"], capture_output=True).returncode == 0


def given() -> Cluster:
    """Return the cluster of KUBECONFIG; refuse one that is not marked for tests.

    :raises AssertionError: the current context's name does not hold `pannier-test`
    """
    kubeconfig = Path(os.environ["KUBECONFIG"]).expanduser()
    cluster = Cluster(kubeconfig, tools.kubectl(), load_by_command)
    context = cluster.kubectl("config", "current-context").strip()
    assert MARK in context, (
        f"KUBECONFIG's current context is {context!r}, and tests touch only a cluster whose context has {MARK!r} in "
        f"its name. If it is for tests: kubectl config rename-context {context} {MARK}. If not: unset KUBECONFIG."
    )
    if context.startswith("kind-"):
        return kind.of_context(kubeconfig, context)
    folder = running_node()
    if folder is not None and node.kubeconfig_of(folder) == kubeconfig.resolve():
        return node.reached_through(folder)
    return cluster


def load_by_command(image: str) -> None:
    """Load an image into a cluster of unknown kind, with the command that its owner set in PANNIER_LOAD_IMAGE."""
    command = os.environ.get("PANNIER_LOAD_IMAGE")
    assert command, (
        f"how does {image} get to the nodes of this cluster? Set PANNIER_LOAD_IMAGE to a command that takes its name, "
        "for example 'k3d image import' or 'minikube image load'"
    )
    subprocess.run([*command.split(), image], check=True)
