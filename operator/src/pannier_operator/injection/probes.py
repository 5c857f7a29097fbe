"""How the kubelet sees that a sidecar is up, and that it lives. All ask the public port for the sidecar's health.

That health is about the process: a database that is down makes its own calls fail, and restarts or hides no pod.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from pannier_operator.injection.annotations import ProbeOptions
from pannier_operator.injection.plan import PUBLIC_PORT

if TYPE_CHECKING:
    from pannier_operator.injection.annotations import SidecarOptions

_STARTUP: Final = ProbeOptions(delay=1, timeout=3, period=1, threshold=60)
"""Each second, since the app waits for it; a minute, for nodes that are busy. The first one after a second: the kubelet
would ask at once otherwise, before the process listens, and write a Warning Event at every start."""
_READINESS: Final = ProbeOptions(delay=0, timeout=3, period=5, threshold=3)
"""It begins when the startup probe has succeeded, so it needs neither a delay nor Dapr's call each second."""
_LIVENESS: Final = ProbeOptions(delay=0, timeout=3, period=10, threshold=5)
"""Dapr's, without its delay of three minutes: the startup probe stands for that. 50 seconds without an answer."""


def probes_of(options: SidecarOptions) -> dict[str, Any]:
    return {
        "startupProbe": _probe(ProbeOptions(), _STARTUP),
        "readinessProbe": _probe(options.readiness, _READINESS),
        "livenessProbe": _probe(options.liveness, _LIVENESS),
    }


def _probe(asked: ProbeOptions, default: ProbeOptions) -> dict[str, Any]:
    return {
        "httpGet": {"path": "/v1.0/healthz", "port": PUBLIC_PORT},
        "initialDelaySeconds": default.delay if asked.delay is None else asked.delay,
        "timeoutSeconds": asked.timeout or default.timeout,
        "periodSeconds": asked.period or default.period,
        "failureThreshold": asked.threshold or default.threshold,
    }
