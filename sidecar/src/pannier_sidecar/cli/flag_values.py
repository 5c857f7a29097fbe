"""Parsers of the texts of flags. Each function raises ValueError with what to write instead."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Final

from pannier_crds.values import parse_boolean, parse_duration, parse_size
from pannier_sidecar.access import ip_address

_LEVELS: Final = {
    "debug": "debug",
    "info": "info",
    "warn": "warn",
    "warning": "warn",
    "error": "error",
    "fatal": "fatal",
}
_ORIGIN: Final = re.compile(r"[a-z][a-z0-9+.-]*://[^/?#@\s*]*(\*[^/?#@\s*]*)?")
_HOST_NAME: Final = re.compile(r"\*|\.?[a-z0-9_-]+(?:\.[a-z0-9_-]+)*")
_MAX_BYTES: Final = 2**31 - 1


def text(value: str) -> str:
    return value


def path(value: str) -> Path:
    return Path(os.path.expanduser(value))  # Path.expanduser raises for unknown users


def paths(value: str) -> tuple[Path, ...]:
    """Read one path, or several separated by commas, as daprd does."""
    return tuple(path(part) for part in value.split(",") if part)


def boolean(value: str) -> bool:
    answer = parse_boolean(value)
    if answer is None:
        raise ValueError("write true or false")
    return answer


def integer(value: str) -> int:
    if not re.fullmatch(r"[+-]?\d{1,9}", value, re.ASCII):
        raise ValueError("write a whole number")
    return int(value)


def whole_number(value: str) -> int:
    """Read a number of any size that 64 bits can have; the sidecar knows which are allowed."""
    if not re.fullmatch(r"[+-]?\d{1,19}", value, re.ASCII):
        raise ValueError("write a whole number")
    return int(value)


def positive(value: str) -> int:
    number = int(value) if re.fullmatch(r"\d{1,9}", value, re.ASCII) else 0
    if number < 1:
        raise ValueError("write a whole number from 1 up")
    return number


def port(value: str) -> int:
    number = int(value) if re.fullmatch(r"\d{1,6}", value, re.ASCII) else -1
    if not 0 <= number <= 65535:
        raise ValueError("write a port from 1 to 65535, or 0 for a free one")
    return number


def app_port(value: str) -> int | None:
    """Read a port as daprd does: 0 and -1 mean none."""
    return None if value in ("0", "-1") else port(value)


def seconds(value: str) -> float | None:
    """Read whole seconds; None for daprd's -1, which means the default."""
    if value == "-1":
        return None
    if not re.fullmatch(r"\d{1,6}", value, re.ASCII):
        raise ValueError("write a number of seconds, such as 5")
    return float(value)


def duration(value: str) -> float:
    try:
        length = parse_duration(value, "s")
    except ValueError:
        length = -1
    if length < 0:
        raise ValueError("write a duration, such as 5s or 1m30s")
    return length


def size(value: str) -> int:
    """Return the number of bytes in a Kubernetes quantity."""
    try:
        count = parse_size(value)
    except ValueError:
        count = -1
    return _in_range(count, "write a size, such as 4Mi, 512Ki or 1048576")


def megabytes(value: str) -> int | None:
    """Return the number of bytes for a flag in megabytes; None for daprd's -1, which means the default."""
    return None if value == "-1" else _in_range(integer(value) * 2**20, "write a number of megabytes, such as 4")


def kilobytes(value: str) -> int | None:
    """Return the number of bytes for a flag in kilobytes; None for daprd's -1, which means the default."""
    return None if value == "-1" else _in_range(integer(value) * 2**10, "write a number of kilobytes, such as 16")


def _in_range(count: float, advice: str) -> int:
    if not 1 <= count <= _MAX_BYTES:
        raise ValueError(f"{advice}; at least 1 byte and less than 2Gi")
    return int(count)


def addresses(value: str) -> tuple[str, ...]:
    """Read host names and addresses separated by commas; an IPv6 address may be in brackets."""
    parts = tuple(part.strip().removeprefix("[").removesuffix("]") for part in value.split(",") if part.strip())
    if not parts:
        raise ValueError("write addresses such as [::1],127.0.0.1")
    return parts


def origins(value: str) -> tuple[str, ...]:
    """Read origins separated by commas, as daprd does: `*`, or scheme, host and port, where `*` stands for any text."""
    parts = tuple(part.strip().lower().removesuffix("/") for part in value.split(",") if part.strip())
    for part in parts:
        if part not in ("*", "null") and _ORIGIN.fullmatch(part) is None:
            raise ValueError("write origins such as https://example.com,http://localhost:5173, or * for any")
    return parts


def hosts(value: str) -> tuple[str, ...]:
    """Read names and addresses separated by commas. A port is dropped, since ports are not compared."""
    return tuple(_host(part.strip().lower()) for part in value.split(",") if part.strip())


def _host(text: str) -> str:
    if text.startswith("["):
        name = text[1:].partition("]")[0]
    else:
        name = text if "/" in text or text.count(":") > 1 else text.partition(":")[0]
    name = name.removeprefix("*" if name.startswith("*.") else "").removesuffix(".")
    address = ip_address(name.partition("%")[0])
    if address is None and _HOST_NAME.fullmatch(name) is None:
        raise ValueError("write host names such as state.example.com, .example.com for all below it, or * for any")
    return address or name


def credential_providers(value: str) -> tuple[str, ...]:
    """Read names of classes separated by commas."""
    from pannier_crds.credential_providers import names  # few sidecars have any

    return names(value)


def log_level(value: str) -> str:
    level = _LEVELS.get(value.lower())
    if level is None:
        raise ValueError("write debug, info, warn, error or fatal")
    return level


def mode(value: str) -> str:
    return _one_of(value, "standalone", "kubernetes")


def output_format(value: str) -> str:
    return _one_of(value, "text", "json", "sarif")


def list_format(value: str) -> str:
    return _one_of(value, "table", "json", "yaml")


def value_format(value: str) -> str:
    return _one_of(value, "value", "json")


def names(value: str) -> tuple[str, ...]:
    """Read one name; a flag that may be given several times collects them."""
    return (value,)


def profile(value: str) -> str:
    return _one_of(value, "spec", "dapr")


def _one_of(value: str, *choices: str) -> str:
    if value.lower() not in choices:
        raise ValueError(f"write {', '.join(choices[:-1])} or {choices[-1]}")
    return value.lower()
