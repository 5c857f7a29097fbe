"""A pid means a process only together with the time at which the process started."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from pannier_sidecar.cli import process_identity
from pannier_sidecar.cli.process_identity import ProcessIdentity, identify


def test_an_ended_process_and_one_with_another_start_get_no_signal() -> None:
    with subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"]) as child:
        identity = identify(child.pid)
        assert identity.is_running
        other = ProcessIdentity(child.pid, f"{identity.started}1")
        assert (other.is_running, other.send(signal.SIGKILL)) == (False, False)
        assert child.poll() is None
        assert identity.send(signal.SIGKILL)
        os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
        assert not identity.is_running  # a zombie, which still has its pid
    assert not identity.send(signal.SIGKILL)


def test_ps_says_it_where_there_is_no_proc(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program = tmp_path / "ps"
    program.write_text(f'#!/bin/sh\n[ "$4" = {os.getpid()} ] && echo "Fri Nov 27  23:00:00 2026"\n')
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    monkeypatch.setattr(process_identity, "_PROC", tmp_path)
    assert identify(os.getpid()) == ProcessIdentity(os.getpid(), "Fri Nov 27 23:00:00 2026")
    assert identify(os.getpid()).is_running
    assert identify(2**22 + 1).started == ""
