"""Which missed pods may be evicted: those that a controller replaces, at a limited rate. Pure."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Final

from pannier_operator.objects.app_ids import owner_kind_of

if TYPE_CHECKING:
    from pannier_operator.objects import pod_kinds

_MINUTE: Final = 60.0
_NOT_RECREATED: Final = ("", "Node")
"""Kinds of owner: none, and the kubelet's own static pods."""


class EvictionRate:
    """A limit of evictions in any minute."""

    def __init__(self, maximum: int):
        self._maximum = maximum
        self._times: deque[float] = deque()

    def allows(self, now: float) -> bool:
        """Return whether one more eviction is allowed at `now`, in seconds of any monotonic clock."""
        while self._times and now - self._times[0] >= _MINUTE:
            self._times.popleft()
        return len(self._times) < self._maximum

    def record(self, now: float) -> None:
        self._times.append(now)


def is_recreated(pod: pod_kinds.Pod) -> bool:
    """Return whether the pod has a controller that replaces it. Without one it would be lost."""
    return owner_kind_of(pod) not in _NOT_RECREATED
