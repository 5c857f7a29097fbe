"""How TLS is spoken with Cassandra: a certificate has to be for the address of its host.

By their addresses the driver knows hosts, and they each other.
"""

from __future__ import annotations

import os
import ssl
from contextlib import contextmanager
from tempfile import NamedTemporaryFile
from typing import TYPE_CHECKING

from pannier_sidecar.state.errors import StoreRefused

if TYPE_CHECKING:
    from collections.abc import Iterator

    from .settings import Encryption


def tls_context(encryption: Encryption) -> ssl.SSLContext:
    """Return what connections are made with. Raises StoreRefused for certificates that cannot be used."""
    try:
        context = ssl.create_default_context(cadata=encryption.authority or None)
    except (ssl.SSLError, ValueError) as error:
        raise StoreRefused(f"caCert cannot be used: {error}; write PEM text") from error
    if encryption.client_certificate:
        try:
            with _as_file(f"{encryption.client_certificate}\n{encryption.client_key}\n".encode()) as path:
                context.load_cert_chain(path)
        except (ssl.SSLError, OSError) as error:
            advice = "write PEM texts that belong together"
            raise StoreRefused(f"clientCert and clientKey cannot be used: {error}; {advice}") from error
    return context


@contextmanager
def _as_file(content: bytes) -> Iterator[str]:
    """Give OpenSSL, which reads keys from files only, one that is gone in a moment; in memory where there is that."""
    if not hasattr(os, "memfd_create"):
        with NamedTemporaryFile(suffix=".pem") as temporary:
            temporary.write(content)
            temporary.flush()
            yield temporary.name
        return
    with os.fdopen(os.memfd_create("client certificate"), "wb") as file:
        file.write(content)
        file.flush()
        yield f"/proc/self/fd/{file.fileno()}"
