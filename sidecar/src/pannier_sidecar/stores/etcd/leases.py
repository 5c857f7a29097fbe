"""Leases remove expired keys. The id of a lease that Pannier made encodes when they expire.

All keys that expire in one second share a lease, so at most one lease a second is granted, and a read knows when a key
expires without a request. etcd removes keys a second or two late, so reads check the time themselves.
"""

from __future__ import annotations

from math import ceil
from time import time
from typing import TYPE_CHECKING, Final

from aetcd import rpc

from .client import TIME_TO_LIVE

if TYPE_CHECKING:
    from .client import Client

_MARK: Final = 0x0F1D_A9E5
"""The upper 29 bits of our leases' ids; of the ids that etcd makes, one in half a billion has them too."""
_SECOND_BITS: Final = 34
_MARGIN: Final = 1
"""Seconds that a lease lives longer than its keys, because clocks differ."""
_REMEMBERED: Final = 10_000


class Leases:
    """The leases that are known to exist."""

    def __init__(self, client: Client):
        self._client = client
        self._granted: set[int] = set()

    async def of(self, expires: float) -> int:
        """Return the lease for keys that expire at this Unix time; it is granted if it does not exist.

        Raises StoreError.
        """
        lease = _MARK << _SECOND_BITS | ceil(expires)
        if lease not in self._granted:
            if len(self._granted) >= _REMEMBERED:
                self._granted.clear()
            await self._client.grant(lease, ceil(expires - time()) + _MARGIN)
            self._granted.add(lease)
        return lease

    def forget(self) -> None:
        """Have leases granted again before their next use: etcd has reported that one does not exist."""
        self._granted.clear()


def expiry_of(lease: int) -> int | None:
    """Return the Unix time in a lease's id; None if another program made it, so that only etcd knows the time."""
    if lease >> _SECOND_BITS != _MARK:
        return None
    return lease & (1 << _SECOND_BITS) - 1


async def read_expiry(client: Client, lease: int) -> int:
    """Return when a lease that another program made ends, in Unix time. Raises StoreError."""
    answer = await client.call(TIME_TO_LIVE, rpc.LeaseTimeToLiveRequest(ID=lease))
    return round(time()) + max(int(answer.TTL), 0)
