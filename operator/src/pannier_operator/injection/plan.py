"""What one pod gets, decided before it is changed, and the names and paths of its parts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from pannier_crds.folder import INDEX_VARIABLE
from pannier_crds.pluggable import SOCKETS_FOLDER_VARIABLE

if TYPE_CHECKING:
    from pannier_operator.injection.annotations import SidecarOptions
    from pannier_operator.objects import pod_kinds
    from pannier_operator.settings import SidecarSettings

HTTP_PORT: Final = 3500
"""The port of the API, where Dapr's SDKs expect it. No annotation changes it, as in Dapr."""
PUBLIC_PORT: Final = 3501
"""The port of health and metadata, for the kubelet and the operator."""

COMPONENTS_VOLUME: Final = "pannier-components"
COMPONENTS_PATH: Final = "/components"
CONFIGURATION_VOLUME: Final = "pannier-configuration"
CONFIGURATION_PATH: Final = "/configuration"
SOCKET_VOLUME: Final = "dapr-unix-domain-socket"
SOCKET_PATH: Final = "/var/run/dapr-sockets"
TOKEN_MASK_VOLUME: Final = "pannier-no-service-account-token"
TOKEN_PATH: Final = "/var/run/secrets/kubernetes.io/serviceaccount"
"""Where Kubernetes mounts the token of the pod's service account into every container that has no mount there."""

OWN_VARIABLES: Final = frozenset(
    ("NAMESPACE", "POD_NAME", "DAPR_API_TOKEN", "DAPR_ENV_KEYS", INDEX_VARIABLE, SOCKETS_FOLDER_VARIABLE)
)
"""Variables that the injector sets for the sidecar; annotations cannot set them."""


@dataclass(frozen=True)
class Injection:
    """Everything that `inject` needs besides the pod."""

    app_id: str
    options: SidecarOptions
    settings: SidecarSettings
    is_native: bool
    """Whether the sidecar is an init container that keeps running (Kubernetes 1.29 and later)."""
    component_containers: tuple[pod_kinds.Container, ...] = ()
    """Containers of pluggable components, as the Components that the app sees describe them."""
