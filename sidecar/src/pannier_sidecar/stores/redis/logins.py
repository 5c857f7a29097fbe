"""Signing in with tokens: each connection with one that has not ended, and again with the next before that ends. What a
credential provider of the user's gives is a token too.

AUTH goes on the connection that calls share. Redis carries out what is sent after it as the user who has signed in
again, so no call waits for it and none fails.
"""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Any, Final

from hiredis import ReplyError

from pannier_crds.secret import Secret
from pannier_sidecar.clouds.azure_profile import AzureProfile
from pannier_sidecar.clouds.database_tokens import SentToken, aws_tokens, entra_tokens
from pannier_sidecar.network.pipeline import ConnectionLostError
from pannier_sidecar.state.errors import StoreError

from . import errors
from .errors import LoginRefusedError
from .resp import pack
from .settings import Credentials

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from contextlib import AsyncExitStack

    from pannier_sidecar.clouds.renewal import RenewedToken, Token

    from .connection import Connection
    from .settings import RedisSettings

    Connect = Callable[[Credentials], Awaitable[tuple[Connection, list[Any]]]]

log = logging.getLogger(__name__)

_SCOPE: Final = "https://redis.azure.com/.default"
_OF_ENTRA: Final = "make the identity a user of the cache, with an access policy"
_OF_PROVIDER: Final = "have credentialProvider give the user and the password that the server knows"
_OF_AWS: Final = "let the user sign in by IAM, and allow elasticache:Connect for the user and the cache to the identity"


class Logins:
    """All connections to servers that were signed in with the tokens of one identity."""

    def __init__(self, tokens: RenewedToken, user: str, sent: SentToken):
        """`user` is whom all tokens are for; empty if each names its own. `sent` are the same tokens."""
        self._tokens = tokens
        self._sent = sent
        self._user = user
        self._connections: dict[Connection, Token | None] = {}
        """Each with the token that it was sent last; None: it is to be sent one again."""
        self._tasks: set[asyncio.Task[None]] = {asyncio.create_task(tokens.keep())}
        tokens.on_token = self._sign_all_in_again

    async def close(self) -> None:
        """Sign in no more."""
        for task in self._tasks:
            task.cancel()
        await asyncio.wait(self._tasks)

    async def signed_in(self, connect: Connect) -> tuple[Connection, list[Any]]:
        """Return what `connect` returns, and keep its connection signed in. Raises a StoreError."""

        async def use(token: Token) -> tuple[Connection, list[Any], Token]:
            return *await connect(self._credentials(token)), token

        connection, replies, used = await self._sent.used(use, lambda error: isinstance(error, LoginRefusedError))
        self._connections[connection] = used
        connection.lost.add_done_callback(lambda _: self._connections.pop(connection, None))
        newer = self._tokens.current
        if newer is not None:  # it may have come while the connection was made
            self._sign_in_again(connection, newer)
        return connection, replies

    async def again(self) -> None:
        """Sign all connections in with another token, because a server wants a login. Raises a StoreError."""
        token = self._tokens.current
        if token is not None:
            self._connections = dict.fromkeys(self._connections)
            await self._tokens.replace(token)

    def _credentials(self, token: Token) -> Credentials:
        return Credentials(self._user or token.user, Secret(token.text.reveal()))

    def _sign_all_in_again(self, token: Token) -> None:
        for connection in self._connections:
            self._sign_in_again(connection, token)

    def _sign_in_again(self, connection: Connection, token: Token) -> None:
        """Sign a connection in, unless it is signed in with these credentials."""
        sent = self._connections[connection]
        if sent is not None and (sent.text, sent.user) == (token.text, token.user):
            return
        self._connections[connection] = token
        task = asyncio.create_task(self._send(connection, token, self._auth(connection, token)))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def _auth(self, connection: Connection, token: Token) -> asyncio.Future[Any]:
        """Send AUTH at once, before any call that is made after this."""
        return connection.send(pack(*self._credentials(token).login), 1)

    async def _send(self, connection: Connection, token: Token, answer: asyncio.Future[Any]) -> None:
        try:
            reply = await answer
        except ConnectionLostError:
            return
        if not isinstance(reply, ReplyError):
            return
        log.warning(
            "Redis at %s refuses a new token: %s; the one before serves until it ends",
            connection.name,
            errors.described(str(reply)),
        )
        try:
            await self._tokens.replace(token)
        except StoreError as error:
            log.warning("no other token can be had: %s", error)


async def logins_of(settings: RedisSettings, resources: AsyncExitStack) -> Logins | None:
    """Return what signs in with tokens until `resources` are closed; None: the component has a password, or none.

    Raises a StoreError.
    """
    profile, seconds = settings.profile, settings.dial_timeout
    tokens: RenewedToken
    if settings.provider is not None:
        from .provided import provided_tokens  # few components name a provider

        tokens = provided_tokens(settings.provider, seconds, resources)
        logins = Logins(tokens, "", SentToken(tokens, _OF_PROVIDER, "provider's password"))
    elif profile is None:
        return None
    elif isinstance(profile, AzureProfile):
        tokens = await entra_tokens(profile, _SCOPE, seconds, resources, names_user=True, timeout_field="dialTimeout")
        logins = Logins(tokens, "", SentToken(tokens, _OF_ENTRA))
    else:
        user = settings.credentials.username
        more = {"ResourceType": "ServerlessCache"} if settings.is_serverless_cache else {}
        url = f"https://{settings.cache_name.lower()}/"
        tokens = await aws_tokens(
            profile, "elasticache", url, {"User": user, **more}, seconds, resources, timeout_field="dialTimeout"
        )
        logins = Logins(tokens, user, SentToken(tokens, _OF_AWS))
    resources.push_async_callback(logins.close)
    return logins
