"""Finds the nodes that have the rows of a token, when they are first needed.

The driver computes them for all tokens at once, on the event loop, in the first call after a change of nodes. For many
nodes this takes long, and for tokens that a hostile server chose it does not end.
"""

from __future__ import annotations

from bisect import bisect_left
from typing import TYPE_CHECKING, Any, Final

from cassandra.metadata import NetworkTopologyStrategy, SimpleStrategy

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from cassandra.pool import Host

MAX_STEPS: Final = 10_000
"""Maximum number of tokens to visit for one: usually the next few dozen belong to enough nodes."""


class LazyStrategy:
    """Replaces the driver's replication strategy of a keyspace."""

    def __init__(self, strategy: Any):
        self._strategy = strategy

    def make_token_replica_map(self, owners: Mapping[Any, Host], ring: Sequence[Any]) -> Mapping[Any, list[Host]]:
        """Return the nodes by token. Like the driver, return nothing for strategies that it does not know."""
        hosts = set(owners.values())
        if isinstance(self._strategy, NetworkTopologyStrategy):
            return _Replicas(owners, ring, _data_centres(hosts, self._strategy.dc_replication_factors))
        if isinstance(self._strategy, SimpleStrategy):
            return _Replicas(owners, ring, {None: _DataCentre(self._strategy.replication_factor, hosts, set())})
        return {}


class _DataCentre:
    """A data centre's racks, and how many of its nodes have each row. The name `None` stands for the whole cluster."""

    def __init__(self, factor: int, hosts: set[Host], racks: set[Any]):
        self.replicas = min(factor, len(hosts))
        self.racks = racks


class _Replicas(dict[Any, list["Host"]]):
    """The nodes by token, for those tokens that were needed."""

    def __init__(self, owners: Mapping[Any, Host], ring: Sequence[Any], data_centres: Mapping[Any, _DataCentre]):
        super().__init__()
        self._owners = owners
        self._ring = ring
        self._data_centres = data_centres

    def __bool__(self) -> bool:
        return bool(self._ring)

    def __missing__(self, token: Any) -> list[Host]:
        walk = _Walk(self._data_centres)
        start, size = bisect_left(self._ring, token), len(self._ring)
        for step in range(min(size, MAX_STEPS)):
            if walk.missing <= 0:
                break
            walk.pass_by(self._owners[self._ring[(start + step) % size]])
        self[token] = walk.found
        return walk.found


class _Walk:
    """Finds the nodes for one token: in each data centre first one of each rack, then the others in order."""

    def __init__(self, data_centres: Mapping[Any, _DataCentre]):
        self.found: list[Host] = []
        self._left = {name: each.replicas for name, each in data_centres.items()}
        self._racks = {name: set(each.racks) for name, each in data_centres.items()}
        self._passed: dict[Any, list[Host]] = {name: [] for name in data_centres}
        self.missing = sum(self._left.values())

    def pass_by(self, host: Host) -> None:
        name = None if None in self._left else host.datacenter
        if self._left.get(name, 0) <= 0 or host in self.found:
            return
        racks = self._racks[name]
        if racks and host.rack not in racks:
            self._passed[name].append(host)
            return
        self._take(name, host)
        racks.discard(host.rack)
        if not racks:
            for passed in self._passed.pop(name, ()):
                if passed not in self.found:
                    self._take(name, passed)

    def _take(self, name: Any, host: Host) -> None:
        if self._left[name] > 0:
            self._left[name] -= 1
            self.missing -= 1
            self.found.append(host)


def _data_centres(hosts: set[Host], factors: Mapping[str, int]) -> dict[Any, _DataCentre]:
    by_name: dict[str, set[Host]] = {}
    for host in hosts:
        by_name.setdefault(host.datacenter, set()).add(host)
    return {
        name: _DataCentre(factor, by_name[name], {host.rack for host in by_name[name]})
        for name, factor in factors.items()
        if name in by_name
    }
