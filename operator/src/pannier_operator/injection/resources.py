"""The CPU and memory that a sidecar requests and may use."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pannier_operator.objects.quantities import amount_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pannier_operator.injection.annotations import SidecarOptions
    from pannier_operator.objects import pod_kinds
    from pannier_operator.settings import SidecarSettings


def resources_of(options: SidecarOptions, settings: SidecarSettings) -> pod_kinds.Resources:
    """Return requests and limits. Annotations override defaults; a default never contradicts an annotation."""
    cpu = _bounds(options.cpu_request, options.cpu_limit, settings.cpu_request, settings.cpu_limit)
    memory = _bounds(options.memory_request, options.memory_limit, settings.memory_request, settings.memory_limit)
    resources: pod_kinds.Resources = {}
    if requests := _without_empty(cpu[0], memory[0]):
        resources["requests"] = requests
    if limits := _without_empty(cpu[1], memory[1]):
        resources["limits"] = limits
    return resources


def _without_empty(cpu: str, memory: str) -> dict[str, str]:
    return {resource: value for resource, value in (("cpu", cpu), ("memory", memory)) if value}


def contradictions(options: SidecarOptions) -> Iterator[str]:
    """Yield contradictions that the API server would refuse without naming the annotation."""
    for resource, request, limit in (
        ("cpu", options.cpu_request, options.cpu_limit),
        ("memory", options.memory_request, options.memory_limit),
    ):
        if request and limit and amount_of(request) > amount_of(limit):
            name = f"dapr.io/sidecar-{resource}"
            yield (
                f"annotation {name}-request: '{request}' is more than {name}-limit, '{limit}'; write a smaller request"
            )


def _bounds(request: str, limit: str, default_request: str, default_limit: str) -> tuple[str, str]:
    """Return a request and a limit. If only one is set, a contradicting default of the other is moved to it."""
    lower, upper = request or default_request, limit or default_limit
    if not lower or not upper or amount_of(lower) <= amount_of(upper):
        return lower, upper
    return (upper, upper) if limit and not request else (lower, lower)
