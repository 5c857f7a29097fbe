"""The handlers that kopf calls: watch events enqueue namespaces, new pods get verdicts. Nothing is decided here.

The id of the webhook is its URL path, which the chart's webhook configuration names. No other kind of handler is used:
those would write finalizers and annotations into users' objects.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import kopf

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pannier_operator.controller.control_plane import ControlPlane

REFUSED = 422
registry = kopf.get_default_registry()


@kopf.on.event("dapr.io", "v1alpha1", "components", id="components-seen")
@kopf.on.event("dapr.io", "v1alpha1", "resiliencies", id="resiliencies-seen")
@kopf.on.event("dapr.io", "v1alpha1", "configurations", id="configurations-seen")
@kopf.on.event("", "v1", "pods", id="pods-seen")
@kopf.on.event("", "v1", "secrets", id="secrets-seen")
async def enqueue(event: Mapping[str, Any], resource: kopf.Resource, memo: ControlPlane, **_: Any) -> None:
    memo.observe(resource.plural, event["type"] == "DELETED", event["object"])


@kopf.on.mutate("", "v1", "pods", id="pods", operations={"CREATE"})
async def inject_sidecar(
    body: kopf.Body, namespace: str | None, patch: kopf.Patch, warnings: list[str], memo: ControlPlane, **_: Any
) -> None:
    with memo.reviews.timed("pods"):
        verdict = await memo.reviews.mutate_pod(_object_in(body), namespace or "")
    warnings.extend(verdict.warnings)
    if not verdict.is_admitted:
        raise kopf.AdmissionError(verdict.refusal, code=REFUSED)

    patch.fns.append(partial(_become, verdict.pod))


def _object_in(body: Mapping[str, Any] | None) -> Any:
    """Return the object of a request, which kopf gives as a view. `objects.kinds` says what it holds."""
    return None if body is None else dict(body)


def _become(wanted: Mapping[str, Any], pod: Any) -> None:
    pod.update(wanted)
