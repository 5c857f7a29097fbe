"""An event loop on its own thread, for tests that have none."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

PATIENCE_S = 60

Result = TypeVar("Result")


class LoopThread:
    """It runs between `start` and `close`."""

    def __init__(self) -> None:
        self.loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self.loop.run_forever, daemon=True)

    def start(self) -> None:
        self._thread.start()

    def run(self, call: Coroutine[Any, Any, Result]) -> Result:
        """Return what the call returns there."""
        return asyncio.run_coroutine_threadsafe(call, self.loop).result(PATIENCE_S)

    def call_soon(self, call: Callable[..., object], *arguments: Any) -> None:
        """Let the loop call it, without waiting."""
        self.loop.call_soon_threadsafe(call, *arguments)

    def close(self) -> None:
        self.loop.call_soon_threadsafe(self.loop.stop)
        self._thread.join(PATIENCE_S)
        self.loop.close()
