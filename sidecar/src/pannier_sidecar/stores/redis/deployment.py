"""Which kind of Redis a component means: one server, one that Sentinels name, or a Cluster."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from .dialling import Dialler
from .servers import Primary

if TYPE_CHECKING:
    from .servers import Servers
    from .settings import RedisSettings


def find_servers(settings: RedisSettings) -> Servers:
    """Return the servers of a component, not connected yet. Raises StoreRefusedError for certificates without use."""
    dialler = Dialler(settings)
    if settings.is_cluster:
        from .cluster import Cluster  # few components need it or Sentinels, and imports cost every start

        return Cluster(settings, dialler)
    if settings.master_name is not None:
        from .sentinel import WatchedPrimary

        return WatchedPrimary(settings, dialler)
    address = settings.addresses[0]
    return Primary(settings, partial(dialler.primary, address, settings.database, settings.dial_timeout))
