"""Makes one connection: TCP, TLS, signing in, and checking that the server can do what the store needs."""

from __future__ import annotations

import asyncio
import socket
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final

from hiredis import ReplyError

from pannier_crds.addresses.hosts import is_loopback
from pannier_sidecar.network.pipeline import ConnectionLostError
from pannier_sidecar.network.reasons import is_about_certificate, is_about_tls, reason
from pannier_sidecar.state.errors import StoreError, StoreRefusedError, StoreUnavailableError

from . import errors, info, scripts
from .connection import Connection
from .errors import LoginRefusedError
from .resp import pack

if TYPE_CHECKING:
    from collections.abc import Sequence
    from ssl import SSLError

    from .logins import Logins
    from .resp import Part
    from .settings import Address, Credentials, RedisSettings

    Command = tuple[Part, ...]

PROBE_KEY: Final = "pannier permission probe 6d1f0a7c-58b4-4f0e-9a57-2c1f3a6be0d9"
"""The key on which permissions are tried, the permission to delete included. No other program uses it."""
KEEPALIVE_IDLE_S: Final = 15
KEEPALIVE_PROBES: Final = 3
KEEPALIVE_PAUSE_S: Final = 5

# What the store sends or its scripts call. HSET is missing: it cannot be tried without writing, and in every script it
# is the first write, so that its refusal leaves nothing half done.
PERMISSION_PROBES: Final[Sequence[Command]] = (
    ("HMGET", PROBE_KEY, "data", "version"),
    ("PTTL", PROBE_KEY),
    ("EVAL", "return 0", 1, PROBE_KEY),
    ("HGET", PROBE_KEY, "version"),
    ("EXISTS", PROBE_KEY),
    ("TYPE", PROBE_KEY),
    ("GET", PROBE_KEY),
    ("PERSIST", PROBE_KEY),
    ("PEXPIRE", PROBE_KEY, 1),
    ("DEL", PROBE_KEY),
    ("TIME",),
)


class Connector:
    """Makes connections with the component's settings."""

    def __init__(self, settings: RedisSettings, logins: Logins | None = None):
        """Sign in to servers by `logins`; None: with the component's password.

        Raise StoreRefusedError if certificates cannot be used.
        """
        self._settings = settings
        self._logins = logins
        self._tls = settings.encryption.context() if settings.encryption else None
        self._was_understood = False
        """Whether a server has answered before. Then TLS is not the reason if one does not answer."""

    async def connect(
        self,
        address: Address,
        credentials: Credentials,
        *commands: Command,
        patience: float,
        kind: type[Connection] = Connection,
    ) -> tuple[Connection, list[Any]]:
        """Return a signed-in connection and the replies to `commands`. Raises a StoreError within `patience` s."""
        connection: Connection | None = None
        try:
            async with asyncio.timeout(patience):
                connection = await self._reach(address, kind)
                replies = await _handshake(connection, credentials, commands)
                self._was_understood = True
                return connection, replies
        except StoreError:
            _abandon(connection)
            raise
        except TimeoutError as error:
            _abandon(connection)
            what = "did not answer" if connection else "could not be reached"
            message = f"Redis at {address} {what} within {patience:g} s"
            speaks = ", that it speaks TLS" if self._tls else ""
            raise StoreUnavailableError(f"{message}; check redisHost, that it runs{speaks}, and dialTimeout") from error
        except ConnectionLostError as error:
            is_explained = self._was_understood or (connection is not None and connection.disconnect_reason)
            raise StoreUnavailableError(str(error) if is_explained else f"{error}; {self._tls_advice()}") from error
        except OSError as error:
            if is_about_tls(error):
                raise StoreRefusedError(
                    f"no TLS with Redis at {address}: {reason(error)}; {_certificate_advice(error)}"
                ) from error
            raise StoreUnavailableError(
                f"Redis at {address} cannot be reached: {reason(error)}; check redisHost"
            ) from error
        except ValueError as error:  # a name that cannot be looked up, or cannot be in a certificate
            raise StoreRefusedError("a host in redisHost is no host name; write host or host:port") from error
        except asyncio.CancelledError:
            _abandon(connection)
            raise

    async def sign_in(
        self, address: Address, *commands: Command, patience: float, kind: type[Connection] = Connection
    ) -> tuple[Connection, list[Any]]:
        """As `connect`, to a server that is no Sentinel, with the component's password or a token."""
        if self._logins is None:
            return await self.connect(address, self._settings.credentials, *commands, patience=patience, kind=kind)
        if self._tls is None and not is_loopback(address.host):
            raise StoreRefusedError('a token is never sent as plain text to another machine; set enableTLS: "true"')
        until = asyncio.get_running_loop().time() + patience

        async def connect(credentials: Credentials) -> tuple[Connection, list[Any]]:
            left = max(0.0, until - asyncio.get_running_loop().time())
            return await self.connect(address, credentials, *commands, patience=left, kind=kind)

        return await self._logins.signed_in(connect)

    async def primary(self, address: Address, database: int, patience: float) -> Connection:
        """Return a connection to a server that takes writes, with the scripts loaded and permissions tried."""
        loads = [("SCRIPT", "LOAD", script.source) for script in scripts.ALL]
        commands: list[Command] = [("ROLE",), *loads, ("INFO", "server"), ("INFO", "replication"), *PERMISSION_PROBES]
        if database:
            commands.insert(0, ("SELECT", database))
        connection, replies = await self.sign_in(address, *commands, patience=patience)
        try:
            if database:
                _check_success(replies.pop(0), f"redisDB {database} cannot be used at Redis {address}")
            check_primary(replies[0], address)
            for reply in replies[-len(PERMISSION_PROBES) :]:
                if isinstance(reply, ReplyError) and errors.is_command_forbidden(str(reply)):
                    raise errors.translate(reply)
        except StoreError:
            connection.abort("refused")
            raise
        connection.run_id = info.run_id(replies[1 + len(loads)])
        connection.online_replicas = info.online_replicas(replies[2 + len(loads)])
        return connection

    async def _reach(self, address: Address, kind: type[Connection]) -> Connection:
        loop = asyncio.get_running_loop()
        transport, connection = await loop.create_connection(
            lambda: kind(loop, str(address), self._settings.read_timeout),
            address.host,
            address.port,
            ssl=self._tls,
            server_hostname=address.host if self._tls else None,
        )
        _keep_alive(transport.get_extra_info("socket"))
        return connection

    def _tls_advice(self) -> str:
        if self._tls is None:
            return 'if it speaks TLS, set enableTLS: "true"'
        return "if it does not speak TLS, take enableTLS out; if it asks for a client certificate, give clientCert"


async def _handshake(connection: Connection, credentials: Credentials, commands: Sequence[Command]) -> list[Any]:
    first: list[Command] = []
    if credentials.password:
        first.append(credentials.login)
    first += [("PING",), ("CLIENT", "SETNAME", "pannier")]  # older servers and proxies may refuse SETNAME
    everything = [*first, *commands]
    replies = await connection.send(b"".join([pack(*command) for command in everything]), len(everything))
    for reply in replies[: len(first) - 1]:
        _check_login(reply, connection.name)
    return list(replies[len(first) :])


def _check_login(reply: object, name: str) -> None:
    try:
        _check_success(reply, f"Redis at {name} refused the login")
    except StoreRefusedError as error:
        raise LoginRefusedError(*error.args) from error.__cause__


def _check_success(reply: object, what: str) -> None:
    if isinstance(reply, ReplyError):
        raise errors.translate(reply, what)


def check_primary(role: object, address: object) -> None:
    """Raise StoreUnavailableError if the reply to ROLE is that of another server; some services forbid ROLE."""
    if isinstance(role, list) and role and role[0] != b"master":
        kind = {b"slave": "replica", b"sentinel": "Sentinel"}.get(role[0], "server of another role")
        raise StoreUnavailableError(
            f"Redis at {address} is a {kind} and takes no writes; name the primary in redisHost, or name the Sentinels "
            'and set failover: "true"'
        )


def _abandon(connection: Connection | None) -> None:
    if connection is not None:
        connection.abort("given up")


def _keep_alive(sock: socket.socket | None) -> None:
    """Let the kernel find out that an idle connection is dead, before a call does."""
    if sock is None:
        return
    with suppress(OSError, AttributeError):  # not every system has all of these
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, KEEPALIVE_IDLE_S)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, KEEPALIVE_PAUSE_S)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPCNT, KEEPALIVE_PROBES)


def _certificate_advice(error: SSLError) -> str:
    if is_about_certificate(error):
        return (
            "give the authority that signed the certificate in caCert (or to this machine: SSL_CERT_FILE adds one) and "
            'the host that it was signed for in redisHost, or set insecureSkipTLSVerify: "true"'
        )
    return "check that the server speaks TLS on this port and which client certificate it asks for"
