"""A Redis Cluster: every key has a hash slot, and every slot a node (Redis Cluster specification)."""

from __future__ import annotations

import asyncio
import logging
from functools import partial
from math import inf
from typing import TYPE_CHECKING, Any, Final

from hiredis import ReplyError

from pannier_sidecar.network.pipeline import ConnectionLostError
from pannier_sidecar.state.errors import (
    NotSupportedError,
    PartlyUnavailableError,
    StoreError,
    StoreUnavailableError,
)

from .client import Node, Servers, answer_ping
from .errors import translate
from .resp import pack, unpack
from .settings import Address
from .slot_map import has_slots, own_slots, uncalled
from .slot_map_reader import SlotMapReader
from .slots import SLOTS, slot_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from .client import Connect, Request
    from .connecting import Connector
    from .connection import Connection
    from .settings import RedisSettings
    from .slot_map import SlotMap

log = logging.getLogger(__name__)

PATIENCE_S: Final = 0.2
"""Seconds without a connection to a node, after which the slot map is read again: another node may have replaced it."""
REFRESH_PAUSE_S: Final = 0.1
"""Seconds between two reads of the slot map."""
TROUBLE_PAUSE_S: Final = 0.5
"""The same, while some of its nodes take no calls."""
RECOUNT_PAUSE_S: Final = 2.0
"""The same, while strong writes lack replicas: a missing one may have been removed for good."""


class Cluster(Servers):
    """The primaries of a Cluster, with a connection to each."""

    def __init__(self, settings: RedisSettings, connector: Connector):
        super().__init__(settings)
        self._connector = connector
        self._nodes: dict[Address, Node] = {}
        self._reader = SlotMapReader(settings, connector, self._nodes)
        self._slots: list[Node | None] = [None] * SLOTS
        self._known: frozenset[str] = frozenset()
        """Ids of the nodes that have slots."""
        self._failing: dict[Node, float] = {}
        """Nodes that take no calls, and since when (loop time)."""
        self._taken_over: dict[Node, Node] = {}
        """Nodes that have taken over slots since the slot map was read, and the nodes that had them."""
        self._uncovered_since = inf
        """Loop time since which some slot has no node."""
        self._refresh: asyncio.Task[StoreError | None] | None = None
        self._watch: asyncio.Task[None] | None = None
        self._retiring: set[asyncio.Task[None]] = set()
        self._logged = ""
        self._recount_at = 0.0
        """Loop time from which a strong write that lacks replicas causes another read of the slot map."""
        self._spare: frozenset[Address] = frozenset()
        """Primaries without slots."""
        self._of_feeds: set[Connection] = set()
        self._own_slots: frozenset[tuple[str, str]] = frozenset()
        """Which slots the nodes said that they have, when a feed called the roll last."""
        self._is_closed = False

    async def open(self) -> None:
        found = await self._reader.read(self._known)
        if not found.serves:
            raise StoreUnavailableError(f"{_DOWN}; it is asked again")
        self._adopt(found)
        nodes = list(self._nodes.values())
        results = await asyncio.gather(*(node.link.open() for node in nodes), return_exceptions=True)
        errors = [result for result in results if result is not None]
        serious = [error for error in errors if not isinstance(error, StoreUnavailableError)]
        if serious or len(errors) == len(nodes):
            raise (serious or errors)[0]
        for node in nodes:
            node.link.start()  # nodes that answer serve their keys; other nodes are tried again

    async def close(self) -> None:
        self._is_closed = True
        tasks = [task for task in (self._refresh, self._watch) if task is not None]
        for connection in tuple(self._of_feeds):
            connection.abort("the Redis store is closed")
        for background in tasks:
            background.cancel()
        if tasks:
            await asyncio.wait(tasks)
        for task in self._retiring:
            task.cancel()
        await asyncio.gather(*(node.close() for node in self._nodes.values()))
        await asyncio.gather(*self._retiring, return_exceptions=True)

    async def ping(self) -> None:
        nodes = [node for node in set(self._slots) if node is not None]
        results = await asyncio.gather(*map(_check_node, nodes), return_exceptions=True)
        errors = [result for result in results if isinstance(result, BaseException)]
        if not errors and None not in self._slots:
            return
        self._start_watch()
        error = errors[0] if errors else StoreUnavailableError("some hash slots of the Redis Cluster have no node")
        if len(errors) < len(nodes) and isinstance(error, StoreUnavailableError):
            raise PartlyUnavailableError(
                f"{len(nodes) - len(errors)} of {len(nodes)} nodes of the Cluster serve: {error}"
            )
        raise error

    def connection(self, key: bytes) -> Connection | None:
        node = self._slots[slot_of(key)]
        return None if node is None else node.link.connection

    def grouped(self, keys: Sequence[bytes]) -> Sequence[Sequence[int]]:
        groups: dict[Node | None, list[int]] = {}
        for place, key in enumerate(keys):
            groups.setdefault(self._slots[slot_of(key)], []).append(place)
        return list(groups.values())

    def check_together(self, keys: Sequence[bytes]) -> None:
        slot = slot_of(keys[0])
        for key in keys:
            if slot_of(key) != slot:
                names = f"{keys[0].decode()} and {key.decode()}"
                raise NotSupportedError(
                    f"keys {names} lie in different hash slots of the Redis Cluster, so no transaction holds both; "
                    "give the keys a part in braces that they share, like {order-1}|items and {order-1}|total"
                )

    async def node(self, key: bytes, deadline: float) -> Node:
        return await self._usable_node(slot_of(key), deadline)

    async def owner(self, slot: int, deadline: float) -> tuple[Node, int]:
        node = await self._usable_node(slot, deadline)
        last = slot
        while last + 1 < SLOTS and self._slots[last + 1] is node:
            last += 1
        return node, last

    async def still_has(self, connection: Connection, first: int, last: int, deadline: float) -> bool:
        if has_slots(await connection.send(pack("CLUSTER", "NODES"), 1), first, last):
            return True
        await self._wait_for_refresh(deadline)
        return False

    async def _send(self, request: Request, deadline: float) -> Any:
        try:
            return await super()._send(request, deadline)
        except StoreError:
            now = asyncio.get_running_loop().time()
            if request.is_strong and now >= self._recount_at and not self._is_closed:
                self._recount_at = now + RECOUNT_PAUSE_S
                self._start_refresh()
            raise

    async def redirect(self, request: Request, error: ReplyError, deadline: float) -> Any | None:
        kind, *place = str(error).split()
        if kind == "CLUSTERDOWN" or len(place) != 2:
            await self._after_down(slot_of(request.key), error, deadline)
            return None
        slot, address = int(place[0]), _address(place[1], self._settings.addresses[0].host)
        if kind == "ASK":
            return await self._follow_ask(self._node_at(address), request, deadline)
        self._slots[slot] = self._node_at(address, self._slots[slot])
        self._start_refresh()
        return None

    async def _after_down(self, slot: int, error: ReplyError, deadline: float) -> None:
        """Return when the slot map was read again.

        Raises a StoreError if the slot's node has refused calls for too long.
        """
        now = asyncio.get_running_loop().time()
        node = self._slots[slot]
        if node is not None:
            since = self._failing.setdefault(node, now)
            self._start_watch()
            if now >= min(deadline, since + self._settings.dial_timeout):
                raise StoreUnavailableError(_DOWN)
        await self._wait_for_refresh(deadline)

    async def _follow_ask(self, node: Node, request: Request, deadline: float) -> Any:
        """Return the answer of a node to which the slot of the request's key is being moved."""
        commands = [pack("ASKING") + pack(*command) for command in unpack(request.payload)]
        payload = b"".join(commands)
        if request.is_strong:
            return await node.strong.write(payload, deadline, 2)
        connection = await node.link.usable(deadline, self._settings.write_timeout)
        replies = (await connection.send(payload, 2 * len(commands)))[1::2]
        return replies if len(replies) > 1 else replies[0]

    # --- feeds ----------------------------------------------------------------------------------------------------

    roll_call = pack("CLUSTER", "NODES")

    async def connect_for_feed(self, connect: Connect) -> Sequence[Connection]:
        error = await self._start_refresh()
        if error is not None:
            raise error
        in_use = set(self._slots)
        addresses = {address for address, node in self._nodes.items() if node in in_use} | self._spare
        patience = self._settings.dial_timeout
        connections: list[Connection] = []

        async def reach(address: Address) -> None:
            connection = await connect(address, patience)
            connections.append(connection)
            self._of_feeds.add(connection)
            connection.lost.add_done_callback(lambda _: self._of_feeds.discard(connection))

        try:
            async with asyncio.TaskGroup() as group:
                for each in addresses:
                    group.create_task(reach(each))
        except BaseException as failed:
            for connection in connections:
                connection.abort("not all nodes of the Redis Cluster can be reached")
            if isinstance(failed, BaseExceptionGroup):
                raise failed.exceptions[0] from None
            raise
        return connections

    async def check_roll(self, connections: Sequence[Connection], replies: Sequence[Any], as_of: float) -> None:
        for reply in replies:
            if isinstance(reply, ReplyError):
                raise translate(reply, "Redis does not report which nodes the Cluster has")
        why = uncalled(replies)
        if why is not None:
            self._start_refresh()
            raise StoreUnavailableError(f"the nodes of the Redis Cluster have changed: {why}")
        before, self._own_slots = self._own_slots, own_slots(replies)
        if before != self._own_slots:  # whoever relies on the feed lists keys by the slot map
            await self._start_refresh()

    # --- which node has which slots -------------------------------------------------------------------------------

    async def _usable_node(self, slot: int, deadline: float) -> Node:
        """Return the node that has a slot, once it takes calls. Raises a StoreError at `deadline`."""
        loop = asyncio.get_running_loop()
        while not self._is_closed:
            node = self._slots[slot]
            last: StoreError = StoreUnavailableError(f"no node of the Redis Cluster has hash slot {slot}")
            if node is not None:
                try:
                    await node.link.usable(min(deadline, loop.time() + PATIENCE_S), self._settings.write_timeout)
                    return node
                except StoreError as error:
                    last = error
                    self._start_watch()
                    deadline = min(deadline, node.link.waits_until)
            else:
                self._start_watch()
                deadline = min(deadline, self._uncovered_since + self._settings.dial_timeout)
            if loop.time() >= deadline:
                raise last
            await self._wait_for_refresh(deadline)
        raise StoreUnavailableError("the Redis store is closed")

    async def _wait_for_refresh(self, deadline: float) -> None:
        """Return when the slot map was read again, at the latest at `deadline` (loop time)."""
        time_left = deadline - asyncio.get_running_loop().time()
        await asyncio.wait((self._start_refresh(),), timeout=max(0, time_left))

    def _start_refresh(self) -> asyncio.Task[StoreError | None]:
        if self._refresh is None or self._refresh.done():
            self._refresh = asyncio.create_task(self._refresh_once())
        return self._refresh

    async def _refresh_once(self) -> StoreError | None:
        await asyncio.sleep(REFRESH_PAUSE_S)
        try:
            self._adopt(await self._reader.read(self._known))
        except StoreError as error:
            if str(error) != self._logged:
                self._logged = str(error)
                log.warning("the slots of the Redis Cluster are not known: %s", error)
            return error
        self._logged = ""
        return None

    def _start_watch(self) -> None:
        """Read the slot map again and again until all nodes take calls."""
        if (self._watch is None or self._watch.done()) and not self._is_closed:
            self._watch = asyncio.create_task(self._refresh_until_healthy())

    async def _refresh_until_healthy(self) -> None:
        while True:
            error = await self._start_refresh()
            nodes = {node for node in self._slots if node is not None}
            if (
                error is None
                and not self._failing
                and None not in self._slots
                and all(node.link.connection is not None for node in nodes)
            ):
                return
            await asyncio.sleep(TROUBLE_PAUSE_S)

    def _adopt(self, found: SlotMap) -> None:
        """Take over a new slot map, and close the connections to nodes that have no slots any more."""
        slots: list[Node | None] = [None] * SLOTS
        failing: set[Node] = set()
        for _, first, last, name, address in found.claims:
            if address is not None:
                node = self._node_at(address, self._slots[first])
                self._require(node, name, found)
                slots[first : last + 1] = [node] * (last + 1 - first)
                if name in found.failing:
                    failing.add(node)
        self._slots = slots
        self._spare = found.spare
        self._known = frozenset(claim.node for claim in found.claims)
        in_use = set(slots)
        for node, before in self._taken_over.items():
            if before in in_use:  # `before` still has other slots, so this was no failover
                node.replicas.after_move()
        self._taken_over.clear()
        now = asyncio.get_running_loop().time()
        self._uncovered_since = min(self._uncovered_since, now) if None in in_use else inf
        self._failing = {node: self._failing.get(node, now) for node in failing & in_use}
        for address, node in list(self._nodes.items()):
            if node not in in_use:
                del self._nodes[address]
                task = asyncio.create_task(self._retire(node))
                self._retiring.add(task)
                task.add_done_callback(self._retiring.discard)

    def _require(self, node: Node, name: str, found: SlotMap) -> None:
        """Set how many replicas a primary should have."""
        count = found.replicas.get(name, 0)
        if not count and found.has_lost_primary:  # the lost one may come back as a replica of this one
            count = 1
        node.replicas.require(count, found.places.get(name, frozenset()))

    async def _retire(self, node: Node) -> None:
        try:
            await asyncio.sleep(self._settings.read_timeout)  # its last answers may be on their way
        finally:
            await node.close()

    def _node_at(self, address: Address, before: Node | None = None) -> Node:
        """Return the node at an address. If it is new, it has taken slots over from `before`."""
        node = self._nodes.get(address)
        if node is None:
            dial = partial(self._connector.primary, address, 0, self._settings.dial_timeout)
            node = self._nodes[address] = Node(dial, self._settings, replicas_are_known=True)
            if before is not None:
                node.replicas.after_failover(asyncio.get_running_loop().time(), before.replicas)
                self._taken_over[node] = before
        return node


async def _check_node(node: Node) -> None:
    """Raise a StoreError unless a node answers and takes calls."""
    connection = await node.link.usable(0, 0)
    try:
        reply = await connection.send(pack("CLUSTER", "INFO"), 1)
    except ConnectionLostError as lost:
        raise StoreUnavailableError(str(lost)) from lost
    if isinstance(reply, bytes) and b"cluster_state:fail" in reply:
        raise StoreUnavailableError(f"{connection.name} says that {_DOWN}")
    if isinstance(reply, ReplyError):
        await answer_ping(node.link)


_DOWN: Final = "the Redis Cluster is down: the node of these keys does not reach the others, or hash slots have no node"


def _address(text: str, default_host: str) -> Address:
    host, _, port = text.rpartition(":")
    return Address(host.strip("[]") or default_host, int(port))
