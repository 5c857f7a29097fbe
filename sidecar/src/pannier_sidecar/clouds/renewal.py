"""A token that is renewed before it ends, whatever it is for.

While it lives it is served, even if no new one can be had. New ones are fetched one at a time, and after a failure not
before a pause has passed, so that many callers are no burden for the server of tokens.
"""

from __future__ import annotations

import asyncio
import logging
from contextlib import suppress
from math import inf
from typing import TYPE_CHECKING, Final

from msgspec import Struct

from pannier_crds.secret import Secret
from pannier_sidecar.network.jitter import uniform
from pannier_sidecar.state.errors import StoreError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

log = logging.getLogger(__name__)

_RENEWED_BEFORE_S: Final = 300.0
"""A token is renewed at most so many seconds before its end, or in the last quarter of a shorter life."""
_MARGIN_S: Final = 30.0
"""A token that ends sooner is not used any more, or in the last tenth of a shorter life: clocks differ."""
_MAX_LIFE_S: Final = 86_400.0
"""No token is used longer, whatever its server says."""
_MAX_TEXT: Final = 64 * 1024
_FIRST_PAUSE_S: Final = 1.0
_MAX_PAUSE_S: Final = 30.0
_REPLACED_AGAIN_S: Final = 10.0
"""Seconds after which a token that replaced a refused one, and is refused too, is replaced again."""


class Token(Struct, frozen=True):
    """What signs in, as whom, and until when."""

    text: Secret
    life: float
    """Seconds from when it was fetched until it ends."""
    user: str = ""
    """The user that it is for, if it names one."""

    def __repr__(self) -> str:
        return f"Token(life={self.life:g}, ...)"


def is_token(text: str) -> bool:
    """Return whether a text may be a token: it is sent to databases as it is."""
    return 0 < len(text) <= _MAX_TEXT and text.isascii() and text.isprintable() and " " not in text


class RenewedToken:
    """The token of one identity for one purpose."""

    def __init__(self, fetch: Callable[[], Awaitable[Token]]):
        """`fetch` returns a new token, and must end in time; what it raises, the methods raise."""
        self.on_token: Callable[[Token], object] = _ignore
        """Called with each new token."""
        self._fetch = fetch
        self._token: Token | None = None
        self._usable_until = -inf
        """Loop time, as all times here."""
        self._renew_at = -inf
        self._fetching: asyncio.Task[Token] | None = None
        self._failure: Exception | None = None
        """Why the last attempt failed; None: it did not."""
        self._failures = 0
        self._replacement: Token | None = None
        """The token that was fetched last because another one was refused."""
        self._replaced_at = -inf
        self._has_come = asyncio.Event()
        """Set by each new token."""
        self._now = asyncio.get_running_loop().time

    def take(self, token: Token) -> None:
        """Use a token from now on."""
        self._usable_until, self._renew_at = self._times(token.life)
        self._token, self._failure, self._failures = token, None, 0
        self._has_come.set()
        self.on_token(token)

    @property
    def current(self) -> Token | None:
        """The token that was fetched last."""
        return self._token

    async def get(self) -> Token:
        """Return a token that has not ended; if it soon will, begin to fetch another one."""
        token = self._token
        if token is None or self._now() >= self._usable_until:
            return await self._fetched()
        if self._now() >= self._renew_at and self._fetching is None:
            self._begin()
        return token

    async def replace(self, refused: Token) -> Token | None:
        """Return a token instead of one that a server has refused: the one that has come since, or a new one.

        None: the refused one was fetched for this reason a moment ago, so a further one would be refused too.
        """
        if self._token is not None and self._token.text != refused.text:
            return self._token
        if self._fetching is not None:
            return await self._fetched()
        is_replacement = self._replacement is not None and self._replacement.text == refused.text
        if is_replacement and self._now() < self._replaced_at + _REPLACED_AGAIN_S:
            return None
        found = self._replacement = await self._fetched()
        self._replaced_at = self._now()
        return found

    async def keep(self) -> None:
        """Renew the token again and again, for users who do not ask for it. Never returns."""
        while True:
            self._has_come.clear()
            with suppress(TimeoutError):
                async with asyncio.timeout(max(_FIRST_PAUSE_S, self._renew_at - self._now())):
                    await self._has_come.wait()
            if self._now() >= self._renew_at:
                with suppress(Exception):  # it is logged, and tried again
                    await self._fetched()

    async def close(self) -> None:
        """End an attempt that is running."""
        if self._fetching is not None:
            self._fetching.cancel()
            await asyncio.wait((self._fetching,))

    async def _fetched(self) -> Token:
        if self._fetching is None:
            if self._failure is not None and self._now() < self._renew_at:
                raise self._failure.with_traceback(None)
            self._begin()
        assert self._fetching is not None
        return await asyncio.shield(self._fetching)  # others may wait for it too

    def _begin(self) -> None:
        self._fetching = asyncio.create_task(self._renew())
        self._fetching.add_done_callback(self._end)

    async def _renew(self) -> Token:
        try:
            token = await self._fetch()
        except Exception as error:
            self._note_failure(error)
            raise
        self.take(token)
        return token

    def _times(self, life: float) -> tuple[float, float]:
        """Return until when a token is used that lives for `life` seconds from now, and when it is to be renewed."""
        life = min(life, _MAX_LIFE_S)
        ends_at = self._now() + life
        # The random part keeps sidecars that started together from renewing together.
        renew_at = ends_at - min(_RENEWED_BEFORE_S, life / 4) * uniform(0.6, 1)
        return ends_at - min(_MARGIN_S, life / 10), renew_at

    def _end(self, fetching: asyncio.Task[Token]) -> None:
        self._fetching = None
        if not fetching.cancelled():
            fetching.exception()  # asyncio must not report a failure for which nobody waits any more

    def _note_failure(self, error: Exception) -> None:
        pause = min(_MAX_PAUSE_S, _FIRST_PAUSE_S * 2 ** min(self._failures, 10))
        self._renew_at = self._now() + pause * uniform(0.5, 1)
        if self._token is not None and not self._failures:
            words = str(error) if isinstance(error, StoreError) else type(error).__name__
            log.warning("a token could not be renewed; the one before serves until it ends: %s", words)
        self._failure = error
        self._failures += 1


def _ignore(_: Token) -> None:
    return
