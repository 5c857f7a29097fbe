"""A Redis Cluster: every key has a hash slot, and every slot a node (Redis Cluster specification)."""

from __future__ import annotations

import asyncio
import logging
from functools import partial
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from hiredis import ReplyError

from pannier_sidecar.state.errors import NotSupported, StoreFault, StoreRefused, StoreUnavailable

from . import faults
from .servers import Node, Servers, answer_ping
from .settings import Address
from .slots import SLOTS, slot_of
from .wire import pack, unpack

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from .connection import Connection
    from .dialling import Dialler
    from .servers import Request
    from .settings import RedisSettings

log = logging.getLogger(__name__)

PATIENCE_S: Final = 0.2
"""A node that has no connection for so long may have been replaced: the Cluster is asked."""
REFRESH_PAUSE_S: Final = 0.1
"""Between two times that it is asked."""


class _Range(NamedTuple):
    """A row of slots that one node has."""

    first: int
    last: int
    address: Address | None
    """None: it has told nobody yet."""
    replicas: int


class Cluster(Servers):
    """The primaries of a Cluster, each with a connection of its own."""

    def __init__(self, settings: RedisSettings, dialler: Dialler):
        super().__init__(settings)
        self._dialler = dialler
        self._nodes: dict[Address, Node] = {}
        self._slots: list[Node | None] = [None] * SLOTS
        self._refresh: asyncio.Task[StoreFault | None] | None = None
        self._retiring: set[asyncio.Task[None]] = set()
        self._is_closed = False

    async def open(self) -> None:
        self._take(await self._ask_for_slots())
        results = await asyncio.gather(*(node.link.open() for node in self._nodes.values()), return_exceptions=True)
        for result in results:
            if result is not None:
                raise result

    async def close(self) -> None:
        self._is_closed = True
        if self._refresh is not None:
            self._refresh.cancel()
            await asyncio.wait((self._refresh,))
        for task in self._retiring:
            task.cancel()
        await asyncio.gather(*(node.close() for node in self._nodes.values()))
        await asyncio.gather(*self._retiring, return_exceptions=True)

    async def ping(self) -> None:
        for node in set(self._slots):
            if node is not None:
                await answer_ping(node.link)

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
                raise NotSupported(
                    f"keys {names} lie in different hash slots of the Redis Cluster, so no transaction holds both; "
                    "give the keys a part in braces that they share, like {order-1}|items and {order-1}|total"
                )

    async def node(self, key: bytes, deadline: float) -> Node:
        return await self._reachable(slot_of(key), deadline)

    async def owner(self, slot: int, deadline: float) -> tuple[Node, int]:
        node = await self._reachable(slot, deadline)
        last = slot
        while last + 1 < SLOTS and self._slots[last + 1] is node:
            last += 1
        return node, last

    async def redirect(self, request: Request, error: ReplyError, deadline: float) -> Any | None:
        kind, *place = str(error).split()
        if kind == "CLUSTERDOWN" or len(place) != 2:
            await self._refreshed(deadline)
            return None
        slot, address = int(place[0]), _address(place[1], self._settings.addresses[0].host)
        if kind == "ASK":
            return await self._ask_once(self._node_at(address), request, deadline)
        self._slots[slot] = self._node_at(address, self._slots[slot])
        self._start_refresh()
        return None

    async def _ask_once(self, node: Node, request: Request, deadline: float) -> Any:
        """Return the answer of a node that is about to get the slot of the request's key."""
        commands = [pack("ASKING") + pack(*command) for command in unpack(request.payload)]
        payload = b"".join(commands)
        if request.is_strong:
            return await node.strong.write(payload, deadline, 2)
        connection = await node.link.usable(deadline, self._settings.write_timeout)
        replies = (await connection.send(payload, 2 * len(commands)))[1::2]
        return replies if len(replies) > 1 else replies[0]

    # --- who has which slots --------------------------------------------------------------------------------------

    async def _reachable(self, slot: int, deadline: float) -> Node:
        """Return the node that has a slot, once it takes calls. Raises a StoreFault at `deadline`."""
        loop = asyncio.get_running_loop()
        while not self._is_closed:
            node = self._slots[slot]
            fault: StoreFault = StoreUnavailable(f"no node of the Redis Cluster has hash slot {slot}")
            if node is not None:
                try:
                    await node.link.usable(min(deadline, loop.time() + PATIENCE_S), self._settings.write_timeout)
                    return node
                except StoreFault as error:
                    fault = error
            if loop.time() >= deadline:
                raise fault
            await self._refreshed(deadline)
        raise StoreUnavailable("the Redis store is closed")

    async def _refreshed(self, deadline: float) -> None:
        """Return when the Cluster has been asked anew, or could not be by `deadline` (loop time)."""
        time_left = deadline - asyncio.get_running_loop().time()
        await asyncio.wait((self._start_refresh(),), timeout=max(0, time_left))

    def _start_refresh(self) -> asyncio.Task[StoreFault | None]:
        if self._refresh is None or self._refresh.done():
            self._refresh = asyncio.create_task(self._ask_anew())
        return self._refresh

    async def _ask_anew(self) -> StoreFault | None:
        await asyncio.sleep(REFRESH_PAUSE_S)
        try:
            self._take(await self._ask_for_slots())
        except StoreFault as fault:
            log.warning("the slots of the Redis Cluster are not known: %s", fault)
            return fault
        return None

    async def _ask_for_slots(self) -> list[_Range]:
        """Return what the first node that answers says of the slots."""
        addresses = list(dict.fromkeys((*self._nodes, *self._settings.addresses)))
        told = []
        for address in addresses:
            try:
                connection, (slots,) = await self._dialler.connect(
                    address,
                    self._settings.credentials,
                    ("CLUSTER", "SLOTS"),
                    patience=self._settings.dial_timeout / (len(addresses) + 1),
                )
            except StoreRefused:
                raise
            except StoreFault as fault:
                told.append(str(fault))
                continue
            connection.abort("asked")
            if isinstance(slots, ReplyError):
                raise _no_cluster(slots, address)
            return [
                _Range(first, last, _node_address(primary, address), len(replicas))
                for first, last, primary, *replicas in slots
            ]
        raise StoreUnavailable(f"no node of the Redis Cluster answers: {'; '.join(told)}")

    def _take(self, ranges: Iterable[_Range]) -> None:
        """Replace what is known."""
        slots: list[Node | None] = [None] * SLOTS
        for first, last, address, replicas in ranges:
            if address is not None:
                node = self._node_at(address, self._slots[first])
                node.replicas.require(replicas)
                slots[first : last + 1] = [node] * (last + 1 - first)
        self._slots = slots
        in_use = set(slots)
        for address, node in list(self._nodes.items()):
            if node not in in_use:
                del self._nodes[address]
                task = asyncio.create_task(self._retire(node))
                self._retiring.add(task)
                task.add_done_callback(self._retiring.discard)

    async def _retire(self, node: Node) -> None:
        try:
            await asyncio.sleep(self._settings.read_timeout)  # its last answers may be on their way
        finally:
            await node.close()

    def _node_at(self, address: Address, before: Node | None = None) -> Node:
        """Return the node at an address; one that is new there has taken slots over from the one `before` it."""
        node = self._nodes.get(address)
        if node is None:
            dial = partial(self._dialler.primary, address, 0, self._settings.dial_timeout)
            node = self._nodes[address] = Node(dial, self._settings)
            if before is not None:
                node.replicas.after_failover(asyncio.get_running_loop().time(), before.replicas)
        return node


def _no_cluster(error: ReplyError, address: Address) -> StoreFault:
    if "cluster support disabled" in str(error):
        return StoreRefused(f"redisType is cluster, but Redis at {address} is a single node; write redisType: node")
    return faults.from_reply(error, f"Redis at {address} does not tell who has which slots")


def _node_address(node: Sequence[Any], asked: Address) -> Address | None:
    """Return a node's address; a node that does not know its own host is the one that was asked."""
    host = node[0].decode() if node[0] else asked.host
    return None if host == "?" else Address(host, int(node[1]))


def _address(text: str, default_host: str) -> Address:
    host, _, port = text.rpartition(":")
    return Address(host.strip("[]") or default_host, int(port))
