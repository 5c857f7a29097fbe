"""Makes one connection: TCP or a Unix socket, TLS, signing in, and finding out what the server can do."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

from pannier_sidecar.network.pipeline import ConnectionLostError
from pannier_sidecar.network.reasons import is_about_tls, reason
from pannier_sidecar.state.errors import StoreError, StoreRefusedError, StoreUnavailableError

from . import errors, layout
from .connection import Connection

if TYPE_CHECKING:
    from .settings import Address, MemcachedSettings

_PROBE_KEY: Final = layout.sent_key("pannier probe")
"""Has a space, so that it also proves that the server takes encoded keys."""


class Connector:
    """Makes connections with the component's settings."""

    def __init__(self, settings: MemcachedSettings):
        """Raise StoreRefusedError if the certificate cannot be used."""
        self._settings = settings
        self._tls = settings.encryption.context() if settings.encryption else None

    async def dial(self, address: Address) -> Connection:
        """Return a signed-in connection to a server that can do what the store needs. Raises a StoreError."""
        loop = asyncio.get_running_loop()
        connection = Connection(loop, str(address), self._settings.timeout)
        try:
            async with asyncio.timeout(self._settings.timeout):
                await self._reach(address, connection)
                await self._handshake(connection)
            return connection
        except BaseException as error:
            connection.abort("given up")
            translated = self._translate(address, error)
            if translated is None:
                raise
            raise translated from error

    async def _reach(self, address: Address, connection: Connection) -> None:
        loop = asyncio.get_running_loop()
        name = address.host if self._tls and address.port is not None else None
        if address.port is None:
            await loop.create_unix_connection(lambda: connection, address.host)
        else:
            await loop.create_connection(
                lambda: connection, address.host, address.port, ssl=self._tls, server_hostname=name
            )

    async def _handshake(self, connection: Connection) -> None:
        settings = self._settings
        if settings.username or settings.password:
            credentials = f"{settings.username} {settings.password.reveal()}".encode()
            reply = await connection.send(b"set pannier 0 0 %d\r\n%b\r\n" % (len(credentials), credentials))
            if reply != b"STORED":
                raise errors.login_refusal(reply, connection.name)
        version = await connection.send(b"version\r\n")
        if isinstance(version, tuple) or not version.startswith(b"VERSION "):
            raise errors.login_refusal(version, connection.name)
        for command in (b"stats\r\n", b"stats settings\r\n"):
            await connection.send(command)
        probe = await connection.send(layout.read(_PROBE_KEY))
        if not isinstance(probe, tuple) and not probe.startswith(b"EN"):
            raise StoreRefusedError(
                f"memcached at {connection.name} is {errors.version(version)} and does not know the "
                "meta commands that ETags need; use 1.6.10 or later"
            )
        stats = connection.stats
        if stats.get("cas_enabled") == "no":
            raise StoreRefusedError(
                f"memcached at {connection.name} runs without CAS, so without ETags; start it without -C"
            )
        connection.largest_item = int(stats.get("item_size_max", 1024 * 1024))
        # The start and the pid identify a run: CAS numbers begin again with each start, and ETags must not repeat.
        started = int(stats.get("time", 0)) - int(stats.get("uptime", 0))
        connection.run = f"{started:x}-{int(stats.get('pid', 0)):x}"

    def _translate(self, address: Address, error: BaseException) -> StoreError | None:
        """Return the StoreError that an error means; None if it has nothing to do with the server."""
        where = f"memcached at {address}"
        if isinstance(error, TimeoutError):
            return StoreUnavailableError(
                f"{where} did not answer within {self._settings.timeout:g} s; check hosts, that it runs, and timeout"
            )
        if isinstance(error, ConnectionLostError):
            return StoreUnavailableError(f"{error}; {self._tls_advice()}")
        if is_about_tls(error):
            advice = "check that it speaks TLS on this port and that caCert, or this machine, trusts its certificate"
            return StoreRefusedError(f"no TLS with {where}: {reason(error)}; {advice}")
        if isinstance(error, OSError):
            return StoreUnavailableError(f"{where} cannot be reached: {reason(error)}; check hosts")
        if isinstance(error, ValueError):  # of a name that cannot be looked up
            return StoreRefusedError("a host in hosts is no host name; write host or host:port")
        return None

    def _tls_advice(self) -> str:
        return (
            "if it does not speak TLS, take enableTLS out" if self._tls else 'if it speaks TLS, set enableTLS: "true"'
        )
