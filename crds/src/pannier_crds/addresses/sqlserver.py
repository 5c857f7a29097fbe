"""SQL Server's connection strings as Dapr's driver takes them: ADO, ODBC, or a URL.

`server=HOST;user id=USER;password=...`, `odbc:server=HOST;...;pwd={...}` and `sqlserver://USER:PASSWORD@HOST:PORT?...`.
The parameters are those of go-mssqldb, with the synonyms of .NET.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final, NamedTuple
from urllib.parse import unquote, unquote_plus

from pannier_crds.addresses.hosts import HostPort, host_port
from pannier_crds.addresses.urls import check_escapes, split_authority
from pannier_crds.problems import InvalidValueError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

FORM: Final = "write server=HOST;port=1433;user id=USER;password=PASSWORD;database=DATABASE;encrypt=true"
URL: Final = "write sqlserver://USER:PASSWORD@HOST:1433?database=DATABASE&encrypt=true"
ENCRYPTIONS: Final = {
    "strict": ("strict",),
    "mandatory": ("mandatory", "true", "yes", "1", "t"),
    "optional": ("optional", "false", "no", "0", "f"),
    "disable": ("disable",),
}
"""What `encrypt` means. `optional` would give up encryption silently, and is taken as `mandatory` with any certificate
that the server has."""
_SYNONYMS: Final = {
    "address": "server",
    "addr": "server",
    "network address": "server",
    "data source": "server",
    "servername": "server",
    "user": "user id",
    "uid": "user id",
    "username": "user id",
    "pwd": "password",
    "initial catalog": "database",
    "databasename": "database",
    "trust server certificate": "trustservercertificate",
    "host name in certificate": "hostnameincertificate",
    "server certificate": "certificate",
    "servercertificate": "certificate",
}
_KNOWN: Final = (
    "server",
    "port",
    "user id",
    "password",
    "database",
    "encrypt",
    "trustservercertificate",
    "hostnameincertificate",
    "certificate",
)
WITHOUT_EFFECT: Final = frozenset(
    {
        "app name",
        "application name",
        "command timeout",
        "connect timeout",
        "connection timeout",
        "connectretrycount",
        "connectretryinterval",
        "dial timeout",
        "disableretry",
        "driver",
        "guid conversion",
        "keepalive",
        "load balance timeout",
        "log",
        "max pool size",
        "min pool size",
        "multipleactiveresultsets",
        "multisubnetfailover",
        "network library",
        "notraceid",
        "packet size",
        "persist security info",
        "persistsecurityinfo",
        "pooling",
        "protocol",
        "timezone",
        "tlsmin",
        "workstation id",
        "wsid",
    }
)
"""Parameters of the drivers that change nothing here."""
_REFUSED: Final = {
    "applicationintent": ("a server that only reads takes no writes", "take ApplicationIntent out"),
    "authentication": ("signing in is told elsewhere", "take Authentication out, and write useAzureAD: true"),
    "authenticator": ("Windows' ways to sign in are not served", "write user id and password, or useAzureAD: true"),
    "fedauth": ("signing in is told elsewhere", "take fedauth out, and write useAzureAD: true"),
    "failoverpartner": ("mirroring is not served", "write the listener of the availability group into server"),
    "failover partner": ("mirroring is not served", "write the listener of the availability group into server"),
    "integrated security": ("Windows' ways to sign in are not served", "write user id and password"),
    "trusted_connection": ("Windows' ways to sign in are not served", "write user id and password"),
    "columnencryption": ("columns are not encrypted by the client", "take it out; see primaryEncryptionKey"),
    "column encryption setting": ("columns are not encrypted by the client", "take it out; see primaryEncryptionKey"),
}
_OFF: Final = ("false", "no", "0", "f", "disabled", "readwrite")
_LOCAL: Final = (".", "(local)", "localhost")
_MAX_LENGTH: Final = 128
_PORT: Final = 1433


class DataSource(NamedTuple):
    """Where the server is, and as whom and how to connect to it."""

    server: HostPort
    """With its port."""
    user: str
    """Empty: none is given."""
    password: str
    database: str
    """Empty: none is given."""
    encryption: str
    """One of ENCRYPTIONS."""
    trusts_any_certificate: bool
    certificate_name: str
    """The name that the server's certificate must have; empty: the server's own."""
    authority_file: str
    """PEM file of the only authority to trust; empty: those of the system."""


def data_source(text: str) -> DataSource:
    """Parse a connection string. Raises InvalidValueError, which never quotes the text."""
    text = text.strip()
    lower = text.lower()
    if lower.startswith("sqlserver://"):
        found = _of_url(text)
    elif re.match(r"(?a:[a-z][a-z0-9+.-]*://)", lower):
        raise InvalidValueError("a URL of another kind begins at character 1", URL)
    elif lower.startswith("odbc:"):
        found = _canonical(_odbc_pairs(text, len("odbc:")))
    else:
        found = _canonical(_ado_pairs(text))
    for name in ("user id", "password", "database"):
        if len(found.get(name, "")) > _MAX_LENGTH:
            raise InvalidValueError(f"{name} is too long", f"write up to {_MAX_LENGTH} characters")
    encryption = _encryption(found)
    trusts_any = _is_on(found, "trustservercertificate", "encrypt" not in found)
    return DataSource(
        server=_server(found),
        user=found.get("user id", ""),
        password=found.get("password", ""),
        database=found.get("database", ""),
        encryption=encryption,
        trusts_any_certificate=trusts_any or encryption == "optional",
        certificate_name=found.get("hostnameincertificate", ""),
        authority_file=found.get("certificate", ""),
    )


def read(text: str) -> None:
    """Raise InvalidValueError for a text that is no connection string."""
    data_source(text)


def _of_url(text: str) -> dict[str, str]:
    start = len("sqlserver://")
    authority = split_authority(text, start)
    check_escapes(authority.user_info, start)
    path = text[authority.end : authority.path_end].removeprefix("/")
    user, _, password = authority.user_info.partition(":")
    server = host_port(authority.hosts, authority.hosts_at, instead=URL)
    found = _canonical(_query(text, authority.query_at))
    if "server" in found or "port" in found:
        raise InvalidValueError("the server is given twice", URL)
    found["server"] = server.host
    if server.port is not None:
        found["port"] = str(server.port)
    if path and server.port is None:
        raise InvalidValueError("an instance is named, and its port is not known", f"{URL}, with the instance's port")
    for name, value in (("user id", unquote(user)), ("password", unquote(password))):
        if value:
            found[name] = value
    return found


def _query(text: str, start: int | None) -> Iterator[tuple[str, str]]:
    """Yield names, which may have escapes and blanks, and values of a URL's query."""
    for pair in filter(None, text[start:].split("&") if start is not None else ()):
        name, equals, value = pair.partition("=")
        if not equals:
            raise InvalidValueError("a parameter after '?' has no '='", f"{URL}, with & between parameters")
        check_escapes(pair, text.index(pair, start))
        yield unquote_plus(name), unquote_plus(value)


def _ado_pairs(text: str) -> Iterator[tuple[str, str]]:
    """Yield names and values; a value may be in quotes, which are doubled inside."""
    place = 0
    while place < len(text):
        match = _ADO.match(text, place)
        if match is None:
            raise InvalidValueError(f"the text can't be read after its character {place}", FORM)
        place = match.end()
        if match["name"] is None:
            continue
        quoted = match["double"], match["single"]
        value = match["bare"]
        if quoted[0] is not None:
            value = quoted[0].replace('""', '"')
        elif quoted[1] is not None:
            value = quoted[1].replace("''", "'")
        yield match["name"], value.strip() if quoted == (None, None) else value


_ADO: Final = re.compile(
    r"""\s*(?:(?P<name>[^=;]+?)\s*=\s*(?:"(?P<double>(?:[^"]|"")*)"\s*|'(?P<single>(?:[^']|'')*)'\s*|(?P<bare>(?!["'])[^;]*))
    |(?=;|\Z))(?:;|\Z)""",
    re.VERBOSE,
)
_ODBC: Final = re.compile(
    r"\s*(?:(?P<name>[^=;{}]+?)\s*=\s*(?:\{(?P<braced>(?:[^}]|\}\})*)\}\s*|(?P<bare>(?!\{)[^;]*))|(?=;|\Z))(?:;|\Z)"
)


def _odbc_pairs(text: str, start: int) -> Iterator[tuple[str, str]]:
    """Yield names and values; a value may be in braces, of which the closing one is doubled inside."""
    place = start
    while place < len(text):
        match = _ODBC.match(text, place)
        if match is None:
            raise InvalidValueError(f"the text can't be read after its character {place}", FORM)
        place = match.end()
        if match["name"] is not None:
            braced = match["braced"]
            yield match["name"], match["bare"].strip() if braced is None else braced.replace("}}", "}")


def _canonical(pairs: Iterator[tuple[str, str]]) -> dict[str, str]:
    found: dict[str, str] = {}
    for written, value in pairs:
        name = written.strip().lower()
        name = _SYNONYMS.get(name, name)
        if name in _REFUSED:
            if value.strip().lower() not in _OFF:
                reason, advice = _REFUSED[name]
                raise InvalidValueError(f"{name} cannot have effect: {reason}", advice)
        elif name in _KNOWN:
            if found.get(name, value) != value:
                raise InvalidValueError(f"{name} is given twice", FORM)
            found[name] = value
        elif name not in WITHOUT_EFFECT:
            raise InvalidValueError("a parameter is not known", f"take it out; known are {', '.join(_KNOWN)}")
    return found


def _server(found: Mapping[str, str]) -> HostPort:
    text = found.get("server", "").strip()
    if text.lower().startswith("tcp:"):
        text = text[len("tcp:") :]
    host, comma, port = text.partition(",")
    port = port.strip() if comma else found.get("port", "").strip()
    host, backslash, _ = host.strip().partition("\\")
    if backslash and not port:
        raise InvalidValueError("an instance is named, and its port is not known", f"{FORM}, with the instance's port")
    if host.lower() in _LOCAL:
        host = "localhost"
    if port and not (port.isascii() and port.isdecimal() and 1 <= int(port[:6]) <= 65535):
        raise InvalidValueError("port is not a port", "write a port from 1 to 65535")
    server = host_port(host, instead=FORM)
    if server.port is not None:
        raise InvalidValueError("a ':' follows the host", f"{FORM}, or server=HOST,PORT")
    return HostPort(server.host, int(port) if port else _PORT)


def _encryption(found: Mapping[str, str]) -> str:
    value = found.get("encrypt", "optional").strip().lower()
    for encryption, words in ENCRYPTIONS.items():
        if value in words:
            return encryption
    raise InvalidValueError("encrypt has a value that is not known", "write encrypt=true, strict, false or disable")


def _is_on(found: Mapping[str, str], name: str, default: bool) -> bool:
    value = found.get(name, "").strip().lower()
    if not value:
        return default
    if value in ENCRYPTIONS["mandatory"]:
        return True
    if value in ENCRYPTIONS["optional"]:
        return False
    raise InvalidValueError(f"{name} has a value that is not known", f"write {name}=true or {name}=false")
