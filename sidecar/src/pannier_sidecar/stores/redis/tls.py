"""Whom TLS trusts, and which certificate it shows, as a component says."""

from __future__ import annotations

import os
import ssl
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from pannier_sidecar.state.errors import StoreRefused

if TYPE_CHECKING:
    from collections.abc import Iterator

    from .settings import Encryption


def tls_context(encryption: Encryption) -> ssl.SSLContext:
    """Return what connections are made with. Raises StoreRefused for certificates that cannot be used."""
    context = ssl.create_default_context()
    if encryption.skips_verification:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    if encryption.ca_certificate:
        try:
            context.load_verify_locations(cadata=_pem(encryption.ca_certificate))
        except (ssl.SSLError, OSError) as error:
            raise StoreRefused(f"caCert cannot be used: {error}; write PEM text or the path of a PEM file") from error
    if encryption.client_certificate:
        _load_client_certificate(context, encryption)
    return context


def certificate_advice(error: ssl.SSLError) -> str:
    """Return what to change where the server's certificate, or ours, is not accepted."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return (
            "give the authority that signed the certificate in caCert (or to this machine: SSL_CERT_FILE adds one) and "
            'the host that it was signed for in redisHost, or set insecureSkipTLSVerify: "true"'
        )
    return "check that the server speaks TLS on this port and which client certificate it asks for"


def _load_client_certificate(context: ssl.SSLContext, encryption: Encryption) -> None:
    try:
        pem = f"{_pem(encryption.client_certificate)}\n{_pem(encryption.client_key)}\n"
        with _as_file(pem.encode()) as path:
            context.load_cert_chain(path)
    except (ssl.SSLError, OSError) as error:
        advice = "write PEM text, or paths of PEM files, that belong together"
        raise StoreRefused(f"clientCert and clientKey cannot be used: {error}; {advice}") from error


@contextmanager
def _as_file(content: bytes) -> Iterator[str]:
    """Give OpenSSL, which reads a key from a file only, one that nobody else can read and that is gone in a moment.

    It is in memory where the system has that (Linux): a pod has no folder to write to.
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


def _pem(text: str) -> str:
    return text if "-----BEGIN" in text else Path(text).read_text()
