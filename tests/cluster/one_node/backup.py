"""Puts back an earlier state of a node's database, as an administrator restores a cluster from a backup."""

from __future__ import annotations

import os
import shutil
import signal
import time
from pathlib import Path
from typing import TYPE_CHECKING

from cluster.one_node import record

if TYPE_CHECKING:
    from cluster.access import Cluster

_PATIENCE_S = 60.0


class Backup:
    """The content of a node's database when the backup was made."""

    def __init__(self, cluster: Cluster):
        """Raise `LookupError` for a cluster that was not made here."""
        self._cluster = cluster
        self._folder = cluster.kubeconfig.resolve().parent.parent
        found = record.read(self._folder)
        if found is None:
            raise LookupError("only the database of a cluster that was made here can be put back")
        self._supervisor = found.pid
        self._data, self._copy = self._folder / "etcd", self._folder / "etcd.backup"
        etcd = self._pid_of("etcd")
        os.kill(etcd, signal.SIGSTOP)  # so that the copy shows one moment, as after a crash
        try:
            shutil.copytree(self._data, self._copy)
        finally:
            os.kill(etcd, signal.SIGCONT)

    def restore(self) -> None:
        """Put the database back, and wait until the API server answers from it: its versions continue from an earlier
        one. The supervisor restarts the processes that are killed here.
        """
        servers = [self._pid_of("kube-apiserver"), self._pid_of("etcd")]
        for pid in servers:
            os.kill(pid, signal.SIGSTOP)
        shutil.rmtree(self._data)
        self._copy.rename(self._data)
        for pid in servers:
            os.kill(pid, signal.SIGKILL)
        end = time.monotonic() + _PATIENCE_S
        while not self._answers():
            assert time.monotonic() < end, "the API server does not answer after its database was put back"
            time.sleep(0.2)

    def _answers(self) -> bool:
        return self._cluster.try_kubectl("get", "--raw", "/readyz").returncode == 0

    def _pid_of(self, program: str) -> int:
        children = Path(f"/proc/{self._supervisor}/task/{self._supervisor}/children").read_text().split()
        named = {
            Path(f"/proc/{pid}/cmdline").read_text().partition("\0")[0].rpartition("/")[2]: pid for pid in children
        }
        return int(named[program])
