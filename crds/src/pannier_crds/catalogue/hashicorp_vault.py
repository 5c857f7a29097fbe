"""`secretstores.hashicorp.vault`: the key/value secrets of HashiCorp Vault."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from pannier_crds.addresses import hosts
from pannier_crds.catalogue import every_secret_store
from pannier_crds.catalogue.model import ComponentType, Field, Form
from pannier_crds.problems import error, metadata_path

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from pannier_crds.catalogue.model import Setting
    from pannier_crds.problems import Problem

_PATH: Final = Form(
    r"(?a:[\w~-][\w.~-]*(/[\w~-][\w.~-]*)*)",
    "a path in Vault",
    "write names of letters, digits, '-', '_' and '.' with '/' between them",
)
_METHOD: Final = "vaultAuthMethod"
_NEEDED: Final = {
    "kubernetes": ("vaultRole",),
    "approle": ("vaultRoleId", "vaultSecretId"),
}


def _ways_to_sign_in(settings: Mapping[str, Setting], given: frozenset[str]) -> Iterator[Problem]:
    method = settings.get(_METHOD)
    if method == "token":
        both = "vaultToken" in given and "vaultTokenMountPath" in given
        if both:
            message = "vaultToken and vaultTokenMountPath are both given"
            yield error(metadata_path("vaultTokenMountPath"), message, "keep one of the two")
        elif not {"vaultToken", "vaultTokenMountPath"} & given:
            message = "there is no token to sign in with"
            yield error(metadata_path("vaultToken"), message, "add vaultToken, vaultTokenMountPath or vaultAuthMethod")
    for name in _NEEDED.get(str(method), ()):
        if name not in given:
            yield error(metadata_path(name), f"{_METHOD} {method} needs {name}", f"add {name}")
    for other, names in _NEEDED.items():
        for name in names if other != method and isinstance(method, str) else ():
            if name in given:
                advice = f"remove it, or write {_METHOD}: {other}"
                yield error(metadata_path(name), f"{_METHOD} {method} has no use for {name}", advice)


TYPES: Final = (
    ComponentType(
        "secretstores.hashicorp.vault",
        title="HashiCorp Vault",
        fields=(
            Field(
                "vaultAddr",
                description="URL of Vault, without a path",
                default="https://127.0.0.1:8200",
                reads=hosts.full_url,
            ),
            Field("vaultNamespace", description="Namespace of Vault Enterprise", form=_PATH),
            Field(
                "enginePath", description="Path at which the secrets engine is mounted", default="secret", form=_PATH
            ),
            Field(
                "vaultKVVersion",
                "choice",
                description="Version of the secrets engine",
                default="2",
                choices=("1", "2"),
            ),
            Field(
                "vaultKVPrefix", description="Folder of the engine that holds the secrets", default="dapr", form=_PATH
            ),
            Field("vaultKVUsePrefix", "boolean", description="Whether secrets are in that folder", default=True),
            Field(
                "vaultValueType",
                "choice",
                description="Whether a secret has several keys (map), or is one JSON text (text)",
                default="map",
                choices=("map", "text"),
            ),
            Field(
                _METHOD,
                "choice",
                description="How the sidecar signs in",
                default="token",
                choices=("token", "kubernetes", "approle"),
            ),
            Field("vaultToken", description="Token to sign in with", sensitive=True),
            Field("vaultTokenMountPath", description="Path of a file with the token; it is read at each call"),
            Field("vaultAuthPath", description="Path at which the method is mounted; by default its name", form=_PATH),
            Field("vaultRole", description="Role of the method kubernetes"),
            Field(
                "vaultServiceAccountTokenPath",
                description="Path of the file with the pod's token, for the method kubernetes",
                default="/var/run/secrets/kubernetes.io/serviceaccount/token",
            ),
            Field("vaultRoleId", description="Role id of the method approle"),
            Field("vaultSecretId", description="Secret id of the method approle", sensitive=True),
            Field("caPem", description="The authority that signed Vault's certificate, PEM text"),
            Field("caPath", description="Path of a folder with PEM files of authorities; caPem wins over it"),
            Field("caCert", description="Path of a PEM file with the authority; caPem and caPath win over it"),
            Field(
                "skipVerify",
                "boolean",
                description="Whether to accept a certificate that no trusted authority signed",
                default=False,
            ),
            Field("tlsServerName", description="Host name that Vault's certificate is for, if not that of vaultAddr"),
            *every_secret_store.FIELDS,
        ),
        rules=(_ways_to_sign_in,),
    ),
)
