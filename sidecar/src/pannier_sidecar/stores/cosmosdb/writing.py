"""Carries out one write as a request with its precondition, and several writes to one partition as a batch."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final, NoReturn

from azure.core import MatchConditions
from azure.cosmos.exceptions import (
    CosmosAccessConditionFailedError,
    CosmosBatchOperationError,
    CosmosHttpResponseError,
    CosmosResourceExistsError,
    CosmosResourceNotFoundError,
)

from pannier_sidecar.state.errors import InvalidETagError, NotSupportedError
from pannier_sidecar.state.preconditions import absent_or_changed
from pannier_sidecar.state.requests import Set

from .errors import REFUSED_WRITES, NotUnderstoodError, is_absent
from .layout import checked_item, id_of, item_of, partition_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from pannier_sidecar.state.requests import Delete, Write

    from .client import Client

    Step = tuple[str, tuple[Any, ...], dict[str, Any]]
    """One operation of a batch: its name and its arguments."""

MAX_STEPS: Final = 100
"""Operations that Cosmos DB takes in one batch."""
_ETAG: Final = re.compile(r"(?!\*\Z)[!-+\--~]{1,256}")
"""What can be an ETag in a header: no list, no blanks, and not `*`, which matches any ETag."""


async def carry_out(client: Client, write: Write) -> None:
    """Carry out one write.

    Raises ETagMismatchError, InvalidETagError, StoreRefusedError, NotSupportedError and the client's errors.
    """
    guard = _guard(write)
    try:
        if isinstance(write, Set):
            await _set(client, write, guard)
        else:
            await _delete(client, write, guard)
    except (CosmosAccessConditionFailedError, CosmosResourceExistsError) as error:
        raise absent_or_changed(write) from error
    except CosmosResourceNotFoundError as error:
        if write.if_match is not None and is_absent(error):
            raise absent_or_changed(write) from error
        if isinstance(write, Set) or not is_absent(error):
            raise


async def carry_out_together(client: Client, writes: Sequence[Write]) -> None:
    """Carry out writes to distinct keys, all or none; raises as `carry_out` does."""
    partition = _one_partition(writes)
    steps = [(write, step) for write in writes for step in _steps(client, write)]
    if len(steps) > MAX_STEPS:
        raise NotSupportedError(
            f"the transaction takes {len(steps)} operations of Cosmos DB, which has {MAX_STEPS} at most; a delete "
            "without an ETag counts as two: make it smaller"
        )
    try:
        done = await client.container.execute_item_batch([step for _, step in steps], partition_key=partition)
    except CosmosBatchOperationError as error:
        _raise_error_of(error, [write for write, _ in steps])
    if len(done) != len(steps):
        raise NotUnderstoodError


async def _set(client: Client, write: Set, guard: dict[str, Any]) -> None:
    item = item_of(write, client.default_ttl)
    if write.if_absent:
        written = await client.container.create_item(item)
    elif guard:
        written = await client.container.replace_item(item["id"], item, **guard)
    else:
        written = await client.container.upsert_item(item)
    checked_item(written)


async def _delete(client: Client, write: Delete, guard: dict[str, Any]) -> None:
    if write.if_absent:
        await client.container.read_item(id_of(write.key), partition_of(write))
        raise absent_or_changed(write)
    await client.container.delete_item(id_of(write.key), partition_of(write), **guard)


def _guard(write: Write) -> dict[str, Any]:
    if write.if_match is None:
        return {}
    if _ETAG.fullmatch(write.if_match) is None:
        raise InvalidETagError(f"{write.if_match!r} is no ETag that Cosmos DB gave key {write.key}; read it again")
    return {"etag": write.if_match, "match_condition": MatchConditions.IfNotModified}


def _steps(client: Client, write: Write) -> Iterator[Step]:
    """Yield the operations of a batch; a delete that must not fail on an absent key writes the key first."""
    guard = {"if_match_etag": write.if_match} if _guard(write) else {}
    if isinstance(write, Set):
        item = item_of(write, client.default_ttl)
        if write.if_absent:
            yield "create", (item,), {}
        elif guard:
            yield "replace", (item["id"], item), guard
        else:
            yield "upsert", (item,), {}
        return
    if not guard:
        item = item_of(Set(write.key, b"", metadata=write.metadata), None)
        yield "create" if write.if_absent else "upsert", (item,), {}
    yield "delete", (id_of(write.key),), guard


def _one_partition(writes: Sequence[Write]) -> str:
    partitions = {partition_of(write) for write in writes}
    if len(partitions) > 1:
        raise NotSupportedError(
            "the keys of one transaction must lie in one partition of Cosmos DB; give the request the metadata "
            "partitionKey, and the same one to every call that reads or writes these keys"
        )
    return partitions.pop()


def _raise_error_of(error: CosmosBatchOperationError, writes: Sequence[Write]) -> NoReturn:
    status = error.status_code
    if status in REFUSED_WRITES and error.error_index is not None:
        raise absent_or_changed(writes[error.error_index]) from error
    raise CosmosHttpResponseError(status, error.message) from error  # type: ignore[no-untyped-call]
