"""The files of a components folder besides its components, as the folder's writer and the sidecar both know them.

On Kubernetes the operator is the writer: the folder is an app's Secret.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from pannier_crds.digests import sha256

if TYPE_CHECKING:
    from collections.abc import Mapping

VERSION_FILE: Final = "_version"
"""The first line is an opaque version that the folder's writer chooses. Sidecars report the version that they have read
last (`GET /v1.0/healthz?verbose`); it reveals nothing about the content. The second line is the status key: a request
with it gets the state of each store too, as a request with the API token does.
"""
STATUS_KEY_HEADER: Final = "pannier-status-key"
KUBERNETES_SECRETS_STORE: Final = "Kubernetes"
"""The secret store that holds the delivered parts of Kubernetes Secrets. No object in a cluster can have a name with a
capital letter, so no component can have this name."""
KUBERNETES_SECRETS_FILE: Final = "_kubernetes-secrets"
"""The JSON file of that store; without a suffix, so it is not read as a component."""
RESILIENCIES_FILE: Final = "_resiliencies.yaml"
"""All Resiliency objects of the app, ordered by name: of two policies with the same name, the later one counts. In one
file, because files are read in the order of their names, in which `a-b.yaml` comes before `a.yaml`."""
CONFIGURATION_PREFIX: Final = "_configuration-"
"""Before the name of a Configuration, in the name of its file; without a suffix, so it is not read as a component. Pods
mount it from the app's Secret as a file of its own, because each names its Configuration."""
GENERATION: Final = "pannier.dev/generation"
"""On a delivered object: the generation of the object in the cluster that it was made from."""
INDEX_FILE: Final = "_index"
"""Lists the files of the folder, each with the SHA-256 of its content. If there is an index, sidecars read only the
files that it lists, and read none while the content of one does not match."""

INDEX_VARIABLE: Final = "PANNIER_COMPONENTS_INDEX"
INDEX_REQUIRED: Final = "required"
"""The value of INDEX_VARIABLE that an injector sets: the folder always has an index, and is not read without it."""


def index_of(files: Mapping[str, bytes]) -> bytes:
    """Return the index of a folder that holds these files."""
    import json  # imported here, because only the operator writes one

    digests = {name: digest_of(content) for name, content in sorted(files.items())}
    return json.dumps({"files": digests}, indent=1).encode()


def digest_of(content: bytes) -> str:
    return sha256(content).hexdigest()
