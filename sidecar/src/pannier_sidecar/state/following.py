"""Follows a feed for as long as somebody needs it: when it breaks off, it is begun again after a pause."""

from __future__ import annotations

import asyncio
import logging
from contextlib import aclosing
from time import monotonic
from typing import TYPE_CHECKING, Final, Protocol

from .errors import StoreError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from .feeds import Entry, Feed

log = logging.getLogger(__name__)

FIRST_PAUSE_S: Final = 0.25
MAX_PAUSE_S: Final = 5.0
"""Seconds between two attempts."""


class Listener(Protocol):
    """Receives what a feed reports."""

    def feed_began(self) -> None:
        """Note that a feed goes on, at first or again."""

    def feed_failed(self, error: StoreError) -> None:
        """Note that the feed could not be begun, or broke off."""

    async def take(self, batch: Sequence[Entry]) -> None:
        """Take a batch of the feed. A StoreError ends the feed, which is begun again."""


async def follow(name: str, what: str, begin: Callable[[], Feed], listener: Listener) -> None:
    """Have the listener take what feeds report, until the task is cancelled. `name` is the store's, and `what` says for
    the log what the changes are followed for.
    """
    pause, why = FIRST_PAUSE_S, ""
    while True:
        began = monotonic()
        try:
            async with aclosing(begin()) as feed:
                has_begun = False
                async for batch in feed:
                    if not has_begun:
                        has_begun = True
                        if why:
                            log.info("store %s: changes are followed again for %s", name, what)
                            why = ""
                        listener.feed_began()
                    await listener.take(batch)
            failure = StoreError("the feed has ended")
        except StoreError as error:
            failure = error
        except Exception as error:  # a defect must not leave anybody waiting without a word
            log.exception("store %s: changes can't be followed because of a bug in Pannier", name)
            failure = StoreError(f"a bug in Pannier ({type(error).__name__}); the log shows where")
        if str(failure) != why:
            why = str(failure)
            log.warning("store %s: changes can't be followed for %s: %s; it is tried again", name, what, why)
        listener.feed_failed(failure)
        if monotonic() - began > MAX_PAUSE_S:
            pause = FIRST_PAUSE_S
        await asyncio.sleep(pause)
        pause = min(2 * pause, MAX_PAUSE_S)
