"""The calls that are measured with a client library alone."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

Calls = tuple[Callable[[str], Awaitable[bytes | None]], Callable[[str, bytes], Awaitable[None]]]
"""get(key) and set(key, value): the work that the store must do, and nothing else."""
