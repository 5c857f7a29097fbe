"""The connection to TITLE that all calls share: deadlines, and what is sent again after a loss."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from . import errors

if TYPE_CHECKING:
    from .layout import Record
    from .settings import CLASSSettings


class Client:
    """An open connection. Its calls raise StoreError."""

    def __init__(self, settings: CLASSSettings):
        self._settings = settings
        self._writer: asyncio.StreamWriter | None = None

    async def connect(self) -> None:
        try:
            async with asyncio.timeout(self._settings.timeout):
                _, self._writer = await asyncio.open_connection(self._settings.host, self._settings.port)
        except errors.CLIENT_ERRORS as error:
            raise errors.translate(error, self._settings.where, is_write=False) from error

    async def close(self) -> None:
        """End the connection; calls in flight fail."""
        if self._writer is not None:
            self._writer.transport.abort()

    async def ping(self) -> None:
        """Return if the server answers and lets this user read and write."""
        raise NotImplementedError

    async def read(self, key: str) -> Record | None:
        """Return what is stored under a key."""
        raise NotImplementedError

    async def write(self, key: str, record: Record, if_match: str | None, if_absent: bool) -> bool:
        """Write under a key, in one call with its precondition; return whether that held."""
        raise NotImplementedError

    async def remove(self, key: str, if_match: str | None) -> bool:
        """Remove a key, in one call with its precondition; return whether that held."""
        raise NotImplementedError
