"""Removes expired rows in the background: only when there are any, and not more often than the interval says."""

from __future__ import annotations

import asyncio
import logging
from time import time
from typing import TYPE_CHECKING, Final

from pannier_sidecar.state.errors import StoreError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

logger = logging.getLogger(__name__)

ROWS_AT_ONCE: Final = 1000
"""Expired rows removed at once; writes that wait get their turn in between."""


class ExpirySweeper:
    """One timer, set only while some row is known to expire."""

    def __init__(self, sweep: Callable[[], Awaitable[float | None]], interval: float, where: object):
        """`sweep` removes what has expired and returns the Unix time of the next expiry; interval 0: never do it."""
        self._sweep = sweep
        self._interval = interval
        self._where = where
        self._earliest: float | None = None
        self._not_before = 0.0
        self._timer: asyncio.TimerHandle | None = None
        self._task: asyncio.Task[None] | None = None

    def expects(self, expires: float | None) -> None:
        """Note that a row expires at this Unix time."""
        if expires is None or self._interval <= 0 or (self._earliest is not None and self._earliest <= expires):
            return
        self._earliest = expires
        self._set_timer()

    async def stop(self) -> None:
        self._interval = 0
        if self._timer is not None:
            self._timer.cancel()
        if self._task is not None:
            await asyncio.wait([self._task])

    def _set_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        if self._task is None and self._earliest is not None and self._interval > 0:
            pause = max(self._earliest, self._not_before) - time()
            self._timer = asyncio.get_running_loop().call_later(max(pause, 0) + 1, self._start)

    def _start(self) -> None:
        self._earliest = None
        self._task = asyncio.create_task(self._run())

    async def _run(self) -> None:
        try:
            following = await self._sweep()
        except StoreError as error:
            logger.warning("expired rows of %s could not be removed: %s", self._where, error)
            following = time()
        self._not_before = time() + self._interval
        self._task = None
        if self._earliest is not None and following is not None:
            following = min(self._earliest, following)
        self._earliest = following if following is not None else self._earliest
        self._set_timer()
