"""Parsers of annotations' texts. Each raises ValueError that says what to write instead."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from pannier_crds.credential_providers import names
from pannier_crds.values import parse_boolean, parse_duration
from pannier_operator.objects.quantities import amount_of

_ENV_NAME: Final = r"[A-Za-z_][A-Za-z0-9_]*"
_NEXT_VARIABLE: Final = re.compile(rf",(?=\s*{_ENV_NAME}\s*=)", re.ASCII)
_SUBDOMAIN: Final = re.compile(r"[a-z0-9]([-.a-z0-9]{0,251}[a-z0-9])?", re.ASCII)
_KEY: Final = re.compile(r"[-._a-zA-Z0-9]{1,253}", re.ASCII)
_DNS_LABEL: Final = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?", re.ASCII)
_SIZE: Final = re.compile(r"\d{1,15}(\.\d{1,9})?([kMGT]|[KMGT]i)?", re.ASCII)  # what the sidecar's flags take
_HOST: Final = re.compile(r"\*|(\*?\.)?[a-z0-9_-]+(\.[a-z0-9_-]+)*(:\d{1,5})?", re.ASCII | re.IGNORECASE)
_ORIGIN: Final = re.compile(
    r"\*|null|[a-z][a-z0-9+.-]*://[^/?#@\s*]*(\*[^/?#@\s*]*)?/?", re.ASCII | re.IGNORECASE
)  # no two parts of it take the same characters, or a long text would take minutes
_MAX_BYTES: Final = 2**31 - 1
_MAX_SECONDS: Final = 86_400.0


@dataclass(frozen=True)
class Variable:
    """A variable of the sidecar's environment: a literal value, or a key of a Secret."""

    name: str
    value: str = ""
    secret: str = ""
    key: str = ""


@dataclass(frozen=True)
class Mount:
    """A volume of the pod to be mounted in the sidecar."""

    volume: str
    path: str
    is_read_only: bool


def text(value: str) -> str:
    return value


def boolean(value: str) -> bool:
    answer = parse_boolean(value)
    if answer is None:
        raise ValueError('write "true" or "false"')
    return answer


def port(value: str) -> int:
    number = int(value) if re.fullmatch(r"\d{1,5}", value, re.ASCII) else 0
    if not 1 <= number <= 65535:
        raise ValueError("write a port from 1 to 65535")
    return number


def app_port(value: str) -> int | None:
    """Return the port; None for 0 and -1, as in Dapr."""
    return None if value in ("0", "-1") else port(value)


def delay(value: str) -> int:
    """Return whole seconds, from 0 on."""
    return _count(value, 0)


def count(value: str) -> int:
    """Return a whole number from 1 on."""
    return _count(value, 1)


def graceful_seconds(value: str) -> int | None:
    """Return whole seconds; None for Dapr's -1, which means the default."""
    return None if value == "-1" else delay(value)


def _count(value: str, least: int) -> int:
    number = int(value) if re.fullmatch(r"\d{1,6}", value, re.ASCII) else -1
    if number < least:
        raise ValueError(f"write a whole number from {least} on")
    return number


def duration(value: str) -> float:
    """Return the seconds of a Go duration; a bare number is seconds."""
    try:
        length = parse_duration(value, "s")
    except ValueError:
        length = -1.0
    if not 0 <= length <= _MAX_SECONDS:
        raise ValueError("write a duration of a day at most, such as 5s or 1m30s")
    return length


def quantity(value: str) -> str:
    """Return a Kubernetes quantity as it is written."""
    try:
        amount_of(value)
    except ValueError:
        raise ValueError("write a quantity, such as 100m for CPU or 64Mi for memory") from None
    return value


def size(value: str) -> str:
    """Return a size in bytes, a Kubernetes quantity, as it is written."""
    if not _SIZE.fullmatch(value) or not 1 <= amount_of(value) <= _MAX_BYTES:
        raise ValueError("write a size below 2Gi, such as 4Mi or 512Ki")
    return value


def megabytes(value: str) -> str | None:
    """Return a size in Dapr's older spelling as a quantity; None for -1, which means the default."""
    return None if value == "-1" else f"{_units_below(value, 2047, 'megabytes')}Mi"


def kilobytes(value: str) -> str | None:
    """Return a size in Dapr's older spelling as a quantity; None for -1, which means the default."""
    return None if value == "-1" else f"{_units_below(value, 2_097_151, 'kilobytes')}Ki"


def _units_below(value: str, maximum: int, unit: str) -> int:
    number = int(value) if re.fullmatch(r"\d{1,7}", value, re.ASCII) else 0
    if not 1 <= number <= maximum:
        raise ValueError(f"write a number of {unit}, such as 4")
    return number


def addresses(value: str) -> str:
    """Return comma-separated addresses as they are written."""
    if not any(part.strip() for part in value.split(",")) or not re.fullmatch(r"[\w.:,\[\]%\- ]+", value, re.ASCII):
        raise ValueError("write addresses such as [::1],127.0.0.1")
    return value


def hosts(value: str) -> str:
    """Return comma-separated host names and addresses."""
    parts = [part.strip() for part in value.split(",") if part.strip()]
    if not parts or not all(_HOST.fullmatch(part) for part in parts):
        raise ValueError("write host names such as state.example.com, .example.com for all below it, or * for any")
    return ",".join(parts)


def origins(value: str) -> str:
    """Return comma-separated origins."""
    parts = [part.strip() for part in value.split(",") if part.strip()]
    if not parts or not all(_ORIGIN.fullmatch(part) for part in parts):
        raise ValueError("write origins such as https://example.com,http://localhost:5173, or * for any")
    return ",".join(parts)


def credential_providers(value: str) -> str:
    """Return comma-separated names of classes."""
    return ",".join(names(value))


def log_level(value: str) -> str:
    return _one_of("warn" if value.lower() == "warning" else value.lower(), "debug", "info", "warn", "error", "fatal")


def profile(value: str) -> str:
    return _one_of(value.lower(), "spec", "dapr")


def protocol(value: str) -> str:
    return _one_of(value.lower(), "http", "grpc", "https", "grpcs", "h2c")


def seccomp_profile(value: str) -> str:
    return _one_of(value, "RuntimeDefault", "Unconfined")


def _one_of(value: str, *choices: str) -> str:
    if value not in choices:
        raise ValueError(f"write {', '.join(choices[:-1])} or {choices[-1]}")
    return value


def secret_name(value: str) -> str:
    if not _SUBDOMAIN.fullmatch(value):
        raise ValueError("write the name of a Secret")
    return value


def image(value: str) -> str:
    if any(character.isspace() for character in value):
        raise ValueError("write an image without spaces, such as registry/name:tag")
    return value


def folder(value: str) -> str:
    if not value.startswith("/") or ":" in value:
        raise ValueError("write a folder from the root, such as /var/run/dapr")
    return value


def containers(value: str) -> tuple[str, ...]:
    """Return the names of containers, which commas separate."""
    names = [name.strip() for name in value.split(",") if name.strip()]
    if not all(_DNS_LABEL.fullmatch(name) for name in names):
        raise ValueError("write names of the pod's containers, separated by commas")
    return tuple(dict.fromkeys(names))


def variables(value: str) -> tuple[Variable, ...]:
    """Return the variables of `A=1,B=x,y`: a comma separates two only if a name and `=` follow, as in Dapr."""
    return tuple(_variable(part) for part in _NEXT_VARIABLE.split(value) if part.strip())


def _variable(part: str) -> Variable:
    name, equals, value = part.partition("=")
    if not equals or not re.fullmatch(_ENV_NAME, name.strip(), re.ASCII):
        raise ValueError("write NAME=value,OTHER=value")
    return Variable(name.strip(), value.strip())


def secret_variables(value: str) -> tuple[Variable, ...]:
    """Return the variables of `A=secret:key,B=secret`; without a key, the Secret's name is the key, as in Dapr."""
    return tuple(_secret_variable(part) for part in value.split(",") if part.strip())


def _secret_variable(part: str) -> Variable:
    variable = _variable(part)
    secret, _, key = (side.strip() for side in variable.value.partition(":"))
    key = key or secret
    if not _SUBDOMAIN.fullmatch(secret) or not _KEY.fullmatch(key):
        raise ValueError("write NAME=secret:key,OTHER=secret:key")
    return Variable(variable.name, secret=secret, key=key)


def mounts(value: str) -> tuple[Mount, ...]:
    return tuple(_mount(part, is_read_only=True) for part in value.split(",") if part.strip())


def writable_mounts(value: str) -> tuple[Mount, ...]:
    return tuple(_mount(part, is_read_only=False) for part in value.split(",") if part.strip())


def _mount(part: str, *, is_read_only: bool) -> Mount:
    volume, _, path = (side.strip() for side in part.partition(":"))
    if not _DNS_LABEL.fullmatch(volume) or not path.startswith("/") or ":" in path:
        raise ValueError("write volume:/path,other:/path")
    return Mount(volume, path, is_read_only)
