"""All services of the gRPC port, joined."""

from __future__ import annotations

from typing import TYPE_CHECKING

from . import dapr, health, layotto, reflection
from .services import Services

if TYPE_CHECKING:
    from ..runtime import Runtime
    from ..state.service import StateService


def serve(service: StateService, runtime: Runtime, token: str | None) -> Services:
    """Return Dapr's service, Layotto's, health, and reflection."""
    named = {dapr.SERVICE: dapr.methods(service, runtime), layotto.SERVICE: layotto.methods(service)}
    named[health.SERVICE] = health.methods(runtime, [*named])
    return Services({**named, **dict.fromkeys(reflection.SERVICES, reflection.methods([*named]))}, token)
