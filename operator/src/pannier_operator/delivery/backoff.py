"""When an app's Secret may be written again: after a refusal, after another party has changed it back, or in a burst of
changes. Pure.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Collection

    from pannier_operator.delivery.refusals import Refusal

Key = tuple[str, str]
"""Namespace and app id."""

_AFTER_REFUSAL: Final = (2.0, 4.0, 8.0, 16.0, 32.0, 60.0)
_AFTER_WRITE: Final = (0.0, 0.0, 0.0, 2.0, 4.0, 8.0, 16.0, 30.0)
"""Seconds until the same content may be written again: another party may change it back each time."""
_BURST: Final = 3.0
_INTERVAL: Final = 1.0
"""How many writes may follow each other at once, and the seconds between writes after such a burst. A Secret that is
referred to may change many times in a second, and each write makes the kubelets and sidecars of all pods read
everything again.
"""
_CALM: Final = 2 * max(_AFTER_REFUSAL + _AFTER_WRITE)
"""Seconds after which earlier attempts no longer count; longer than any pause, so that a pause does not reset them."""


class _Attempt(NamedTuple):
    wanted: str
    seen: str
    tries: int
    at: float
    refusal: Refusal | None


class Attempts:
    """The latest attempt to write each app's Secret."""

    def __init__(self) -> None:
        self._latest: dict[Key, _Attempt] = {}
        self._allowances: dict[Key, tuple[float, float]] = {}
        """How many more writes the burst allowed after the latest one, and when the latest one was."""

    def pause(self, key: Key, wanted: str, seen: str, now: float) -> float:
        """Return the seconds until the Secret may be written; 0 for now.

        `wanted` identifies the content to write, `seen` the version that exists. If either has changed since a refusal,
        there is no need to wait, except after a burst.
        """
        of_burst = max(0.0, (1.0 - self._allowance(key, now)) * _INTERVAL)
        latest = self._latest.get(key)
        if latest is None or latest.wanted != wanted or (latest.refusal is not None and latest.seen != seen):
            return of_burst
        pauses = _AFTER_WRITE if latest.refusal is None else _AFTER_REFUSAL
        return max(of_burst, latest.at + pauses[min(latest.tries, len(pauses)) - 1] - now)

    def _allowance(self, key: Key, now: float) -> float:
        left, at = self._allowances.get(key, (_BURST, now))
        return min(_BURST, left + (now - at) / _INTERVAL)

    def record(self, key: Key, wanted: str, seen: str, refusal: Refusal | None, now: float) -> None:
        """Record an attempt, which was refused if there is a refusal."""
        latest = self._latest.get(key)
        is_another = latest is None or latest.wanted != wanted or now - latest.at > _CALM
        tries = 1 if latest is None or is_another else latest.tries + 1
        self._latest[key] = _Attempt(wanted, seen, tries, now, refusal)
        self._allowances[key] = (self._allowance(key, now) - 1.0, now)

    def is_repeated(self, key: Key) -> bool:
        """Return whether the latest attempt repeated an earlier one."""
        return key in self._latest and self._latest[key].tries > 1

    def refusal(self, key: Key) -> Refusal | None:
        """Return the refusal of the latest attempt."""
        return self._latest[key].refusal if key in self._latest else None

    def retain(self, namespace: str, apps: Collection[str]) -> None:
        """Forget the namespace's other apps."""
        for key in [key for key in self._latest if key[0] == namespace and key[1] not in apps]:
            del self._latest[key], self._allowances[key]
