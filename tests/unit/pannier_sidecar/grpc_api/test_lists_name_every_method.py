"""No method of gRPC is forgotten in the lists of a Configuration: what they do not name would always be allowed."""

from __future__ import annotations

from pannier_crds.api_lists import ApiLists, ApiRule
from pannier_sidecar.grpc_api.denied_methods import APIS, denied_methods
from pannier_sidecar.grpc_api.served import serve
from pannier_sidecar.http_api.operations import NAMES, denied_operations
from pannier_sidecar.http_api.paths import Operation, paths_of
from pannier_sidecar.http_api.profiles import PROFILES
from pannier_sidecar.observing.metrics import Unobserved
from pannier_sidecar.runtime import Runtime
from pannier_sidecar.state.directory import Directory
from pannier_sidecar.state.limits import Limits
from pannier_sidecar.state.service import StateService

ALWAYS_ALLOWED = ("/grpc.health.v1.Health/", "/grpc.reflection.", "/spec.proto.runtime.v1.Runtime/SayHello")
NOTHING = ApiLists(allowed=(ApiRule("conversation", "v1"),))


def test_every_method_belongs_to_an_api_or_is_always_allowed():
    services = serve(StateService(Directory("shop"), Unobserved(), Limits(1, 1, 1, 1)), Runtime("shop", "1"), None)
    served = {path.decode() for path in services._methods}
    assert served - denied_methods(NOTHING).keys() == {path for path in served if path.startswith(ALWAYS_ALLOWED)}
    assert APIS.keys() <= served


def test_every_operation_belongs_to_an_api_or_is_always_allowed():
    for profile in PROFILES.values():
        denied = denied_operations(paths_of(profile), NOTHING)
        allowed = {Operation.HEALTHZ, Operation.HEALTHZ_OUTBOUND, Operation.DOCUMENTATION}
        assert set(Operation) - denied.keys() == allowed
    assert NAMES.keys() == set(Operation)
