"""Where the API server is, and how the sidecar signs in there: a service account's files, or a kubeconfig."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import yaml

from pannier_crds.addresses.hosts import HostPort, full_url
from pannier_crds.problems import InvalidValueError
from pannier_crds.secret import Secret
from pannier_sidecar.network.reasons import reason
from pannier_sidecar.network.tls import Encryption
from pannier_sidecar.secret_reader import SecretStoreFailedError
from pannier_sidecar.state.errors import StoreRefusedError

if TYPE_CHECKING:
    import ssl

    from pannier_crds.given_settings import GivenSettings

_MAX_BYTES: Final = 1024 * 1024
_HOW: Final = "write clusters, users and contexts as kubectl config view --flatten --minify prints them"


@dataclass(frozen=True, slots=True)
class Access:
    """How the API server is reached."""

    url: str
    tls: ssl.SSLContext
    server_name: str
    """The name in the server's certificate, if not that of the URL."""
    namespace: str
    """That of the service account or context; empty: it names none."""
    token_file: Path | None
    """It is read for each call, because the kubelet replaces it before the token ends."""
    fixed_token: Secret

    def token(self) -> str:
        """Return the token; empty: a client certificate signs in. It blocks. Raises SecretStoreFailedError."""
        if self.token_file is None:
            text = self.fixed_token.reveal()
        else:
            text = _read(self.token_file, "the token (serviceAccountPath, or tokenFile of kubeconfigPath)").strip()
        if (self.token_file and not text) or not text.isascii() or (text and not text.isprintable()):
            raise SecretStoreFailedError("there is no token to send; check serviceAccountPath or kubeconfigPath")
        return text


def find_access(given: GivenSettings) -> Access:
    """Return how the API server is reached. It blocks. Raises SecretStoreFailedError."""
    path = given.text("kubeconfigPath")
    return _of_kubeconfig(Path(path)) if path else _of_service_account(given)


def _of_service_account(given: GivenSettings) -> Access:
    folder = Path(given.text("serviceAccountPath"))
    scheme, (host, port) = full_url(given.text("apiServer"))
    authority = folder / "ca.crt"
    _read(authority, "the service account's ca.crt (serviceAccountPath)")
    namespace = folder / "namespace"
    return Access(
        url=f"{scheme}://{HostPort(host, port)}",
        tls=_context(Encryption(authority=str(authority)), "serviceAccountPath"),
        server_name="",
        namespace=_read(namespace, "namespace").strip() if namespace.is_file() else "",
        token_file=folder / "token",
        fixed_token=Secret(""),
    )


def _of_kubeconfig(path: Path) -> Access:
    try:
        content = yaml.safe_load(_read(path, "the file of kubeconfigPath"))
        context = _named(content["contexts"], content["current-context"], "context")
        cluster = _named(content["clusters"], context["cluster"], "cluster")
        user = _named(content["users"], context["user"], "user")
        return _of_context(path.parent, context, cluster, user)
    except (yaml.YAMLError, InvalidValueError, LookupError, RecursionError, TypeError, ValueError):
        raise SecretStoreFailedError(f"the file of kubeconfigPath is no kubeconfig; {_HOW}") from None


def _of_context(
    folder: Path, context: Mapping[str, Any], cluster: Mapping[str, Any], user: Mapping[str, Any]
) -> Access:
    if "exec" in user or "auth-provider" in user:
        raise SecretStoreFailedError(
            "the user of kubeconfigPath signs in by a program, which is not run here; write a token, a tokenFile or a "
            "client certificate"
        )
    scheme, (host, port) = full_url(str(cluster["server"]))
    encryption = Encryption(
        authority=_pem(folder, cluster, "certificate-authority"),
        client_certificate=_pem(folder, user, "client-certificate"),
        client_key=Secret(_pem(folder, user, "client-key")),
        skips_verification=cluster.get("insecure-skip-tls-verify") is True,
    )
    token_file = user.get("tokenFile")
    return Access(
        url=f"{scheme}://{HostPort(host, port)}",
        tls=_context(encryption, "kubeconfigPath"),
        server_name=str(cluster.get("tls-server-name", "")),
        namespace=str(context.get("namespace", "")),
        token_file=folder / str(token_file) if token_file else None,
        fixed_token=Secret(str(user.get("token", ""))),
    )


def _named(entries: list[Mapping[str, Any]], name: str, kind: str) -> Mapping[str, Any]:
    found = next(entry[kind] for entry in entries if entry["name"] == name)
    if not isinstance(found, Mapping):
        raise TypeError(kind)
    return found


def _pem(folder: Path, entry: Mapping[str, Any], name: str) -> str:
    """Return the PEM text of a field, or the path of its file; empty where it has neither."""
    written = entry.get(f"{name}-data")
    if written:
        return base64.b64decode(str(written), validate=True).decode()
    file = entry.get(name)
    return str(folder / str(file)) if file else ""


def _context(encryption: Encryption, field: str) -> ssl.SSLContext:
    try:
        return encryption.context()
    except StoreRefusedError:
        raise SecretStoreFailedError(
            f"the certificates of {field} cannot be used; let them be PEM that belongs together"
        ) from None


def _read(path: Path, what: str) -> str:
    try:
        with path.open("rb") as file:
            return file.read(_MAX_BYTES).decode()
    except OSError as error:
        raise SecretStoreFailedError(f"{what} cannot be read: {reason(error)}; mount it, or correct the path") from None
    except UnicodeDecodeError:
        raise SecretStoreFailedError(f"{what} is no text") from None
