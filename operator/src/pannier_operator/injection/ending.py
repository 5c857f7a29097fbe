"""How long a sidecar goes on serving when its pod ends, so that the API is there until the app has gone."""

from __future__ import annotations

from math import ceil
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from pannier_operator.injection.plan import Injection

_GRACE: Final = 30
"""Seconds that Kubernetes gives a pod that says nothing else."""
_GRACEFUL: Final = 5
"""Seconds that a sidecar waits for calls in flight where it is told nothing else."""
_MARGIN: Final = 1
"""Seconds for the stores to be closed."""


def shutdown_block(pod: Mapping[str, Any], injection: Injection) -> float:
    """Seconds to go on serving after SIGTERM.

    A native sidecar gets its SIGTERM when the app's containers have ended, so it needs none. An ordinary container gets
    it together with the app; it serves on for a while, as far as the pod's grace period allows.
    """
    asked = injection.options.shutdown_block
    if asked is not None:
        return asked
    if injection.is_native:
        return 0.0
    return max(0.0, min(injection.settings.shutdown_block, _grace(pod) - _drain(injection)))


def too_long(pod: Mapping[str, Any], injection: Injection) -> Iterator[str]:
    """A warning where the kubelet would kill the sidecar in the middle of its end."""
    wanted = shutdown_block(pod, injection) + _drain(injection)
    if (injection.options.shutdown_block or injection.options.graceful_shutdown) and wanted > _grace(pod):
        yield (
            f"the sidecar may take {wanted:g} s to end (dapr.io/block-shutdown-duration, dapr.io/graceful-shutdown-"
            f"seconds) and is killed after {_grace(pod)} s; write terminationGracePeriodSeconds: {ceil(wanted)}"
        )


def _grace(pod: Mapping[str, Any]) -> int:
    given = (pod.get("spec") or {}).get("terminationGracePeriodSeconds")
    return _GRACE if given is None else int(given)


def _drain(injection: Injection) -> int:
    graceful = injection.options.graceful_shutdown
    return (_GRACEFUL if graceful is None else graceful) + _MARGIN
