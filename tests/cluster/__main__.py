"""python -m cluster up | down: keeps a cluster for tests and demos running on this machine."""

from __future__ import annotations

import argparse
import time

from cluster import choice, kind
from cluster.one_node import node
from cluster.one_node.record import running_node
from cluster.tools import CACHE

KUBECONFIG = CACHE / "cluster" / "kubeconfig"
"""Where the kubeconfig of the cluster that runs is always found."""


def main() -> None:
    parser = argparse.ArgumentParser(prog="cluster", description=__doc__)
    parser.add_argument("verb", choices=("up", "down"))
    if parser.parse_args().verb == "up":
        up()
    else:
        down()


def up() -> None:
    begun = time.monotonic()
    KUBECONFIG.parent.mkdir(parents=True, exist_ok=True)
    _start()
    print(f"a cluster for tests runs ({time.monotonic() - begun:.0f} s); `make cluster-down` ends it. To use it:")
    print(f"  export KUBECONFIG={KUBECONFIG}")


def _start() -> None:
    folder = running_node()
    if folder is None and choice.has_kind():
        KUBECONFIG.unlink(missing_ok=True)
        kind.ensure(KUBECONFIG)
        return
    if folder is None:
        folder, _ = node.start(stays=True)
    KUBECONFIG.unlink(missing_ok=True)
    KUBECONFIG.symlink_to(node.kubeconfig_of(folder))


def down() -> None:
    if (folder := running_node()) is not None:
        node.stop(folder)
    elif choice.has_kind():
        kind.delete()
    KUBECONFIG.unlink(missing_ok=True)


if __name__ == "__main__":
    main()
