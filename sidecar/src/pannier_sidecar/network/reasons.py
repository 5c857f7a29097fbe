"""Why a server cannot be reached, in our own words: a library's words may contain a secret."""

from __future__ import annotations

import errno
import re
import socket
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from ssl import SSLCertVerificationError, SSLError
    from typing import TypeGuard

_NUMBER: Final = re.compile(r"\[Errno (\d+)\]")
_BY_ERRNO: Final = {
    errno.ECONNREFUSED: "the connection is refused",
    errno.ECONNRESET: "the other side ended the connection",
    errno.EPIPE: "the other side ended the connection",
    errno.ECONNABORTED: "the other side ended the connection",
    errno.ETIMEDOUT: "it does not answer",
    errno.EHOSTUNREACH: "there is no way to the host",
    errno.ENETUNREACH: "there is no way to the network",
    errno.ENOENT: "there is no such file",
    errno.EACCES: "Permission denied, this user may not use it",
    errno.EPERM: "Permission denied, this user may not use it",
    errno.EISDIR: "it is a folder",
    errno.ENOTDIR: "a part of its path is no folder",
    errno.ENAMETOOLONG: "its name is too long",
    errno.EADDRNOTAVAIL: "this machine has no such address",
    errno.EMFILE: "this process has too many files open",
    errno.ENOSPC: "the disk is full",
    errno.EROFS: "its file system is read-only",
}
_BY_VERIFY_CODE: Final = {
    9: "its certificate is not valid yet",
    10: "its certificate has expired",
    18: "it signed its certificate itself",
    19: "the authority that signed its certificate is not trusted",
    20: "the authority that signed its certificate is not trusted",
    21: "the authority that signed its certificate is not trusted",
    62: "its certificate is for another host name",
    64: "its certificate is for another IP address",
}
"""Reasons by the number of OpenSSL's verification error (X509_V_ERR_...)."""
_BY_TLS_REASON: Final = {
    "WRONG_VERSION_NUMBER": "it does not speak TLS on this port",
    "HTTP_REQUEST": "it does not speak TLS on this port",
    "TLSV13_ALERT_CERTIFICATE_REQUIRED": "it wants a client certificate",
    "SSLV3_ALERT_HANDSHAKE_FAILURE": "it does not agree to speak TLS this way",
    "TLSV1_ALERT_UNKNOWN_CA": "it does not trust the authority of the client certificate",
    "SSLV3_ALERT_BAD_CERTIFICATE": "it does not take the client certificate",
}


def reason(error: BaseException | None) -> str:
    """Return half a sentence on why there is no connection; for an error that is not known, its kind or number."""
    if error is None:
        return "the other side ended the connection"
    if is_about_certificate(error):
        return _BY_VERIFY_CODE.get(error.verify_code, f"its certificate is not accepted (code {error.verify_code})")
    if is_about_tls(error):
        return _reason_of_tls(error.reason or "")
    if isinstance(error, socket.gaierror):
        return "DNS does not answer" if error.errno == socket.EAI_AGAIN else "its name has no address in DNS"
    if isinstance(error, TimeoutError):
        return "it does not answer"
    if isinstance(error, UnicodeError):
        return "its name is no host name"
    if isinstance(error, OSError):
        return _reason_of_system(error)
    return f"it failed ({type(error).__name__})"


def is_about_tls(error: BaseException) -> TypeGuard[SSLError]:
    """Return whether an error is one of TLS, without loading `ssl` where nothing uses TLS."""
    return _is(error, "SSLError")


def is_about_certificate(error: BaseException) -> TypeGuard[SSLCertVerificationError]:
    """Return whether an error says that a certificate is not accepted, without loading `ssl`."""
    return _is(error, "SSLCertVerificationError")


def _is(error: BaseException, name: str) -> bool:
    return any(kind.__name__ == name and kind.__module__ == "ssl" for kind in type(error).__mro__)


def _reason_of_tls(code: str) -> str:
    known = _BY_TLS_REASON.get(code)
    return known or (f"TLS failed ({code})" if re.fullmatch(r"[A-Z0-9_]{1,80}", code) else "TLS failed")


def _reason_of_system(error: OSError) -> str:
    number = error.errno
    if number is None:  # asyncio raises one error for several attempts, with their numbers in its text
        found = _NUMBER.search(str(error))
        number = int(found[1]) if found else None
    if number is None:
        return _reason_of_class(error)
    return _BY_ERRNO.get(number) or f"it failed ({errno.errorcode.get(number, number)})"


def _reason_of_class(error: OSError) -> str:
    if isinstance(error, ConnectionRefusedError):
        return _BY_ERRNO[errno.ECONNREFUSED]
    if isinstance(error, ConnectionError):
        return _BY_ERRNO[errno.ECONNRESET]
    return f"it failed ({type(error).__name__})"
