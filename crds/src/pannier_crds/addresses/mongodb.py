"""MongoDB's addresses: lists of hosts, the name of a DNS record, and whole connection strings."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final
from urllib.parse import unquote

from pannier_crds.addresses.hosts import HostPort, character, host_port, parts, socket_path
from pannier_crds.addresses.urls import ESCAPES, check_escapes, query_pairs, split_authority
from pannier_crds.problems import InvalidValueError

if TYPE_CHECKING:
    from collections.abc import Sequence

URL: Final = "write mongodb://USER:PASSWORD@HOST:PORT/?NAME=VALUE"
_HOSTS: Final = "write host or host:port, several separated by commas; a URL belongs into connectionString"
_SCHEMES: Final = ("mongodb://", "mongodb+srv://")
_NOT_IN_DATABASES: Final = re.compile(r'[/\\. "$*<>:|?@]')


def read(text: str) -> None:
    """Raise InvalidValueError for a text that is not a connection string."""
    hosts_of_url(text)


def hosts_of_url(text: str) -> Sequence[HostPort | str]:
    """Check a whole connection string and return its hosts; a Unix socket is a path. Raises InvalidValueError."""
    text = text.strip()
    scheme = next((each for each in _SCHEMES if text.startswith(each)), None)
    if scheme is None:
        raise InvalidValueError("it does not begin with mongodb:// or mongodb+srv://", URL)
    authority = split_authority(text, len(scheme))
    check_escapes(authority.user_info, len(scheme))
    if authority.user_info.count(":") > 1:
        second = authority.user_info.index(":", authority.user_info.index(":") + 1)
        message = f"{character(text, len(scheme) + second)} is inside the password"
        raise InvalidValueError(message, f"write %3A for ':' there; {ESCAPES.removeprefix('write ')}")
    database = text[authority.end : authority.path_end].removeprefix("/")
    wrong = _NOT_IN_DATABASES.search(unquote(database))
    if wrong is not None:
        raise InvalidValueError(f"what begins at character {authority.end + 2} is not the name of a database", URL)
    for _ in query_pairs(text, authority.query_at):
        pass
    if scheme == "mongodb+srv://":
        return (_name(authority.hosts, authority.hosts_at),)
    return hosts(authority.hosts, authority.hosts_at, instead=URL)


def hosts(text: str, offset: int = 0, *, instead: str = _HOSTS) -> Sequence[HostPort | str]:
    """Read a list of hosts; a Unix socket has its path with each `/` as %2F. Raises InvalidValueError."""
    return [
        socket_path(unquote(part), place) if part.lower().startswith("%2f") else host_port(part, place, instead=instead)
        for part, place in parts(text, offset)
    ]


def read_hosts(text: str) -> None:
    hosts(text)


def read_server(text: str) -> None:
    _name(text, 0)


def _name(text: str, offset: int) -> HostPort:
    name = host_port(text, offset, instead="write one DNS name, such as cluster0.example.com")
    if name.port is not None:
        raise InvalidValueError("the name of a DNS record has no port", "write the name alone")
    return name
