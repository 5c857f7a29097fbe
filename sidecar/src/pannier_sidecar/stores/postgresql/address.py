"""Where PostgreSQL is, from a connection string as Dapr's driver takes it: a URL, or `host=... user=...`."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final
from urllib.parse import parse_qsl, unquote, urlencode, urlsplit

from pannier_sidecar.state.errors import StoreRefused

if TYPE_CHECKING:
    from collections.abc import Mapping

_KEYWORD: Final = re.compile(r"\s*(\w+)\s*=\s*(?:'((?:[^'\\]|\\.)*)'|((?:[^\s'\\]|\\.)*))(?=\s|$)\s*")
_SEARCH_PATH: Final = re.compile(r"(?:^|\s)(?:-c\s*|--)search_path=((?:\\.|[^\s\\])*)")
_SCHEMES: Final = ("postgresql", "postgres")
_OF_DAPRS_POOL: Final = frozenset(
    {
        "pool_min_conns",
        "pool_min_idle_conns",
        "pool_max_conn_lifetime",
        "pool_max_conn_lifetime_jitter",
        "pool_max_conn_idle_time",
        "pool_health_check_period",
        "statement_cache_capacity",
        "description_cache_capacity",
        "default_query_exec_mode",
    }
)
_FILES: Final = frozenset({"sslrootcert", "sslcert", "sslkey", "sslcrl"})
_FIELDS: Final = {
    "host": "host",
    "hostaddr": "host",
    "port": "port",
    "database": "dbname",
    "user": "user",
    "password": "password",
    "sslRootCert": "sslrootcert",
}
"""Settings, and the parameters of a connection string that they stand for; the later goes before the earlier."""


@dataclass(frozen=True, slots=True)
class Address:
    """Whom to connect to, as whom, and how."""

    url: str
    """As the client library takes it. Holds the password."""
    where: str
    """For messages."""
    connect_timeout: float | None = None
    """Seconds; None: that of any call."""
    size: int | None = None
    """Most connections, if the connection string says so."""
    search_path: str | None = None
    """Schemas in which tables are looked for; None: what the server says."""

    def __repr__(self) -> str:
        return f"Address({self.where})"


def read_address(connection_string: str, fields: Mapping[str, object]) -> Address:
    """Return the address; `fields` are other settings, which go before the string. Raises StoreRefused."""
    text = connection_string.strip()
    scheme, separator, _ = text.partition("://")
    if separator and scheme not in _SCHEMES and "=" not in scheme:
        raise StoreRefused("connectionString is a URL of another kind; write postgresql://user@host:port/database")
    parameters = _of_url(text) if scheme in _SCHEMES else _of_keywords(text)
    for name, parameter in _FIELDS.items():
        if fields.get(name) is not None:
            parameters[parameter] = str(fields[name])
    return _address(parameters)


def _of_url(text: str) -> dict[str, str]:
    try:
        parts = urlsplit(text)
    except ValueError as error:
        raise StoreRefused(f"connectionString is no URL ({error}); escape special characters as %XX") from error
    user_info, _, hosts = parts.netloc.rpartition("@")
    user, _, password = user_info.partition(":")
    found = {"host": hosts, "user": user, "password": password, "dbname": parts.path.lstrip("/")}
    return {**{name: unquote(value) for name, value in found.items() if value}, **dict(parse_qsl(parts.query))}


def _of_keywords(text: str) -> dict[str, str]:
    found: dict[str, str] = {}
    place = 0
    while place < len(text):
        match = _KEYWORD.match(text, place)
        if match is None:
            # What stands there may be a password: it is not shown.
            raise StoreRefused(
                f"connectionString makes no sense after its character {place}; write name=value pairs with spaces "
                "between them and 'quotes' around values that hold spaces, or a URL"
            )
        quoted, bare = match[2], match[3]
        found[match[1].lower()] = re.sub(r"\\(.)", r"\1", bare if quoted is None else quoted)
        place = match.end()
    return {name: value for name, value in found.items() if value}


def _address(parameters: dict[str, str]) -> Address:
    for name in _FILES & parameters.keys():
        if not os.access(parameters[name], os.R_OK):
            raise StoreRefused(f"{name} {parameters[name]!r} is no file that can be read; write the path of one")
    parameters.setdefault("dbname", parameters.pop("database", ""))
    parameters["host"] = ",".join(map(_bracketed, parameters.pop("hostaddr", parameters.get("host", "")).split(",")))
    parameters.setdefault("application_name", "pannier")
    connect_timeout = _number(parameters.pop("connect_timeout", "0"), "connect_timeout")
    search_path = _search_path(parameters)
    size = _number(parameters.pop("pool_max_conns", "0"), "pool_max_conns")
    kept = {name: value for name, value in parameters.items() if value and name not in _OF_DAPRS_POOL}
    return Address(
        url=f"postgresql://?{urlencode(kept)}",
        where=_where(kept),
        connect_timeout=connect_timeout or None,
        size=size or None,
        search_path=search_path,
    )


def _search_path(parameters: dict[str, str]) -> str | None:
    """Take the search path out of the parameters: a pooler would refuse it, or pass over it without a word."""
    given = parameters.pop("search_path", None)
    in_options = _SEARCH_PATH.search(parameters.get("options", ""))
    if in_options is None:
        return given
    parameters["options"] = _SEARCH_PATH.sub(" ", parameters["options"]).strip()
    return given or re.sub(r"\\(.)", r"\1", in_options[1])


def _where(parameters: Mapping[str, str]) -> str:
    host = parameters.get("host", "its usual place") + (f":{parameters['port']}" if "port" in parameters else "")
    return f"PostgreSQL at {host}" + (f", database {parameters['dbname']}" if "dbname" in parameters else "")


def _bracketed(host: str) -> str:
    """Return an IPv6 address as it stands before a port."""
    return f"[{host}]" if host.count(":") > 1 and not host.startswith("[") else host


def _number(text: str, name: str) -> int:
    if not text.isdecimal():
        raise StoreRefused(f"connectionString has {name}={text}, which is no whole number")
    return int(text)
