"""Parse hosts and ports to the last character, so that a message that shows them cannot show a password.

Positions of characters count from 1.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final, NamedTuple

from pannier_crds.problems import InvalidValueError

if TYPE_CHECKING:
    from collections.abc import Iterator

_LABELS: Final = re.compile(r"(?a:[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?)", re.IGNORECASE)
_BRACKETED: Final = re.compile(r"\[([0-9A-Fa-f:.]{2,45})(%(?a:[\w.-]{1,32}))?\]")
_PORT: Final = re.compile(r"[0-9]{1,5}")
_SCHEME: Final = re.compile(r"(?a:[a-z][a-z0-9+.-]{1,30})://", re.IGNORECASE)
_OF_HOSTS: Final = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-")
_OF_OTHER_DIALECTS: Final = frozenset(";=")
_LOOPBACK: Final = re.compile(r"127(\.[0-9]{1,3}){3}")
_PATH: Final = re.compile(r"(?a:/[\w./-]{1,200})")


class HostPort(NamedTuple):
    """A server's address, checked to contain nothing else. An IPv6 address has no brackets here."""

    host: str
    port: int | None = None

    def __str__(self) -> str:
        host = bracketed(self.host.partition("%")[0])  # leaves out the zone, which may be any text
        return host if self.port is None else f"{host}:{self.port}"


def is_loopback(host: str) -> bool:
    """Return whether a host is this machine, by its name or address."""
    return host.lower() in ("localhost", "::1") or _LOOPBACK.fullmatch(host) is not None


def bracketed(host: str) -> str:
    """Return a host as it is written before a port: an IPv6 address gets brackets."""
    return f"[{host}]" if ":" in host else host


def character(text: str, place: int, offset: int = 0) -> str:
    """Describe the character at a position, counted from 0. Only punctuation is shown: other characters may
    be secret.
    """
    shown = text[place] if place < len(text) else ""
    where = f"character {offset + place + 1}"
    return f"{where}, '{shown}'," if shown and shown in '!"#$%&()*+,-./:;<=>?@[\\]^_`{|}~' else where


def host_port(text: str, offset: int = 0, *, instead: str = "write host or host:port") -> HostPort:
    """Read `host`, `host:port`, `[v6]`, `[v6]:port` or a bare v6 address. `offset` is where the text begins in the
    field.

    Raises InvalidValueError.
    """
    if not text:
        raise InvalidValueError(f"there is no host before character {offset + 1}", instead)
    _refuse_other_dialects(text, offset, instead)
    if text.startswith("["):
        return _bracketed(text, offset, instead)
    if text.count(":") > 1:
        return HostPort(_v6(text, offset, instead))
    host, colon, port = text.partition(":")
    if not host:
        raise InvalidValueError(f"there is no host before character {offset + 1}, ':'", instead)
    _check_name(host, offset, instead)
    return HostPort(host, _port(port, offset + len(host) + 1) if colon else None)


def host_list(
    text: str, offset: int = 0, *, instead: str = "write host or host:port, several separated by commas"
) -> tuple[HostPort, ...]:
    """Read addresses that are separated by commas; spaces around them are allowed.

    Raises InvalidValueError.
    """
    return tuple(host_port(part, place, instead=instead) for part, place in parts(text, offset))


def parts(text: str, offset: int = 0) -> Iterator[tuple[str, int]]:
    """Yield each part between commas, without the spaces around it, and where it begins.

    Raises InvalidValueError.
    """
    place = offset
    for part in text.split(","):
        stripped = part.strip(" \t")
        if not stripped:
            raise InvalidValueError(
                f"there is an empty address at character {place + 1}", "separate addresses by one comma"
            )
        yield stripped, place + part.index(stripped)
        place += len(part) + 1


def http_url(text: str, *, instead: str, needs_port: bool = False, offset: int = 0) -> tuple[str, HostPort]:
    """Read `http://host:port/` or `https://...`, and return the scheme and the address. Without a scheme it is empty.

    Raises InvalidValueError.
    """
    scheme, rest = "", text
    for known in ("http", "https"):
        if text.lower().startswith(f"{known}://"):
            scheme, rest = known, text[len(known) + 3 :]
    place = offset + len(text) - len(rest)
    address = host_port(rest.removesuffix("/"), place, instead=instead)
    if needs_port and address.port is None:
        raise InvalidValueError("an address has no port", instead)
    return scheme, address


def socket_path(text: str, offset: int = 0) -> str:
    """Read the path of a Unix socket, or of a folder of them. Raises InvalidValueError."""
    if _PATH.fullmatch(text) is None:
        place = next((at for at, each in enumerate(text) if each not in _OF_HOSTS and each != "/"), len(text))
        message = f"{character(text, place, offset)} is not allowed in the path of a Unix socket"
        raise InvalidValueError(message, "write letters, digits, '.', '_', '-' and '/', 200 at most")
    return text


def _refuse_other_dialects(text: str, offset: int, instead: str) -> None:
    scheme = _SCHEME.match(text)
    if scheme is not None:
        tls = '; for TLS add enableTLS: "true"' if scheme[0].lower() in ("rediss://", "memcacheds://") else ""
        raise InvalidValueError(
            f"a URL begins at character {offset + 1}, and a URL is not accepted here", instead + tls
        )
    if "@" in text:
        message = f"{character(text, text.index('@'), offset)} has no place here: an address holds no user or password"
        raise InvalidValueError(message, f"{instead}, and give user and password in their own fields")
    for place, each in enumerate(text):
        if each in _OF_OTHER_DIALECTS:
            message = f"{character(text, place, offset)} has no place here: an address holds no settings"
            raise InvalidValueError(message, f"{instead}, and each setting in its own field")


def _check_name(name: str, offset: int, instead: str) -> None:
    """Refuse a name for which DNS can have no address."""
    for place, each in enumerate(name):
        if each not in _OF_HOSTS:
            advice = (
                instead if each.isascii() else f"{instead}; a name in other letters is written as DNS has it (xn--)"
            )
            raise InvalidValueError(f"{character(name, place, offset)} is not allowed in a host name", advice)
    labels = name.removesuffix(".").split(".")
    if len(name) > 253 or any(_LABELS.fullmatch(label) is None for label in labels):
        message = f"what begins at character {offset + 1} is not a host name"
        raise InvalidValueError(
            message, f"{instead}; each part of a name has 1 to 63 characters, and no '-' at its ends"
        )


def _bracketed(text: str, offset: int, instead: str) -> HostPort:
    match = _BRACKETED.match(text)
    if match is None:
        raise InvalidValueError(f"what begins at character {offset + 1}, '[', is not an IPv6 address", instead)
    host = _v6(match[1], offset + 1, instead) + (match[2] or "")
    rest = text[match.end() :]
    if not rest:
        return HostPort(host)
    if not rest.startswith(":"):
        raise InvalidValueError(f"{character(text, match.end(), offset)} cannot follow an IPv6 address", instead)
    return HostPort(host, _port(rest[1:], offset + match.end() + 1))


def _v6(text: str, offset: int, instead: str) -> str:
    from ipaddress import IPv6Address  # imported here, because few addresses need it

    try:
        IPv6Address(text.partition("%")[0])
    except ValueError:
        message = f"what begins at character {offset + 1} has several ':' and is not an IPv6 address"
        raise InvalidValueError(message, instead) from None
    if re.fullmatch(r"(?a:[0-9A-Fa-f:.]+(%[\w.-]{1,32})?)", text) is None:
        raise InvalidValueError(f"what begins at character {offset + 1} is not an IPv6 address", instead)
    return text


def _port(text: str, offset: int) -> int:
    """Read a port that begins at that position. The text is not quoted, because it may be a password."""
    if _PORT.fullmatch(text) is None or not 1 <= int(text) <= 65535:
        raise InvalidValueError(
            f"the text after ':' at character {offset} is not a port", "write a port from 1 to 65535"
        )
    return int(text)


def socket_or_host_list(text: str) -> tuple[HostPort | str, ...]:
    """Read addresses, and paths of Unix sockets, which begin with a slash. Raises InvalidValueError."""
    instead = "write host or host:port, several separated by commas, or the path of a Unix socket"
    return tuple(
        socket_path(part, place) if part.startswith("/") else host_port(part, place, instead=instead)
        for part, place in parts(text)
    )


def http_url_list(text: str) -> tuple[tuple[str, HostPort], ...]:
    """Read addresses with ports; `http://` or `https://` before them is optional. Raises InvalidValueError."""
    instead = "write host:port, several separated by commas"
    return tuple(http_url(part, instead=instead, needs_port=True, offset=place) for part, place in parts(text))


def agent_url(text: str) -> tuple[str, HostPort]:
    """Read one address with a port; `http://` or `https://` before it is optional. Raises InvalidValueError."""
    return http_url(text, instead="write host:port, like 127.0.0.1:8500", needs_port=True)


def full_url(text: str) -> tuple[str, HostPort]:
    """Read `http://host:port/` or `https://...`, without a path. Raises InvalidValueError."""
    instead = "write https://HOST:PORT, without a path"
    scheme, address = http_url(text, instead=instead)
    if not scheme:
        raise InvalidValueError("it does not begin with http:// or https://", instead)
    return scheme, address
