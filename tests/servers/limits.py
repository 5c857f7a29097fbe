"""The sidecar's default limits, except for those that a test sets."""

from typing import Any

from msgspec.structs import replace

from pannier_sidecar.grpc_api.limits import Limits as GrpcLimits
from pannier_sidecar.http_api.limits import Limits as HttpLimits
from pannier_sidecar.serving import Budget
from pannier_sidecar.settings import LimitSettings
from pannier_sidecar.state.limits import Limits as StateLimits

DEFAULTS = LimitSettings()


def http_limits(**given: Any) -> HttpLimits:
    limits = HttpLimits(body=DEFAULTS.max_body_size, header_section=DEFAULTS.read_buffer_size)
    return replace(limits, **given)


def grpc_limits(**given: Any) -> GrpcLimits:
    limits = GrpcLimits(message=DEFAULTS.max_body_size, header_list=DEFAULTS.read_buffer_size)
    return replace(limits, **given)


def state_limits(**given: Any) -> StateLimits:
    limits = StateLimits(
        answer=DEFAULTS.largest_answer,
        items=DEFAULTS.max_request_items,
        items_together=DEFAULTS.items_together,
        cursor=DEFAULTS.max_cursor_length,
    )
    return replace(limits, **given)


def budget() -> Budget:
    return Budget(DEFAULTS.all_bodies)
