"""Has the store of a component keep large values in parts, if the component asks for that; others import nothing."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from pannier_crds.catalogue.large_values import LARGE_VALUES, MAX_SIZE, parse_max_size, part_size
from pannier_sidecar.network.jitter import uniform
from pannier_sidecar.state.errors import StoreRefusedError
from pannier_sidecar.state.store import Feature

if TYPE_CHECKING:
    from collections.abc import Callable

    from pannier_sidecar.loading.plans import DesiredStore
    from pannier_sidecar.state.store import Store


def keeps_parts(desired: DesiredStore) -> bool:
    """Return whether a component asks for values in parts."""
    return desired.settings.get(LARGE_VALUES) is True


def in_parts(desired: DesiredStore, around: Callable[[Store], Store]) -> Callable[[Store], Store]:
    """Return what puts both `around` and, if the component asks for it, parts around the component's store."""
    if not keeps_parts(desired):
        return around
    from pannier_sidecar.large_values.layout import Keys
    from pannier_sidecar.large_values.part_store import PartStore, Sizes

    keys = Keys(desired.keys.prefix)
    largest = parse_max_size(str(desired.settings[MAX_SIZE]))
    limits = desired.limits
    sizes = Sizes(part_size(desired.type, desired.settings), largest, limits.max_body_size, limits.largest_answer)
    return lambda store: PartStore(around(store), keys, sizes)


def require_lists(desired: DesiredStore, store: Store) -> None:
    """Raise StoreRefusedError if the component asks for parts and its store, which is open, could never find them."""
    if keeps_parts(desired) and not {Feature.KEYS_LIKE, Feature.ETAG} <= store.features:
        raise StoreRefusedError(
            f"{LARGE_VALUES} needs ETags and a list of keys, which the store does not have; take {LARGE_VALUES} out of "
            "the component"
        )


def begin_to_sweep(name: str, store: Callable[[], Store]) -> asyncio.Task[None]:
    """Begin to remove unused parts of the store that `store` returns, until the task is cancelled."""
    from pannier_sidecar.large_values.sweeping import sweep_regularly

    return asyncio.create_task(sweep_regularly(store, name, uniform), name=f"sweep {name}")
