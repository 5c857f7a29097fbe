"""MySQL's data source names as Dapr's driver takes them: `user:password@tcp(host:3306)/?tls=true`.

The form is that of go-sql-driver/mysql: the last `/` ends the address, the last `@` before it ends user and password.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final, NamedTuple
from urllib.parse import unquote

from pannier_crds.addresses.hosts import HostPort, host_port, socket_path
from pannier_crds.problems import InvalidValueError

if TYPE_CHECKING:
    from collections.abc import Iterator

FORM: Final = "write USER:PASSWORD@tcp(HOST:PORT)/?tls=true"
TLS: Final = ("true", "false", "skip-verify", "preferred", "custom")
"""Values of `tls`. `preferred` would give up encryption silently, and is taken as `skip-verify`."""
WITHOUT_EFFECT: Final = frozenset(
    {
        "allowFallbackToPlaintext",
        "allowNativePasswords",
        "charset",
        "checkConnLiveness",
        "clientFoundRows",
        "collation",
        "columnsWithAlias",
        "connectionAttributes",
        "interpolateParams",
        "loc",
        "maxAllowedPacket",
        "multiStatements",
        "parseTime",
        "readTimeout",
        "rejectReadOnly",
        "timeout",
        "timeTruncate",
        "writeTimeout",
        "autocommit",
        "innodb_lock_wait_timeout",
        "lock_wait_timeout",
        "sql_mode",
        "time_zone",
        "transaction_isolation",
        "tx_isolation",
    }
)
"""Parameters of the driver that change nothing here, and system variables that the store sets itself."""
_MUST_BE_OFF: Final = {
    "allowAllFiles": "files of this machine are never sent to the server",
    "allowOldPasswords": "passwords of servers older than 4.1 are not safe",
    "compress": "connections are not compressed",
}
_OFF: Final = ("0", "false", "FALSE", "False")
_PROTOCOL: Final = re.compile(r"(?a:([a-z0-9]*)(?:\((.*)\))?)", re.IGNORECASE | re.DOTALL)
_PORT: Final = 3306


class DataSource(NamedTuple):
    """Where the server is, and as whom and how to connect to it."""

    user: str
    password: str
    server: HostPort | None
    """The server, with its port; None for a Unix socket."""
    socket: str
    """Path of the Unix socket, or empty."""
    tls: str
    """One of `TLS`."""
    sends_password_as_text: bool
    """Whether the password may be sent as it is, which needs TLS."""


def data_source(text: str) -> DataSource:
    """Parse a data source name. Raises InvalidValueError, which never quotes the text."""
    address, slash, rest = text.strip().rpartition("/")
    credentials, at, place = address.rpartition("@")
    if not slash or place.count("(") > place.count(")"):  # the last slash is in a path in brackets
        raise InvalidValueError("there is no '/' after the address", FORM)
    database, _, query = rest.partition("?")
    if database:
        raise InvalidValueError(
            "it names a database after its last '/'", f"{FORM}, and the name of the database in schemaName"
        )
    user, _, password = credentials.partition(":")
    if not user:
        raise InvalidValueError("there is no user", FORM)
    found = dict(_parameters(query))
    tls = found.get("tls", "false")
    server, path = _server(place, len(credentials) + len(at))
    return DataSource(user, password, server, path, _tls(tls), _is_on(found.get("allowCleartextPasswords", "false")))


def check_token(source: DataSource, *, by_aws: bool) -> None:
    """Raise InvalidValueError if no token can be sent to the server, or might be sent as plain text."""
    if source.server is None and by_aws:
        raise InvalidValueError("useAWSIAM does not sign in by a Unix socket", "write tcp(ENDPOINT:3306)")
    if source.server is not None and source.tls in ("false", "preferred"):
        raise InvalidValueError("a token is never sent without TLS", "write tls=true, or tls=custom and pemPath")


def read(text: str) -> None:
    """Raise InvalidValueError for a text that is not a data source name."""
    data_source(text)


def _server(text: str, offset: int) -> tuple[HostPort | None, str]:
    match = _PROTOCOL.fullmatch(text)
    if match is None:
        raise InvalidValueError("the address after '@' is not PROTOCOL(ADDRESS)", FORM)
    protocol, address = match[1] or "tcp", match[2]
    if protocol == "unix":
        return None, socket_path(address or "/tmp/mysql.sock", offset)  # the driver's default
    if protocol not in ("tcp", "tcp4", "tcp6"):
        raise InvalidValueError("the protocol before '(' is neither tcp nor unix", FORM)
    found = host_port(address or "127.0.0.1", offset + len(match[1]) + 1, instead=FORM)
    return HostPort(found.host, found.port or _PORT), ""


def _parameters(query: str) -> Iterator[tuple[str, str]]:
    for part in filter(None, query.split("&")):
        name, equals, value = part.partition("=")
        if not equals:
            raise InvalidValueError("a parameter after '?' has no '='", f"{FORM}, with & between parameters")
        value = unquote(value)
        if name in _MUST_BE_OFF:
            if value not in _OFF:
                raise InvalidValueError(f"{name} is on, but {_MUST_BE_OFF[name]}", f"take {name} out")
        elif name not in WITHOUT_EFFECT and name not in ("tls", "allowCleartextPasswords"):
            known = name if re.fullmatch(r"(?a:[A-Za-z_]{1,40})", name) and name == "serverPubKey" else "a parameter"
            raise InvalidValueError(
                f"{known} after '?' is not known", "take it out; tls and allowCleartextPasswords are known"
            )
        yield name, value


def _tls(value: str) -> str:
    folded = value.lower()
    if folded in ("1", "0"):
        return "true" if folded == "1" else "false"
    if folded not in TLS:
        raise InvalidValueError("tls has a value that is not known", f"write tls={', tls='.join(TLS)}")
    return folded


def _is_on(value: str) -> bool:
    return value.lower() in ("1", "true")
