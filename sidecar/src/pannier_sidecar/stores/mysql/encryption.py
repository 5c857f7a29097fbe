"""The TLS that the settings ask for."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pannier_sidecar.state.errors import StoreRefusedError

if TYPE_CHECKING:
    import ssl

    from .settings import MySQLSettings


def context(settings: MySQLSettings) -> ssl.SSLContext | None:
    """Return the context that connections are made with; None: without TLS. Raises StoreRefusedError."""
    if settings.tls == "false":
        return None
    import ssl  # imported here, because connections without TLS do not need it

    try:
        made = ssl.create_default_context(cafile=settings.authority_file or None)
    except (OSError, ValueError) as error:
        raise StoreRefusedError(
            "pemPath holds no certificate that can be read; write the path of a PEM file"
        ) from error
    if settings.tls in ("skip-verify", "preferred"):
        made.check_hostname = False
        made.verify_mode = ssl.CERT_NONE
    return made
