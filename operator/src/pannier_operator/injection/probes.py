"""The kubelet's probes of a sidecar. All get its health from the public port.

That health is about the process: if a database is down its own calls fail, and no pod is restarted or taken out of
Services.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from pannier_operator.injection.annotations import ProbeOptions
from pannier_operator.injection.plan import PUBLIC_PORT

if TYPE_CHECKING:
    from pannier_operator.injection.annotations import SidecarOptions
    from pannier_operator.objects import pod_kinds


class _Timing(NamedTuple):
    """Seconds, and failures until the probe has failed."""

    delay: int
    timeout: int
    period: int
    threshold: int


_STARTUP: Final = _Timing(delay=1, timeout=3, period=1, threshold=60)
"""Every second, since the app waits for it, and for a minute, since nodes may be busy.

The first probe comes after a second. Otherwise it would come before the process listens, and each start would cause a
Warning Event.
"""
_READINESS: Final = _Timing(delay=0, timeout=3, period=5, threshold=3)
"""It begins after the startup probe has succeeded, so it needs neither a delay nor Dapr's period of one second."""
_LIVENESS: Final = _Timing(delay=0, timeout=3, period=10, threshold=5)
"""Dapr's, without its delay of three minutes, which the startup probe replaces. It fails after 50 seconds without an
answer.
"""


def probes_of(options: SidecarOptions) -> pod_kinds.Probes:
    return {
        "startupProbe": _probe(ProbeOptions(), _STARTUP),
        "readinessProbe": _probe(options.readiness, _READINESS),
        "livenessProbe": _probe(options.liveness, _LIVENESS),
    }


def _probe(asked: ProbeOptions, default: _Timing) -> pod_kinds.Probe:
    return {
        "httpGet": {"path": "/v1.0/healthz", "port": PUBLIC_PORT},
        "initialDelaySeconds": default.delay if asked.delay is None else asked.delay,
        "timeoutSeconds": asked.timeout or default.timeout,
        "periodSeconds": asked.period or default.period,
        "failureThreshold": asked.threshold or default.threshold,
    }
