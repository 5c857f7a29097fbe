"""The calls about the sidecar itself: metadata, health, shutdown."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from ..runtime import NO_PLACEMENT
from ..state.errors import MalformedRequestError
from .encoding import NO_CONTENT, refusal
from .messages import JSON, Answer
from .paths import Operation

if TYPE_CHECKING:
    from ..runtime import Runtime
    from .messages import Call
    from .profiles import Profile

NEEDS_TOKEN = refusal(
    401,
    "ERR_API_TOKEN_NEEDED",
    "this needs the API token here; send what DAPR_API_TOKEN holds as dapr-api-token, or ask the port of the API",
)
_ASK_AGAIN = "ask again in a moment"


class SidecarCalls:
    """Answers these calls."""

    def __init__(self, runtime: Runtime, profile: Profile):
        self._runtime = runtime
        self._profile = profile

    def without_token(self, operation: Operation, call: Call) -> Answer:
        """Answer a caller who may learn only whether the sidecar is ready."""
        runtime = self._runtime
        if operation is Operation.METADATA:
            return NEEDS_TOKEN
        if operation is Operation.HEALTHZ_OUTBOUND:
            return self._outbound_health()
        query = call.query()
        if query.get("appid", runtime.app_id) != runtime.app_id:
            return refusal(500, "ERR_HEALTH_APPID_NOT_MATCH", "dapr app-id does not match")
        if "verbose" in query:
            answer = {"ready": runtime.is_loaded, "componentsVersion": runtime.components_version()}
            return _json(200 if runtime.is_loaded else 500, answer)
        return self._health()

    async def metadata(self, call: Call) -> Answer:
        return _json(200, describe(self._runtime))

    async def set_metadata(self, call: Call, attribute: str) -> Answer:
        try:
            self._runtime.attach(attribute, call.body.decode())
        except UnicodeDecodeError as error:
            raise MalformedRequestError(f"the value of {attribute} is not UTF-8", "send text") from error
        return NO_CONTENT

    async def healthz(self, call: Call) -> Answer:
        runtime = self._runtime
        query = call.query()
        if query.get("appid", runtime.app_id) != runtime.app_id:
            advice = f"this is the sidecar of app '{runtime.app_id}'"
            return self._refusal(500, "ERR_HEALTH_APPID_NOT_MATCH", "dapr app-id does not match", advice)
        if "verbose" in query:
            version = runtime.components_version()  # read first, so that the reported states are never older
            components = runtime.components() if runtime.ask is None else await runtime.ask()
            stores = {c.name: {"type": c.type, "state": c.state, "why": c.why} for c in components}
            answer = {"ready": runtime.is_loaded, "componentsVersion": version, "stores": stores}
            answer["resiliencies"] = {r.name: {"state": r.state, "why": r.why} for r in runtime.resiliencies()}
            if configurations := runtime.configurations():
                answer["configurations"] = {
                    c.name: {"state": c.state, "why": c.why, "generation": c.version} for c in configurations
                }
            return _json(200 if runtime.is_loaded else 500, answer)
        return self._health()

    def _health(self) -> Answer:
        if not self._runtime.is_loaded:
            return self._refusal(500, "ERR_HEALTH_NOT_READY", "dapr is not ready: [components]", _ASK_AGAIN)
        return NO_CONTENT

    async def healthz_outbound(self, call: Call) -> Answer:
        return self._outbound_health()

    def _outbound_health(self) -> Answer:
        if not self._runtime.is_loaded:
            return self._refusal(500, "ERR_OUTBOUND_HEALTH_NOT_READY", "dapr outbound is not ready", _ASK_AGAIN)
        return NO_CONTENT

    async def shutdown(self, call: Call) -> Answer:
        self._runtime.stop(call.headers.get(b"dapr-force-shutdown", b"").lower() == b"true")
        return NO_CONTENT

    def _refusal(self, status: int, code: str, message: str, advice: str) -> Answer:
        return refusal(status, code, message, advice, gives_advice=self._profile.gives_advice)


def _json(status: int, body: object) -> Answer:
    return Answer(status, msgspec.json.encode(body), JSON)


def describe(runtime: Runtime) -> dict[str, Any]:
    """Return the metadata of the sidecar in Dapr's format, with those of Dapr's fields that have a meaning here."""
    app = {"port": runtime.app_port or 0, "protocol": runtime.app_protocol, "channelAddress": "127.0.0.1"}
    resiliencies = [{"name": name} for name in runtime.resiliencies_in_effect()]
    return {
        "id": runtime.app_id,
        "runtimeVersion": runtime.version,
        **({"enabledFeatures": runtime.enabled_features} if runtime.enabled_features else {}),
        "components": runtime.described_components(),
        "extended": {"daprRuntimeVersion": runtime.version, **runtime.attributes},
        "appConnectionProperties": app,
        "actorRuntime": {"runtimeStatus": "DISABLED", "hostReady": False, "placement": NO_PLACEMENT},
        **({"resiliencies": resiliencies} if resiliencies else {}),
    }
