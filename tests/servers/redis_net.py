"""Redis servers of which some can be cut off from others, while clients reach both sides, or one.

Each server has ways in front of its ports and is known to the others by these alone; it comes from an address of its
own of the loopback interface, so that a way can tell who is who. Clients come from 127.0.0.1.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from servers.faulty_way import FaultyWay, faulty_way
from servers.processes import free_port
from servers.redis_server import (
    MASTER_NAME,
    RedisServer,
    Settings,
    sentinel,
    single,
    wait_until,
)

CLIENTS = "127.0.0.1"


@dataclass
class Place:
    """Where a server is."""

    source: str
    ways: list[FaultyWay]
    server: RedisServer | None = None

    @property
    def address(self) -> str:
        """Where clients and other servers find it."""
        return self.ways[0].address


@dataclass
class Net:
    """Servers, and who reaches whom."""

    places: list[Place] = field(default_factory=list)

    def split(self, *sides: Sequence[Place | str]) -> None:
        """Let those of one side reach one another alone; CLIENTS may be on any number of sides."""
        for side in sides:
            others = [each for other in sides if other is not side for each in other]
            sources = {each if isinstance(each, str) else each.source for each in others}
            sources -= {each if isinstance(each, str) else each.source for each in side}
            for place in side:
                if isinstance(place, Place):
                    for way in place.ways:
                        way.isolate(*sources)

    def heal(self) -> None:
        for place in self.places:
            for way in place.ways:
                way.heal()

    def add(self, stack: ExitStack, ports: int = 1) -> Place:
        """Make room for a server with so many ports."""
        ways = [stack.enter_context(faulty_way(free_port())) for _ in range(ports)]
        place = Place(f"127.0.0.{len(self.places) + 10}", ways)
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
        return next(place for place in self.data if place.ways[0].port == port)


@contextmanager
def watched(folder: Path, replicas: int = 2) -> Iterator[Watched]:
    """Run a primary, replicas and three Sentinels, which replace it when it is gone for half a second."""
    net = Watched()
    with ExitStack() as stack:
        for number in range(1 + replicas):
            place = net.add(stack)
            net.data.append(place)
            options = [*_outgoing(place), "--replica-announce-ip", "127.0.0.1"]
            options += ["--replica-announce-port", str(place.ways[0].port)]
            if number:
                options += ["--replicaof", "127.0.0.1", str(net.data[0].ways[0].port)]
            place.server = stack.enter_context(single(folder / f"data{number}", *options, port=place.ways[0].target))
        lines = (
            f"sentinel monitor {MASTER_NAME} 127.0.0.1 {net.data[0].ways[0].port} 2",
            f"sentinel down-after-milliseconds {MASTER_NAME} 500",
            f"sentinel failover-timeout {MASTER_NAME} 3000",
        )
        for number in range(3):
            place = net.add(stack)
            net.sentinels.append(place)
            own = (f"bind-source-addr {place.source}", "sentinel announce-ip 127.0.0.1")
            own += (f"sentinel announce-port {place.ways[0].port}",)
            watching = sentinel(folder / f"sentinel{number}", *own, *lines, port=place.ways[0].target)
            place.server = stack.enter_context(watching)
        wait_until(lambda: _is_watched(net, replicas), "the Sentinels know each other and the replicas")
        yield net


def _outgoing(place: Place) -> list[str]:
    return ["--bind-source-addr", place.source]


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
