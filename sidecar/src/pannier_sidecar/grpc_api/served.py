"""Joins all services of the gRPC port."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..runtime import not_counted
from . import dapr, health, layotto, own_state, reflection
from .services import Services
from .status import failure, failure_in_daprs_words

if TYPE_CHECKING:
    from collections.abc import Callable

    from ..runtime import Runtime
    from ..state.errors import StateError
    from ..state.service import StateService
    from .status import StatusError


def serve(
    service: StateService,
    runtime: Runtime,
    token: str | None,
    on_error: Callable[[StateError], None] = not_counted,
    *,
    is_exact: bool = False,
) -> Services:
    """Return Dapr's service (exactly as in Dapr 1.18 with `is_exact`), Layotto's, Pannier's own, health,
    and reflection.

    `on_error` is called with each error that a call of Dapr's service or of Pannier's own is answered with.
    """

    def error_mapper(error: StateError) -> StatusError:
        on_error(error)
        return (failure_in_daprs_words if is_exact else failure)(error)

    named = {
        dapr.SERVICE: dapr.methods(service, runtime, on_error, is_exact=is_exact),
        layotto.SERVICE: layotto.methods(service),
        own_state.SERVICE: own_state.methods(service, on_error, is_exact=is_exact),
    }
    named[health.SERVICE] = health.methods(runtime, [*named])
    return Services({**named, **dict.fromkeys(reflection.SERVICES, reflection.methods([*named]))}, token, error_mapper)
