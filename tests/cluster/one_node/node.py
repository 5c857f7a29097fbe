"""A control plane and one node that runs real pods, without Docker: for root on Linux with Debian's packages.

All its processes run in separate namespaces (processes, mounts, network), so it affects nothing of this machine but one
folder, one interface and one branch of the control groups. When its first process is killed, all of it is gone.
"""

from __future__ import annotations

import ctypes
import json
import os
import signal
import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from cluster import tools
from cluster.access import Cluster
from cluster.one_node import archives, record
from cluster.one_node.addresses import connect
from cluster.one_node.certificates import NODE, make_certificates
from cluster.one_node.programs import PAUSE_IMAGE, Layout, commands, commands_without_node, write_settings

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from cluster.one_node.addresses import Addresses

START_LIMIT_S = 180.0
PACKAGES = {
    "containerd": "containerd",
    "runc": "runc",
    "containernetworking-plugins": "/usr/lib/cni/bridge",
    "iptables": "iptables",
    "conntrack": "conntrack",
    "iproute2": "ip",
    "openssl": "openssl",
}
"""Debian packages, each with one of its programs."""
PACKAGES_WITHOUT_NODE = ("iproute2", "openssl")
_PR_SET_PDEATHSIG = 1


@contextmanager
def started() -> Iterator[Cluster]:
    """Run a node during the block; it also ends if this process is killed."""
    folder, process = start(stays=False)
    try:
        yield reached_through(folder)
    finally:
        stop(folder)
        process.wait()


@contextmanager
def control_plane() -> Iterator[tuple[Layout, int]]:
    """Run an API server without any node during the block; yield its files and the pid of its namespaces."""
    folder, process = start(stays=False, has_node=False)
    found = record.read(folder)
    assert found
    try:
        yield Layout(folder), found.pid
    finally:
        stop(folder)
        process.wait()


def start(*, stays: bool, has_node: bool = True) -> tuple[Path, subprocess.Popen[bytes]]:
    """Start a node; return its folder and the process whose end also ends all others. With `stays` it continues after
    this process has ended; otherwise it ends with this process, however that ends.

    :raises AssertionError: it could not be started; the message ends with what the programs logged
    """
    prepare(has_node)
    record.remove_leftovers()
    layout = Layout(record.new_folder())
    process = _unshare(layout, stays)
    try:
        pid = _first_child(layout, process)
        record.write(layout.folder, pid, stays)
        _fill(layout, pid, commands if has_node else commands_without_node)
        _wait_until_ready(layout, has_node)
    except BaseException:
        stop(layout.folder)
        process.kill()
        process.wait()
        raise
    return layout.folder, process


def prepare(has_node: bool = True) -> None:
    """Ensure that every program is installed."""
    assert os.geteuid() == 0 and sys.platform == "linux", (
        "no cluster to test on: set KUBECONFIG to one whose context has pannier-test in its name, "
        "or install Docker and kind, or run the tests as root on Debian"
    )
    for package in PACKAGES if has_node else PACKAGES_WITHOUT_NODE:
        tools.debian_package(package, PACKAGES[package])
    tools.kubernetes("kubelet")
    tools.etcd()
    if has_node:
        tools.coredns()
        tools.pause()


def reached_through(folder: Path) -> Cluster:
    layout = Layout(folder)
    return Cluster(layout.kubeconfig, tools.kubernetes("kubectl"), lambda image: _load(layout, image))


def kubeconfig_of(folder: Path) -> Path:
    return Layout(folder).kubeconfig


def stop(folder: Path) -> None:
    """End every process of a node, including containers, and remove what is left."""
    found = record.read(folder)
    if found and found.is_alive():
        os.kill(found.pid, signal.SIGKILL)
        _wait_until(lambda: not found.is_alive(), "the node's first process ends", 60.0)
    record.remove(folder)


def _unshare(layout: Layout, stays: bool) -> subprocess.Popen[bytes]:
    """Start the supervisor in separate namespaces."""
    layout.logs.mkdir()
    supervisor = Path(__file__).with_name("supervisor.py")
    command = ["unshare", "--mount", "--net", "--pid", "--fork", "--kill-child=SIGKILL", "--mount-proc"]
    with (layout.logs / "supervisor.log").open("wb") as log:
        return subprocess.Popen(
            [*command, sys.executable, str(supervisor), str(layout.folder)],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
            preexec_fn=None if stays else _die_with_parent,
        )


def _first_child(layout: Layout, process: subprocess.Popen[bytes]) -> int:
    """Return the supervisor's pid outside its namespace."""
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children")
    _wait_until(lambda: process.poll() is not None or children.read_text().strip(), "the namespaces are there")
    assert process.poll() is None, f"unshare failed: {(layout.logs / 'supervisor.log').read_text()}"
    return int(children.read_text())


def _die_with_parent() -> None:
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


def _fill(layout: Layout, pid: int, programs: Callable[[Layout, Addresses], dict[str, list[str]]]) -> None:
    """Connect the node, write its files, and let the supervisor start the programs."""
    addresses = connect(pid)
    make_certificates(layout.certificates, addresses)
    write_settings(layout, addresses)
    for root in record.cgroup_roots():
        (root / layout.cgroup).mkdir(exist_ok=True)
    part = layout.folder / "programs.part"
    part.write_text(json.dumps(programs(layout, addresses)))
    part.rename(layout.folder / "programs.json")


def _wait_until_ready(layout: Layout, has_node: bool) -> None:
    """Wait until pods can be created: there are service accounts, and the node, if any, is ready and has its image."""
    cluster = reached_through(layout.folder)

    def succeeds(*arguments: str) -> bool:
        return cluster.try_kubectl(*arguments).returncode == 0

    try:
        if has_node:
            _give_pause_image(layout)
        _wait_until(lambda: succeeds("get", "--raw", "/readyz"), "the API server is ready")
        _wait_until(lambda: succeeds("get", "serviceaccount", "default"), "there are service accounts")
        wait = ("wait", "--for=condition=Ready", f"node/{NODE}", "--timeout=30s")
        _wait_until(lambda: not has_node or succeeds(*wait), "the node is ready")
    except AssertionError as error:
        raise AssertionError(f"{error}\n{_ends_of_logs(layout)}") from error


def _give_pause_image(layout: Layout) -> None:
    archive = layout.folder / "pause.tar"
    archives.one_program(tools.pause(), PAUSE_IMAGE, archive)
    _wait_until(layout.containerd_socket.exists, "containerd listens")
    _wait_until(lambda: _import(layout, archive).returncode == 0, "containerd takes images")


def _wait_until(is_so: Callable[[], object], what: str, limit_s: float = START_LIMIT_S) -> None:
    deadline = time.monotonic() + limit_s
    while not is_so():
        assert time.monotonic() < deadline, f"not within {limit_s} s: {what}"
        time.sleep(0.05)


def _ends_of_logs(layout: Layout) -> str:
    return "\n".join(f"--- {log.stem}\n{log.read_text()[-1500:]}" for log in sorted(layout.logs.iterdir()))


def _load(layout: Layout, image: str) -> None:
    archive = layout.folder / "image.tar"
    subprocess.run([sys.executable, tools.ROOT / "scripts/images", "save", image, archive], check=True)
    done = _import(layout, archive)
    archive.unlink()
    assert done.returncode == 0, f"containerd did not take {image}: {done.stderr}"


def _import(layout: Layout, archive: Path) -> subprocess.CompletedProcess[str]:
    command = ["ctr", "--address", str(layout.containerd_socket), "--namespace", "k8s.io", "images", "import"]
    return subprocess.run([*command, "--snapshotter", "overlayfs", str(archive)], capture_output=True, text=True)
