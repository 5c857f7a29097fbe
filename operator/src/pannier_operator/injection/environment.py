"""The environment variables of the sidecar, and those that let an app find its sidecar."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pannier_crds.folder import INDEX_REQUIRED, INDEX_VARIABLE
from pannier_operator.injection.plan import HTTP_PORT, OWN_VARIABLES

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pannier_operator.injection.annotation_values import Variable
    from pannier_operator.injection.annotations import SidecarOptions
    from pannier_operator.objects import pod_kinds


def sidecar_environment(options: SidecarOptions) -> list[pod_kinds.EnvVar]:
    """Return the sidecar's variables: its place, the token that callers must send, and what annotations add."""
    environment: list[pod_kinds.EnvVar] = [
        {"name": "NAMESPACE", "valueFrom": {"fieldRef": {"fieldPath": "metadata.namespace"}}},
        {"name": "POD_NAME", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}},
        {"name": INDEX_VARIABLE, "value": INDEX_REQUIRED},
    ]
    if options.api_token_secret:
        environment.append(_from_secret("DAPR_API_TOKEN", options.api_token_secret, "token"))
    added = _added(options)
    if added:  # components may read these, and no others, with envRef
        environment.append({"name": "DAPR_ENV_KEYS", "value": " ".join(added)})
    environment.extend(_entry(variable) for variable in added.values())
    return environment


def not_set(options: SidecarOptions) -> Iterator[str]:
    """Yield a warning for each variable that an annotation may not set but does."""
    for variable in (*options.variables, *options.secret_variables):
        if variable.name in OWN_VARIABLES:
            name = "dapr.io/env-from-secret" if variable.secret else "dapr.io/env"
            yield f"annotation {name}: {variable.name} belongs to the sidecar and is not set; use another name"


def app_environment(options: SidecarOptions) -> dict[str, str]:
    """Return the variables that an app's containers get unless they set them themselves.

    If the API is on a socket, no port is named: nothing would answer there.
    """
    environment = {"APP_PROTOCOL": options.app_protocol}
    if options.unix_socket_path:
        return environment
    return {
        "DAPR_HTTP_PORT": str(HTTP_PORT),
        "DAPR_GRPC_PORT": str(options.grpc_port),
        **environment,
        # Layotto's SDKs read these.
        "runtime_GRPC_HOST": "127.0.0.1",
        "runtime_GRPC_PORT": str(options.grpc_port),
    }


def _added(options: SidecarOptions) -> dict[str, Variable]:
    """Return the variables that annotations add, by name. Of two with one name, the later one counts, as in a
    container.
    """
    variables = (*options.variables, *options.secret_variables)
    return {variable.name: variable for variable in variables if variable.name not in OWN_VARIABLES}


def _entry(variable: Variable) -> pod_kinds.EnvVar:
    if variable.secret:
        return _from_secret(variable.name, variable.secret, variable.key)
    return {"name": variable.name, "value": variable.value}


def _from_secret(name: str, secret: str, key: str) -> pod_kinds.EnvVar:
    return {"name": name, "valueFrom": {"secretKeyRef": {"name": secret, "key": key}}}
