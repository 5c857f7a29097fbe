"""How long a sidecar goes on serving when its pod is terminated, so that the API stays until the app has ended."""

from __future__ import annotations

from math import ceil
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pannier_operator.injection.plan import Injection
    from pannier_operator.objects import pod_kinds

_GRACE: Final = 30
"""Kubernetes' default for terminationGracePeriodSeconds."""
_GRACEFUL: Final = 5
"""The sidecar's default for the seconds that it waits for calls in flight."""
_MARGIN: Final = 1
"""Seconds for the stores to be closed."""


def shutdown_block(pod: pod_kinds.Pod, injection: Injection) -> float:
    """Return the seconds to go on serving after SIGTERM.

    A native sidecar gets SIGTERM after the app's containers have ended, so it needs no such time. An ordinary container
    gets SIGTERM at the same moment as the app, and goes on serving for a while, within the pod's grace period.
    """
    asked = injection.options.shutdown_block
    if asked is not None:
        return asked
    if injection.is_native:
        return 0.0
    return max(0.0, min(injection.settings.shutdown_block, _grace(pod) - _drain(injection)))


def too_long(pod: pod_kinds.Pod, injection: Injection) -> Iterator[str]:
    """Yield a warning if the kubelet would kill the sidecar before it has ended."""
    wanted = shutdown_block(pod, injection) + _drain(injection)
    if (injection.options.shutdown_block or injection.options.graceful_shutdown) and wanted > _grace(pod):
        yield (
            f"the sidecar may take {wanted:g} s to end (dapr.io/block-shutdown-duration, dapr.io/graceful-shutdown-"
            f"seconds) and is killed after {_grace(pod)} s; write terminationGracePeriodSeconds: {ceil(wanted)}"
        )


def _grace(pod: pod_kinds.Pod) -> int:
    given = (pod.get("spec") or {}).get("terminationGracePeriodSeconds")
    return _GRACE if given is None else int(given)


def _drain(injection: Injection) -> int:
    graceful = injection.options.graceful_shutdown
    return (_GRACEFUL if graceful is None else graceful) + _MARGIN
