"""Sentinels say which server is the primary (Redis documentation, "Sentinel clients")."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hiredis import ReplyError

from pannier_sidecar.state.errors import StoreFault, StoreRefused, StoreUnavailable

from . import faults
from .settings import Address

if TYPE_CHECKING:
    from .connection import Connection
    from .dialling import Dialler
    from .settings import RedisSettings


class Sentinels:
    """The Sentinels of a component."""

    def __init__(self, settings: RedisSettings, dialler: Dialler):
        self._settings = settings
        self._dialler = dialler
        self._addresses = list(settings.addresses)
        """The one that answered last is asked first."""
        self._patience = settings.dial_timeout / (len(self._addresses) + 1)
        """Seconds for each of them, and for the primary: together they stay within dialTimeout."""

    async def dial(self) -> Connection:
        """Return a connection to the primary, once it says itself that it is one. Raises a StoreFault."""
        address = await self._find_primary()
        return await self._dialler.primary(address, self._settings.database, self._patience)

    async def _find_primary(self) -> Address:
        told = []
        for sentinel in tuple(self._addresses):
            try:
                address = await self._ask(sentinel)
            except StoreFault as fault:
                if isinstance(fault, StoreRefused) and len(self._addresses) == 1:
                    raise
                told.append(str(fault))
                continue
            self._addresses.remove(sentinel)
            self._addresses.insert(0, sentinel)
            return address
        raise StoreUnavailable(f"no Sentinel names a primary: {'; '.join(told)}")

    async def _ask(self, sentinel: Address) -> Address:
        name = self._settings.master_name or ""
        question = ("SENTINEL", "get-master-addr-by-name", name)
        try:
            connection, (answer,) = await self._dialler.connect(
                sentinel, self._settings.sentinel_credentials, question, patience=self._patience
            )
        except StoreRefused as fault:
            raise StoreRefused(
                f"{fault} (of the Sentinel at {sentinel}, whose are sentinelUsername and sentinelPassword)"
            ) from fault
        connection.abort("asked")
        if isinstance(answer, ReplyError):
            advice = "is redisHost a Sentinel (port 26379 by default)? Are sentinelUsername and sentinelPassword right?"
            raise StoreRefused(f"{faults.from_reply(answer, f'the Sentinel at {sentinel} refused')}; {advice}")
        if not answer:
            raise StoreRefused(
                f"the Sentinel at {sentinel} monitors no {name!r}; set sentinelMasterName to a name that it monitors"
            )
        host, port = answer
        return Address(host.decode(), int(port))
