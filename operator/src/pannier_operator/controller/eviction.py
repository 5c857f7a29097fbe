"""Which pods that miss their sidecar may be evicted: those that somebody makes anew, and so many in a minute. Pure."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Any, Final

from pannier_operator.objects.app_ids import owner_kind_of

if TYPE_CHECKING:
    from collections.abc import Mapping

_MINUTE: Final = 60.0
_NOT_RECREATED: Final = ("", "Node")
"""Kinds of owner: none, and the kubelet's own static pods."""


class EvictionRate:
    """So many evictions in any minute."""

    def __init__(self, maximum: int):
        self._maximum = maximum
        self._times: deque[float] = deque()

    def allows(self, now: float) -> bool:
        """Whether one more is allowed at this time (seconds of any steady clock)."""
        while self._times and now - self._times[0] >= _MINUTE:
            self._times.popleft()
        return len(self._times) < self._maximum

    def note(self, now: float) -> None:
        self._times.append(now)


def is_recreated(pod: Mapping[str, Any]) -> bool:
    """Whether the pod has an owner that replaces it. A pod of nobody's would be lost."""
    return owner_kind_of(pod) not in _NOT_RECREATED
