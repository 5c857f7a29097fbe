"""What a component says about its etcd, read and checked."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Final

from pannier_sidecar.state.errors import StoreRefused

if TYPE_CHECKING:
    from collections.abc import Mapping

Value = str | int | float | bool | None

MAX_TXN_OPS: Final = 128
"""What etcd allows unless told otherwise."""


@dataclass(frozen=True, slots=True)
class Encryption:
    """How TLS is spoken: PEM, None where the system's authorities or no client certificate will do."""

    authority: bytes | None = None
    certificate: bytes | None = None
    key: bytes | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class EtcdSettings:
    """The component's settings."""

    endpoints: tuple[str, ...]
    """`host:port` each."""
    prefix: str
    """What stands before each stored key, slash included."""
    encryption: Encryption | None
    username: str
    password: str = field(repr=False)
    timeout: float
    """Longest time of one call, in seconds."""

    @property
    def where(self) -> str:
        return f"etcd at {', '.join(self.endpoints)}"


def read(settings: Mapping[str, Value]) -> EtcdSettings:
    """Return the settings. Raises StoreRefused naming the one that is wrong."""
    given = [each for part in _text(settings, "endpoints").split(",") if (each := part.strip())]
    if not given:
        raise StoreRefused("endpoints is empty; write host:port, several separated by commas")
    by_tls = settings.get("tlsEnable") is True or any(each.startswith("https://") for each in given)
    return EtcdSettings(
        endpoints=tuple(each.rpartition("://")[2].rstrip("/") for each in given),
        prefix=f"{_text(settings, 'keyPrefixPath')}/",
        encryption=_encryption(settings) if by_tls else None,
        username=_text(settings, "username"),
        password=_text(settings, "password"),
        timeout=float(settings.get("timeout") or 5.0),
    )


def max_txn_ops(settings: Mapping[str, Value]) -> int:
    return int(settings.get("maxTxnOps") or MAX_TXN_OPS)


def _encryption(settings: Mapping[str, Value]) -> Encryption:
    found = Encryption(_pem(settings, "ca"), _pem(settings, "cert"), _pem(settings, "key"))
    if (found.certificate is None) is not (found.key is None):
        missing = "key" if found.key is None else "cert"
        raise StoreRefused(f"{missing} is missing: a client certificate needs both cert and key")
    return found


def _pem(settings: Mapping[str, Value], name: str) -> bytes | None:
    text = _text(settings, name)
    if not text or "-----BEGIN" in text:
        return text.encode() or None
    try:
        return Path(text).read_bytes()
    except (OSError, ValueError) as error:
        raise StoreRefused(f"{name} is neither PEM nor a file that can be read; write one of them") from error


def _text(settings: Mapping[str, Value], name: str) -> str:
    value = settings.get(name)
    return "" if value is None else str(value)
