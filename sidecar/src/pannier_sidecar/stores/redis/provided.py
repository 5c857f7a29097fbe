"""The credentials of a credential provider of redis-py, as tokens that are renewed.

redis-py asks a provider for each connection; a streaming one also calls back with each new token before the last one
ends. Neither has to say how long its answers are good for, so it is asked again at intervals too.
"""

from __future__ import annotations

import asyncio
from math import inf
from typing import TYPE_CHECKING, Final

from msgspec.structs import replace

from pannier_sidecar.clouds.renewal import RenewedToken
from pannier_sidecar.network.jitter import uniform
from pannier_sidecar.state.errors import StoreError

from .provider_thread import ProviderThread

if TYPE_CHECKING:
    from contextlib import AsyncExitStack

    from pannier_sidecar.clouds.renewal import Token

    from .settings import Provider

_CALLED_BACK_AGAIN_S: Final = 1.0
"""Seconds after which the next token that a provider calls back with is used: each is sent on every connection."""


class ProvidedTokens(RenewedToken):
    """The credentials of one provider. The life of those that it was asked for is unknown: infinite."""

    def __init__(self, thread: ProviderThread, interval: float, patience: float):
        """`interval`: seconds after which credentials of unknown life are asked for again. `patience`: how long a new
        connection waits for others while there are some, in seconds.
        """
        super().__init__(thread.ask)
        self._patience = patience
        thread.on_token = self._use_soon
        self._interval = interval
        self._next: Token | None = None
        """What the provider has called back with, and is not used yet."""
        self._using: asyncio.TimerHandle | None = None
        self._used_at = -inf
        self._is_closed = False

    async def get(self) -> Token:
        """Return what signs in a new connection: the provider is asked, as by redis-py, unless it has said how long its
        last token lives. If it fails or is slow, the credentials before serve.
        """
        token = self.current
        if token is not None and token.life < inf:
            return await super().get()
        if token is None:
            return await self._fetched()
        try:
            async with asyncio.timeout(self._patience):
                return await self._fetched()
        except (StoreError, TimeoutError):
            return token

    async def close(self) -> None:
        self._is_closed = True
        if self._using is not None:
            self._using.cancel()
        await super().close()

    def _times(self, life: float) -> tuple[float, float]:
        if life < inf:
            return super()._times(life)
        return inf, self._now() + self._interval * uniform(0.6, 1)

    def _use_soon(self, token: Token) -> None:
        """Use what the provider has called back with, or the next one that comes before it is its turn."""
        self._next = token
        if self._using is None and not self._is_closed:
            at = max(self._now(), self._used_at + _CALLED_BACK_AGAIN_S)
            self._using = asyncio.get_running_loop().call_at(at, self._use)

    def _use(self) -> None:
        self._using, self._used_at = None, self._now()
        token, current = self._next, self.current
        assert token is not None
        self.take(token if token.user or current is None else replace(token, user=current.user))


def provided_tokens(provider: Provider, seconds: float, resources: AsyncExitStack) -> ProvidedTokens:
    """Return the credentials of a component's provider, which live until `resources` are closed.

    A call of the provider takes at most that many seconds, the component's `dialTimeout`. A StoreError is raised by the
    tokens, and here if the provider cannot be started.
    """
    thread = ProviderThread(provider.name, provider.arguments, seconds)
    resources.push_async_callback(thread.close)
    tokens = ProvidedTokens(thread, provider.interval, seconds / 2)
    resources.push_async_callback(tokens.close)
    return tokens
