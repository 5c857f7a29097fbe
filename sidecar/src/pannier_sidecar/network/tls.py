"""The authorities that TLS trusts and the client certificate that it sends, as the component sets them."""

from __future__ import annotations

import os
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from msgspec import Struct

from pannier_crds.secret import Secret, reveal
from pannier_sidecar.network.reasons import is_about_tls, reason
from pannier_sidecar.state.errors import StoreRefusedError

if TYPE_CHECKING:
    import ssl
    from collections.abc import Iterator, Mapping

    from pannier_sidecar.state.store import Setting


class Encryption(Struct, frozen=True):
    """The settings of TLS. Certificates and keys are PEM text, or the path of a file that holds it."""

    authority: str = ""
    """The only certificate authorities to trust for servers. Empty: those of the system."""
    client_certificate: str = ""
    client_key: Secret = Secret("")  # never changes
    skips_verification: bool = False

    @classmethod
    def read(cls, settings: Mapping[str, Setting]) -> Encryption:
        """Return the settings from the fields that stores have for TLS.

        Raises StoreRefusedError for a client certificate without its key, or a key without its certificate.
        """
        read = cls(
            _text(settings, "caCert"),
            _text(settings, "clientCert"),
            Secret(_text(settings, "clientKey")),
            settings.get("insecureSkipTLSVerify") is True,
        )
        if bool(read.client_certificate) != bool(read.client_key):
            missing = "clientKey" if read.client_certificate else "clientCert"
            raise StoreRefusedError(f"{missing} is missing: a client certificate needs both clientCert and clientKey")
        return read

    def __repr__(self) -> str:
        return f"Encryption(skips_verification={self.skips_verification}, ...)"

    def context(self) -> ssl.SSLContext:
        """Return the context that connections are made with.

        Raises StoreRefusedError, with the fields' names (caCert, clientCert, clientKey), for what cannot be used.
        """
        import ssl  # imported here, because a plain sidecar needs no TLS

        try:
            context = ssl.create_default_context(cadata=_pem(self.authority) if self.authority else None)
        except (OSError, ValueError) as error:
            raise StoreRefusedError(
                f"caCert cannot be used: {_why(error)}; write PEM text or the path of a PEM file"
            ) from error
        if self.skips_verification:
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
        if self.client_certificate:
            self._load_certificate(context)
        return context

    def _load_certificate(self, context: ssl.SSLContext) -> None:
        try:
            pem = f"{_pem(self.client_certificate)}\n{_pem(self.client_key.reveal())}\n"
            with _as_file(pem.encode()) as path:
                context.load_cert_chain(path)
        except (OSError, ValueError) as error:
            advice = "write PEM text, or paths of PEM files, that belong together"
            raise StoreRefusedError(f"clientCert and clientKey cannot be used: {_why(error)}; {advice}") from error


@contextmanager
def _as_file(content: bytes) -> Iterator[str]:
    """Put a key into a private file while OpenSSL reads it, because OpenSSL reads keys only from files.

    On Linux the file is in memory, because a pod may have no folder to write to.
    """
    if hasattr(os, "memfd_create"):
        with os.fdopen(os.memfd_create("client certificate"), "wb") as file:
            file.write(content)
            file.flush()
            yield f"/proc/self/fd/{file.fileno()}"
        return
    from tempfile import NamedTemporaryFile

    with NamedTemporaryFile(suffix=".pem") as temporary:
        temporary.write(content)
        temporary.flush()
        yield temporary.name


def _why(error: Exception) -> str:
    """Return why PEM can't be read. The path is not shown, because someone may have written a key in its place."""
    if is_about_tls(error) or not isinstance(error, OSError):
        return "it holds nothing that can be read as PEM"
    return reason(error)


def _text(settings: Mapping[str, Setting], name: str) -> str:
    return reveal(settings.get(name))


def _pem(text: str) -> str:
    return text if "-----BEGIN" in text else Path(text).read_text()
