"""Which kind of Redis a component means: one server, one that Sentinels name, or a Cluster."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from .client import Primary
from .connecting import Connector

if TYPE_CHECKING:
    from .client import Servers
    from .settings import RedisSettings


def find_servers(settings: RedisSettings) -> Servers:
    """Return the servers of a component, not connected yet. Raises StoreRefusedError for certificates without use."""
    connector = Connector(settings)
    if settings.is_cluster:
        from .cluster import Cluster  # few components need it or Sentinels, and imports cost every start

        return Cluster(settings, connector)
    if settings.master_name is not None:
        from .sentinel import WatchedPrimary

        return WatchedPrimary(settings, connector)
    address = settings.addresses[0]
    return Primary(settings, partial(connector.primary, address, settings.database, settings.dial_timeout))
