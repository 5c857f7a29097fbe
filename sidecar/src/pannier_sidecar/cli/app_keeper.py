"""Ends the app if the process that started it is killed, and so can't do it.

A shell waits at a pipe whose other end only that process holds. The app itself writes its pid into the pipe before it
becomes the app's program, so there is no moment at which the app runs and the shell does not know it. When the process
ends properly it says so; when the pipe is closed without a word, the shell ends the app's process group.
"""

from __future__ import annotations

import os
import subprocess
from contextlib import suppress
from typing import Final

_SCRIPT: Final = """\
trap '' HUP INT QUIT TERM
read -r app && [ "$app" -gt 1 ] || exit 0
read -r _ && exit 0
kill -TERM "-$app" 2>/dev/null
waited=0
while kill -0 "-$app" 2>/dev/null && [ "$waited" -lt 100 ]; do
    sleep 0.1
    waited=$((waited + 1))
done
kill -KILL "-$app" 2>/dev/null
"""
"""Ten seconds from SIGTERM to SIGKILL, as when a call shuts the sidecar down."""


class AppKeeper:
    """The shell, from before the app starts until after it has ended."""

    def __init__(self) -> None:
        """Start the shell. Without a shell there is no keeper, and the app runs all the same."""
        outlet, self._inlet = os.pipe()
        try:
            self._shell: subprocess.Popen[bytes] | None = subprocess.Popen(
                ["/bin/sh", "-c", _SCRIPT, "pannier: ends the app if its sidecar is killed"],
                stdin=outlet,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                start_new_session=True,
            )
        except OSError:
            self._shell = None
        finally:
            os.close(outlet)

    def register(self) -> None:
        """Write the pid of this process to the shell. Called in the child, between fork and exec."""
        if self._shell is not None:
            os.write(self._inlet, b"%d\n" % os.getpid())

    def release(self) -> None:
        """Let the shell end: the app has ended, or has not started."""
        with suppress(OSError):
            os.write(self._inlet, b"done\ndone\n")
        os.close(self._inlet)
        if self._shell is not None:
            with suppress(subprocess.TimeoutExpired):
                self._shell.wait(1.0)
