"""Asks the nodes of a Cluster which of them has which slots, and waits only briefly for nodes that do not answer."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

from hiredis import ReplyError

from pannier_sidecar.network.pipeline import ConnectionLostError
from pannier_sidecar.state.errors import StoreError, StoreRefusedError, StoreUnavailableError

from . import errors, slot_map
from .resp import pack

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from .client import Node
    from .connecting import Connector
    from .settings import Address, RedisSettings
    from .slot_map import SlotMap, View

STRAGGLERS_S: Final = 0.2
"""How long to wait for the other nodes when most have answered: they may be unreachable."""
QUERIES: Final = (("CLUSTER", "INFO"), ("CLUSTER", "NODES"), ("CLUSTER", "SLOTS"))


class SlotMapReader:
    """Reads the slot map of a Cluster, over the connections that are there."""

    def __init__(self, settings: RedisSettings, connector: Connector, nodes: Mapping[Address, Node]):
        """`nodes` are the known nodes. The mapping is not copied, so later changes to it count."""
        self._settings = settings
        self._connector = connector
        self._nodes = nodes

    async def read(self, known: frozenset[str]) -> SlotMap:
        """Return the slot map, merged from the nodes' answers; `known` had slots before. Raises a StoreError if none
        answers.
        """
        views: list[View] = []
        reasons: list[str] = []
        queried: list[Address] = []
        addresses = list(dict.fromkeys((*self._settings.addresses, *self._nodes)))
        while addresses:  # the nodes that are known may know of others
            queried += addresses
            await self._read_views(addresses, views, reasons)
            addresses = slot_map.not_queried(views, queried)
        if not views:
            raise StoreUnavailableError(f"no node of the Redis Cluster answers: {'; '.join(reasons)}")
        return slot_map.merged(views, known)

    async def _read_views(self, addresses: Sequence[Address], views: list[View], reasons: list[str]) -> None:
        """Query the nodes all at once; when most have answered, wait only briefly for the others."""
        left = {asyncio.create_task(self._read_view(address)) for address in addresses}
        timeout = None
        try:
            while left:
                done, left = await asyncio.wait(left, timeout=timeout, return_when=asyncio.FIRST_COMPLETED)
                if not done:
                    return
                for task in done:
                    answer = task.result()
                    if isinstance(answer, StoreError):
                        reasons.append(str(answer))
                    else:
                        views.append(answer)
                if any(view.serves for view in views) and 2 * len(left) < len(addresses):
                    timeout = STRAGGLERS_S
        finally:
            for task in left:
                task.cancel()
            if left:
                await asyncio.wait(left)

    async def _read_view(self, address: Address) -> View | StoreError:
        """Return a node's view of the Cluster, or why there is none. Raises StoreRefusedError."""
        patience = self._settings.dial_timeout / 2
        node = self._nodes.get(address)
        connection = None if node is None else node.link.connection
        try:
            if connection is not None:
                payload = b"".join([pack(*query) for query in QUERIES])
                async with asyncio.timeout(patience):
                    replies = await connection.send(payload, len(QUERIES))
            else:
                connection, replies = await self._connector.sign_in(address, *QUERIES, patience=patience)
                connection.abort("the query is answered")
        except StoreRefusedError:
            raise
        except StoreError as error:
            return error
        except ConnectionLostError as lost:
            return StoreUnavailableError(str(lost))
        except TimeoutError:
            return StoreUnavailableError(f"Redis at {address} did not answer within {patience:g} s")
        about, nodes, slots = replies
        if isinstance(slots, ReplyError):
            refusal = _not_a_cluster(slots, address)
            if isinstance(refusal, StoreRefusedError):
                raise refusal
            return refusal
        return slot_map.view_from(address, about, nodes, slots)


def _not_a_cluster(error: ReplyError, address: Address) -> StoreError:
    if "cluster support disabled" in str(error):
        return StoreRefusedError(
            f"redisType is cluster, but Redis at {address} is a single node; write redisType: node"
        )
    return errors.translate(error, f"Redis at {address} does not report which node has which slots")
