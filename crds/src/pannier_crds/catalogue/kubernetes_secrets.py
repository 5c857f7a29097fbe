"""`secretstores.kubernetes`: the Secrets that a service account may read, or a user of a kubeconfig."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from pannier_crds.addresses import hosts
from pannier_crds.catalogue import every_secret_store
from pannier_crds.catalogue.model import ComponentType, Field, Form
from pannier_crds.problems import metadata_path, warning

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from pannier_crds.catalogue.model import Setting
    from pannier_crds.problems import Problem

_NAMESPACE: Final = Form(
    r"(?a:[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?)", "a namespace", "write lower-case letters, digits and '-'"
)


def _one_way_to_sign_in(settings: Mapping[str, Setting], given: frozenset[str]) -> Iterator[Problem]:
    for name in ("apiServer", "serviceAccountPath"):
        if "kubeconfigPath" in given and name in given:
            message = f"{name} has no effect beside kubeconfigPath"
            yield warning(metadata_path(name), message, "keep one of them")


TYPES: Final = (
    ComponentType(
        "secretstores.kubernetes",
        title="Kubernetes Secrets",
        fields=(
            Field(
                "defaultNamespace",
                description="Namespace of the Secrets where neither the request nor the sidecar's environment "
                "(NAMESPACE) has one; without it that of the service account or kubeconfig",
                form=_NAMESPACE,
            ),
            Field("kubeconfigPath", description="Path of a kubeconfig; without it the service account signs in"),
            Field(
                "serviceAccountPath",
                description="Folder with the files token, ca.crt and namespace of a service account",
                default="/var/run/secrets/kubernetes.io/serviceaccount",
            ),
            Field(
                "apiServer",
                description="URL of the API server, without a path",
                default="https://kubernetes.default.svc",
                reads=hosts.full_url,
                form=Form(r"https://\S+", "the URL of an API server", "write https://HOST:PORT"),
            ),
            *every_secret_store.FIELDS,
        ),
        rules=(_one_way_to_sign_in,),
    ),
)
