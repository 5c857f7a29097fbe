"""Parse the addresses of NATS servers: `nats://user:password@host:port`, several separated by commas."""

from __future__ import annotations

from typing import Final, NamedTuple
from urllib.parse import unquote

from pannier_crds.addresses.hosts import HostPort, character, host_port, parts
from pannier_crds.addresses.urls import check_escapes
from pannier_crds.problems import InvalidValueError
from pannier_crds.secret import Secret

PORT: Final = 4222
_INSTEAD: Final = "write nats://host:port, or tls://host:port for TLS"
_SCHEMES: Final = ("nats", "tls")


class NatsServer(NamedTuple):
    """One server, and who logs in there."""

    address: HostPort
    """Its port is known."""
    needs_tls: bool
    user: Secret | None = None
    """None: nobody, or a token."""
    secret: Secret | None = None
    """The password of the user; without a user, a token."""


def server_list(text: str) -> tuple[NatsServer, ...]:
    """Read addresses, each with `nats://` or `tls://` before it or without either. A user and a password, or a token,
    may stand before `@`. Raises InvalidValueError.
    """
    found = tuple(_server(part, place) for part, place in parts(text))
    if len({server.needs_tls for server in found}) > 1:
        raise InvalidValueError("some addresses begin with tls:// and others do not", "write all in the same way")
    return found


def _server(text: str, place: int) -> NatsServer:
    scheme, separator, rest = text.partition("://")
    if not separator:
        scheme, rest = "nats", text
    elif scheme.lower() not in _SCHEMES:
        message = f"the URL at character {place + 1} begins with neither nats:// nor tls://"
        raise InvalidValueError(message, _INSTEAD)
    place += len(text) - len(rest)
    login, at, address = rest.removesuffix("/").rpartition("@")
    for each in "/?#@":
        if each in login:
            message = f"{character(rest, login.index(each), place)} is inside the user or password"
            raise InvalidValueError(message, "write %2F for '/', %3F for '?', %23 for '#' and %40 for '@'")
    host, port = host_port(address, place + len(login) + len(at), instead=_INSTEAD)
    user, secret = _login(login, place) if at else (None, None)
    return NatsServer(HostPort(host, port or PORT), scheme.lower() == "tls", user, secret)


def _login(text: str, place: int) -> tuple[Secret | None, Secret]:
    """Return the user and the password, or only a token."""
    check_escapes(text, place)
    user, colon, password = text.partition(":")
    if not user or (colon and not password):
        raise InvalidValueError(f"the login at character {place + 1} is not whole", "write user:password@ or token@")
    if any(not each.isprintable() for each in unquote(text)):
        raise InvalidValueError(f"the login at character {place + 1} has a control character", "take it out")
    return (Secret(unquote(user)), Secret(unquote(password))) if colon else (None, Secret(unquote(user)))
