"""The TLS that the settings ask for."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from pannier_sidecar.state.errors import StoreRefusedError

if TYPE_CHECKING:
    import ssl

    from .settings import SQLServerSettings

_PROTOCOL: Final = "tds/8.0"
"""As which a server is asked to speak TDS inside of TLS ([MS-TDS] 3.2.5)."""


def context(settings: SQLServerSettings) -> ssl.SSLContext | None:
    """Return the context that connections are made with; None: without TLS. Raises StoreRefusedError."""
    if settings.encryption == "disable":
        return None
    import ssl  # imported here, because connections without TLS do not need it

    try:
        made = ssl.create_default_context(cafile=settings.authority_file or None)
    except (OSError, ValueError) as error:
        raise StoreRefusedError(
            "certificate in connectionString is no file with certificates that can be read; write the path of a PEM "
            "file"
        ) from error
    made.minimum_version = ssl.TLSVersion.TLSv1_2
    if settings.encryption == "strict":
        made.set_alpn_protocols([_PROTOCOL])
    else:
        made.maximum_version = ssl.TLSVersion.TLSv1_2  # TLS 1.3 cannot begin inside of messages
    if settings.trusts_any_certificate:
        made.check_hostname = False
        made.verify_mode = ssl.CERT_NONE
    return made
