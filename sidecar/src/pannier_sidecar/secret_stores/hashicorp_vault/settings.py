"""The component's metadata, with the checks that only this store can make."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Final

from msgspec import Struct

from pannier_crds.addresses.hosts import HostPort, full_url
from pannier_crds.given_settings import GivenSettings
from pannier_crds.secret import Secret
from pannier_sidecar.network.fields import read_field, shown_addresses
from pannier_sidecar.secret_reader import SecretStoreFailedError

if TYPE_CHECKING:
    import ssl
    from collections.abc import Mapping

    from pannier_crds.catalogue import Setting

_MAX_PEM_BYTES: Final = 1024 * 1024


class VaultSettings(Struct, frozen=True):
    """The component's settings, with defaults."""

    url: str
    """Scheme, host and port."""
    where: str
    """The same for messages."""
    namespace: str
    engine: str
    is_kv1: bool
    prefix: str
    """The folder of the secrets, with `/` at its end; empty: they are not in a folder."""
    is_text: bool
    method: str
    auth_path: str
    token: Secret
    token_file: str
    role: str
    pod_token_file: str
    role_id: str
    secret_id: Secret
    refresh_interval: float
    timeout: float
    server_name: str
    authority: tuple[str, str]
    """The field that names the authorities to trust, and its value; empty: those of the system."""
    skips_verification: bool

    def __repr__(self) -> str:
        return f"VaultSettings({self.where!r}, ...)"  # settings may find their way into a log

    def tls(self) -> ssl.SSLContext | bool:
        """Return the TLS context. Raises SecretStoreFailedError for authorities that cannot be read."""
        if not self.url.startswith("https:"):
            return True
        import ssl  # imported here, because a plain sidecar needs no TLS

        field, value = self.authority
        try:
            context = ssl.create_default_context(cadata=_pem(field, value) if field else None)
        except (OSError, ValueError) as error:
            raise SecretStoreFailedError(f"{field} cannot be used; let it hold or name certificates as PEM") from error
        if self.skips_verification:
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
        return context


def read_settings(settings: Mapping[str, Setting]) -> VaultSettings:
    """Return the settings."""
    given = GivenSettings("secretstores.hashicorp.vault", settings)
    scheme, (host, port) = read_field("vaultAddr", given["vaultAddr"], full_url)
    url = f"{scheme}://{HostPort(host, port)}"
    method = given.text("vaultAuthMethod")
    authorities = [(name, given.text(name)) for name in ("caPem", "caPath", "caCert")]
    return VaultSettings(
        url=url,
        where=shown_addresses("vaultAddr", given["vaultAddr"], (url,)),
        namespace=given.text("vaultNamespace"),
        engine=given.text("enginePath"),
        is_kv1=given.text("vaultKVVersion") == "1",
        prefix=f"{given.text('vaultKVPrefix')}/" if given.is_on("vaultKVUsePrefix") else "",
        is_text=given.text("vaultValueType") == "text",
        method=method,
        auth_path=given.text("vaultAuthPath") or method,
        token=given.secret("vaultToken"),
        token_file=given.text("vaultTokenMountPath"),
        role=given.text("vaultRole"),
        pod_token_file=given.text("vaultServiceAccountTokenPath"),
        role_id=given.text("vaultRoleId"),
        secret_id=given.secret("vaultSecretId"),
        refresh_interval=given.number("refreshInterval"),
        timeout=given.number("timeout"),
        server_name=given.text("tlsServerName"),
        authority=next(((name, value) for name, value in authorities if value), ("", "")),
        skips_verification=given.is_on("skipVerify"),
    )


def _pem(field: str, value: str) -> str:
    if field == "caPem":
        return value
    path = Path(value)
    files = sorted(each for each in path.iterdir() if each.is_file()) if path.is_dir() else [path]
    pem = "\n".join(_read(each) for each in files)
    if not pem.strip():
        raise ValueError("there are no certificates")  # ssl would trust the system's authorities instead
    return pem


def _read(path: Path) -> str:
    with path.open("rb") as file:
        return file.read(_MAX_PEM_BYTES).decode()
