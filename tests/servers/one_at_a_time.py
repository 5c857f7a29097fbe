"""Locks, so that each part of ~/.cache/pannier is made only once, even if several runs of the tests want it."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

LOCKS = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "pannier" / "locks"


@contextmanager
def one_at_a_time(name: str) -> Iterator[None]:
    """Keep other threads and processes out that give the same name."""
    LOCKS.mkdir(parents=True, exist_ok=True)
    with (LOCKS / name).open("ab") as lock:  # each thread opens it, so the lock is between threads too
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
