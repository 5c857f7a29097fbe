"""PostgreSQL's connection strings as Dapr's driver takes them: a URL, or `host=... user=...`.

Hosts, numbers, and parameters with a few possible values, such as sslmode, are checked here. Other parameters are not:
the store's client library judges them when it connects.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final
from urllib.parse import unquote

from pannier_crds.addresses.hosts import HostPort, character, host_port, is_loopback, parts, socket_path
from pannier_crds.addresses.urls import Authority, check_escapes, query_pairs, split_authority
from pannier_crds.problems import InvalidValueError
from pannier_crds.secret import reveal

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

URL: Final = "write postgresql://USER:PASSWORD@HOST:PORT/DATABASE"
_PAIRS: Final = (
    "write name=value pairs with spaces between them and 'quotes' around values that hold spaces, ';' or '=', or a URL"
)
_SCHEMES: Final = ("postgresql://", "postgres://")
_SCHEME: Final = re.compile(r"(?a:[a-z][a-z0-9+.-]*:(//|[a-z]+:))", re.IGNORECASE)
_KEYWORD: Final = re.compile(r"\s*(\w+)\s*=\s*(?:'((?:[^'\\]|\\.)*)'|((?:[^\s'\\]|\\.)*))(?=\s|$)\s*", re.ASCII)
_OTHER_DIALECT: Final = re.compile(
    r"[;,]\s*(?:user|username|uid|user id|password|pwd|host|hostname|server|data source|port|database|dbname|sslmode"
    r"|ssl mode|timeout|pooling|initial catalog)\s*(?:=|$)",
    re.IGNORECASE,
)
_CHOICES: Final = {
    "sslmode": ("disable", "allow", "prefer", "require", "verify-ca", "verify-full"),
    "target_session_attrs": ("any", "primary", "standby", "read-write", "read-only", "prefer-standby"),
}
"""Parameters that have one of a few values (PostgreSQL documentation, 34.1.2)."""
FIELDS: Final = {
    "host": "host",
    "hostaddr": "host",
    "port": "port",
    "database": "dbname",
    "user": "user",
    "password": "password",
    "sslRootCert": "sslrootcert",
}
"""Settings, and the parameters of a connection string that they replace. If two settings replace the same parameter,
the later one wins.
"""
_HOST: Final = "write the host alone, or several separated by commas, or the folder of a Unix socket"


def parameters(text: str) -> dict[str, str]:
    """Return the values of a connection string by libpq's names, without empty ones. Raises InvalidValueError."""
    text = text.strip()
    for scheme in _SCHEMES:
        if text.startswith(scheme):
            found = _of_url(text, len(scheme))
            break
    else:
        if _SCHEME.match(text):
            raise InvalidValueError("a URL of another kind begins at character 1", URL)
        found = _of_keywords(text)
    _check_numbers(found)
    _check_choices(found)
    return {name: value for name, value in found.items() if value}


def hosts(text: str, offset: int = 0) -> tuple[HostPort | str, ...]:
    """Read the hosts in a parameter: addresses, and the paths of folders as text. Raises InvalidValueError."""
    return tuple(
        socket_path(part, place) if part.startswith("/") else host_port(part, place, instead=_HOST)
        for part, place in parts(text, offset)
    )


def combined(connection_string: object, fields: Mapping[str, object]) -> dict[str, str]:
    """Return the parameters of a connection string, those of the given `fields` in place of its own.

    Raises InvalidValueError.
    """
    found = parameters(reveal(connection_string))
    for name, parameter in FIELDS.items():
        if fields.get(name) is not None:
            found[parameter] = reveal(fields[name]).strip()
    return found


def check_token(found: Mapping[str, str], *, by_aws: bool) -> None:
    """Raise InvalidValueError if no token can be sent with these parameters, or might be sent as plain text."""
    if not found.get("user"):
        raise InvalidValueError("a token needs a user", "add user: the one that the database has for this identity")
    servers = _servers(found)
    if by_aws and (len(servers) != 1 or isinstance(servers[0], str)):
        raise InvalidValueError(
            "useAWSIAM signs in to one host", "write one: the endpoint of the instance or the cluster"
        )
    if found.get("sslmode") == "disable" and not is_local(found):
        advice = "write sslmode=verify-full and sslRootCert, or sslmode=require"
        raise InvalidValueError("a token is never sent as plain text, and sslmode is disable", advice)


def is_local(found: Mapping[str, str]) -> bool:
    """Return whether all servers are on this machine."""
    servers = _servers(found)
    return bool(servers) and all(isinstance(each, str) or is_loopback(each.host) for each in servers)


def _servers(found: Mapping[str, str]) -> tuple[HostPort | str, ...]:
    """Return the servers; none if they are chosen by the environment."""
    text = found.get("hostaddr") or found.get("host")
    return hosts(text) if text else ()


def read(text: str) -> None:
    """Raise InvalidValueError for a text that is not a connection string."""
    parameters(text)


def read_hosts(text: str) -> None:
    """Raise InvalidValueError for a text that is neither hosts nor the folder of a Unix socket."""
    hosts(text)


def _of_url(text: str, start: int) -> dict[str, str]:
    authority = split_authority(text, start)
    found = {"host": _url_hosts(authority), "dbname": _database(text, authority)}
    user, colon, password = authority.user_info.partition(":")
    check_escapes(authority.user_info, start)
    found |= {"user": unquote(user), "password": unquote(password) if colon else ""}
    for name, value, place in query_pairs(text, authority.query_at):
        if name in ("host", "hostaddr"):
            hosts(value, place)
        found[name] = value
    return found


def _url_hosts(authority: Authority) -> str:
    text = authority.hosts
    if text.lower().startswith("%2f"):
        return socket_path(unquote(text), authority.hosts_at)
    if text:
        for part, place in parts(text, authority.hosts_at):
            host_port(part, place, instead=URL)
    return text


def _database(text: str, authority: Authority) -> str:
    path = text[authority.end : authority.path_end].removeprefix("/")
    place = authority.end + 1
    if "/" in path:
        raise InvalidValueError(
            f"{character(text, place + path.index('/'))} is not allowed in the name of a database", URL
        )
    check_escapes(path, place)
    return unquote(path)


def _of_keywords(text: str) -> dict[str, str]:
    found: dict[str, str] = {}
    place = 0
    while place < len(text):
        match = _KEYWORD.match(text, place)
        if match is None:
            raise InvalidValueError(f"the text can't be read after its character {place}", _PAIRS)
        name, quoted, bare = match[1].lower(), match[2], match[3]
        if bare:
            _refuse_other_dialect(bare, match.start(3))
        value = re.sub(r"\\(.)", r"\1", bare if quoted is None else quoted)
        if name in ("host", "hostaddr") and value:
            hosts(value, match.start(3 if quoted is None else 2))
        found[name] = value
        place = match.end()
    return found


def _refuse_other_dialect(value: str, place: int) -> None:
    """Refuse `host=a;password=P`: other drivers separate pairs with `;`, but here all of it would be one value."""
    separator = _OTHER_DIALECT.search(value)
    if separator is not None:
        raise InvalidValueError(
            f"{character(value, separator.start(), place)} does not separate name=value pairs here", _PAIRS
        )


def _check_numbers(found: Mapping[str, str]) -> None:
    for name in _numbers(found):
        if not all(part.isascii() and part.isdecimal() and len(part) < 10 for part in found[name].split(",")):
            raise InvalidValueError(f"{name} is not a whole number", f"write {name}=NUMBER")
    for port in found.get("port", "").split(","):
        if port and not 1 <= int(port) <= 65535:
            raise InvalidValueError("port is not a port", "write a port from 1 to 65535")


def _check_choices(found: Mapping[str, str]) -> None:
    for name, choices in _CHOICES.items():
        if found.get(name) and found[name] not in choices:
            known = ", ".join(choices[:-1])
            raise InvalidValueError(f"{name} has a value that is not known", f"write {known} or {choices[-1]}")


def _numbers(found: Mapping[str, str]) -> Iterator[str]:
    return (name for name in ("port", "connect_timeout", "pool_max_conns") if found.get(name))
