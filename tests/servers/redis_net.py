"""Redis servers, some of which can be cut off from others, while clients reach both sides or only one.

Each server has proxies in front of its ports, and the others know only those. It has its own address on the loopback
interface, so that a proxy can recognise it. Clients come from 127.0.0.1.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from servers.faulty_proxy import FaultyProxy
from servers.processes import free_port
from servers.redis_server import (
    MASTER_NAME,
    SLOTS,
    RedisServer,
    Settings,
    sentinel,
    single,
    wait_until,
)

from pannier_sidecar.stores.redis.slots import slot_of

CLIENTS = "127.0.0.1"


@dataclass
class Place:
    """Where a server is."""

    source: str
    proxies: list[FaultyProxy]
    server: RedisServer | None = None

    @property
    def address(self) -> str:
        """Where clients and other servers find it."""
        return self.proxies[0].address


@dataclass
class Net:
    """Servers, and which of them reach each other."""

    places: list[Place] = field(default_factory=list)

    def split(self, *sides: Sequence[Place | str]) -> None:
        """Let servers reach only others of their side; CLIENTS may be on any number of sides."""
        for side in sides:
            others = [each for other in sides if other is not side for each in other]
            sources = {each if isinstance(each, str) else each.source for each in others}
            sources -= {each if isinstance(each, str) else each.source for each in side}
            for place in side:
                if isinstance(place, Place):
                    for proxy in place.proxies:
                        proxy.isolate(*sources)

    def heal(self) -> None:
        for place in self.places:
            for proxy in place.proxies:
                proxy.heal()

    def add(self, stack: ExitStack, ports: int = 1) -> Place:
        """Reserve proxies for a server with this many ports."""
        proxies = [stack.enter_context(FaultyProxy(free_port())) for _ in range(ports)]
        place = Place(f"127.0.0.{len(self.places) + 10}", proxies)
        self.places.append(place)
        return place


# --- Sentinel -----------------------------------------------------------------------------------------------------


@dataclass
class Watched(Net):
    """A primary, its replicas and three Sentinels."""

    data: list[Place] = field(default_factory=list)
    """The first one is the primary at the beginning."""
    sentinels: list[Place] = field(default_factory=list)

    @property
    def settings(self) -> Settings:
        hosts = ",".join(place.address for place in self.sentinels)
        return {"redisHost": hosts, "failover": True, "sentinelMasterName": MASTER_NAME}

    def primary(self, sentinel: int = 2) -> Place:
        """Return the primary as one Sentinel sees it."""
        server = self.sentinels[sentinel].server
        assert server is not None
        with server.client() as client:
            port = int(client.sentinel_get_master_addr_by_name(MASTER_NAME)[1])
        return next(place for place in self.data if place.proxies[0].port == port)


@contextmanager
def watched(folder: Path, replicas: int = 2) -> Iterator[Watched]:
    """Run a primary, replicas and three Sentinels, which replace it after it has been down for half a second."""
    net = Watched()
    with ExitStack() as stack:
        for number in range(1 + replicas):
            place = net.add(stack)
            net.data.append(place)
            options = [*_outgoing(place), "--replica-announce-ip", "127.0.0.1"]
            options += ["--replica-announce-port", str(place.proxies[0].port)]
            if number:
                options += ["--replicaof", "127.0.0.1", str(net.data[0].proxies[0].port)]
            place.server = stack.enter_context(single(folder / f"data{number}", *options, port=place.proxies[0].target))
        lines = (
            f"sentinel monitor {MASTER_NAME} 127.0.0.1 {net.data[0].proxies[0].port} 2",
            f"sentinel down-after-milliseconds {MASTER_NAME} 500",
            f"sentinel failover-timeout {MASTER_NAME} 3000",
        )
        for number in range(3):
            place = net.add(stack)
            net.sentinels.append(place)
            own: tuple[str, ...] = (f"bind-source-addr {place.source}", "sentinel announce-ip 127.0.0.1")
            own += (f"sentinel announce-port {place.proxies[0].port}",)
            watching = sentinel(folder / f"sentinel{number}", *own, *lines, port=place.proxies[0].target)
            place.server = stack.enter_context(watching)
        wait_until(lambda: _is_watched(net, replicas), "the Sentinels know each other and the replicas")
        yield net


def _outgoing(place: Place) -> list[str]:
    return ["--bind-source-addr", place.source, "--shutdown-timeout", "0"]


def _is_watched(net: Watched, replicas: int) -> bool:
    for place in net.sentinels:
        assert place.server is not None
        with place.server.client() as client:
            seen = client.sentinel_master(MASTER_NAME)
            known = client.sentinel_slaves(MASTER_NAME)
        if seen["num-other-sentinels"] != 2 or len(known) != replicas:
            return False
        if any(replica["flags"] != "slave" or not replica["runid"] for replica in known):
            return False
    return True


# --- Cluster ------------------------------------------------------------------------------------------------------


@dataclass
class ClusterNet(Net):
    """Three primaries, and replicas of the first one."""

    @property
    def settings(self) -> Settings:
        return {"redisHost": ",".join(place.address for place in self.places), "redisType": "cluster"}

    def owner(self, tag: str, seen_by: Place) -> Place | None:
        """Return which node has the keys with a hash tag, as one node sees it."""
        slot = slot_of(tag.encode())
        for first, last, (_, port, *_), *_ in _ranges(seen_by):
            if first <= slot <= last:
                return next(place for place in self.places if place.proxies[0].port == port)
        return None

    def tag_on(self, place: Place) -> str:
        """Return a hash tag whose keys a node has."""
        return next(tag for n in range(1000) if self.owner(tag := f"{{t{n}}}", place) is place)


@contextmanager
def cluster(folder: Path, replicas: int = 1, *options: str) -> Iterator[ClusterNet]:
    """Run three primaries; a replica replaces one that has been down for a second."""
    net = ClusterNet()
    with ExitStack() as stack:
        for number in range(3 + replicas):
            place = net.add(stack, ports=2)
            data, bus = place.proxies
            more = [*_outgoing(place), "--cluster-enabled", "yes", "--cluster-node-timeout", "1000"]
            more += ["--cluster-port", str(bus.target), "--cluster-announce-ip", "127.0.0.1"]
            more += ["--cluster-announce-port", str(data.port), "--cluster-announce-bus-port", str(bus.port), *options]
            place.server = stack.enter_context(single(folder / f"node{number}", *more, port=data.target))
        _join(net, replicas)
        yield net


def _join(net: ClusterNet, replicas: int) -> None:
    first, primaries = net.places[0], net.places[:3]
    for number, place in enumerate(net.places):
        if place in primaries:
            ask(place, "CLUSTER ADDSLOTSRANGE", number * SLOTS // 3, (number + 1) * SLOTS // 3 - 1)
        ask(place, "CLUSTER SET-CONFIG-EPOCH", number + 1)
        ask(place, "CLUSTER MEET", "127.0.0.1", first.proxies[0].port, first.proxies[1].port)
    wait_until(lambda: all(len(_ranges(place)) == 3 for place in net.places), "the nodes know one another")
    name = ask(first, "CLUSTER MYID")
    for place in net.places[3:]:
        ask(place, "CLUSTER REPLICATE", name)
    wait_until(lambda: all(_is_whole(place, replicas) for place in net.places), "the nodes form a Cluster")


def _is_whole(place: Place, replicas: int) -> bool:
    return serves(place) and sum(len(row) - 3 for row in _ranges(place)) == replicas


def serves(place: Place) -> bool:
    """Whether a node reports that the Cluster is healthy."""
    about = ask(place, "CLUSTER INFO")
    return "ok" in re.findall(r"cluster_state:?\W*(\w+)", about.decode() if isinstance(about, bytes) else str(about))


def ask(place: Place, command: str, *arguments: object) -> Any:
    assert place.server is not None
    with place.server.client() as client:
        return client.execute_command(command, *arguments)  # type: ignore[no-untyped-call]


def _ranges(place: Place) -> Any:
    assert place.server is not None
    with place.server.client() as client:
        return client.execute_command("CLUSTER SLOTS", target_nodes="random")
