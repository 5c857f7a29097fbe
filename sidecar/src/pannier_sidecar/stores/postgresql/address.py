"""Reads where PostgreSQL is from a connection string of Dapr's driver: a URL, or `host=... user=...`.

Parameters that are not read here, such as sslmode, are passed on to asyncpg.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final
from urllib.parse import urlencode

from pannier_crds.addresses.hosts import HostPort
from pannier_crds.addresses.postgresql import check_token, combined, hosts, is_local
from pannier_crds.problems import InvalidValueError
from pannier_crds.secret import Secret, shown
from pannier_sidecar.network.fields import read_field, shown_addresses
from pannier_sidecar.state.errors import StoreRefusedError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

_SEARCH_PATH: Final = re.compile(r"(?:^|\s)(?:-c\s*|--)search_path=((?:\\.|[^\s\\])*)")
_POOL_PARAMETERS: Final = frozenset(
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
_PORT: Final = "5432"
_FILES: Final = frozenset({"sslrootcert", "sslcert", "sslkey", "sslcrl"})


@dataclass(frozen=True, slots=True)
class Address:
    """Which server to connect to, as which user, and how."""

    url: Secret
    """The URL as the client library takes it."""
    where: str
    """The server and the database, for messages."""
    connect_timeout: float | None = None
    """Seconds; None: as long as any call may take."""
    size: int | None = None
    """Maximum number of connections, if the connection string has one."""
    search_path: str | None = None
    """Schemas in which tables are looked for; None: the server's default."""
    user: str = ""
    """Whom a token is for; empty without tokens."""
    signed_url: str = ""
    """The URL that AWS credentials sign as a token for the server; empty without those."""

    def __repr__(self) -> str:
        return f"Address({self.where})"


def read_address(connection_string: object, fields: Mapping[str, object]) -> Address:
    """Return the address; `fields` are other settings, which win over the string. Raises StoreRefusedError."""
    parameters = read_field("connectionString", connection_string, lambda text: combined(text, fields))
    shown_host = _shown_host(parameters, connection_string, fields)
    database = fields.get("database")
    shown_database = f", database {shown(database, 'database')}" if database else ""
    where = f"{shown_host}{shown_database}"
    by_aws = fields.get("useAWSIAM") is True and fields.get("useAzureAD") is not True
    if not by_aws and fields.get("useAzureAD") is not True:
        return _address(parameters, where)
    return _signed_in_by_token(parameters, where, by_aws=by_aws)


def _signed_in_by_token(parameters: dict[str, str], where: str, *, by_aws: bool) -> Address:
    """Return the address of a server that gets a token, and by TLS alone unless it is on this machine."""
    try:
        check_token(parameters, by_aws=by_aws)
    except InvalidValueError as wrong:
        raise StoreRefusedError(f"{wrong.message}; {wrong.advice}") from None
    if not is_local(parameters) and parameters.get("sslmode") in (None, "allow", "prefer"):
        parameters["sslmode"] = "require"
    parameters.pop("password", None)
    signed = _signed_url(parameters) if by_aws else ""
    user = parameters["user"]
    return replace(_address(parameters, where), user=user, signed_url=signed)


def _signed_url(parameters: Mapping[str, str]) -> str:
    (server,) = hosts(parameters.get("host") or parameters["hostaddr"])  # a name, if there is one, is the endpoint's
    assert isinstance(server, HostPort), "it is checked"
    return f"https://{HostPort(server.host, server.port or int(parameters.get('port', _PORT)))}/"


def _shown_host(parameters: Mapping[str, str], connection_string: object, fields: Mapping[str, object]) -> str:
    """Return the hosts for messages. Raises StoreRefusedError for an invalid host."""
    name = next((name for name in ("hostaddr", "host") if fields.get(name) is not None), "connectionString")
    given = fields.get(name) if name != "connectionString" else connection_string
    host = parameters.get("hostaddr") or parameters.get("host")
    if not host:
        return "its usual place"
    port = f":{int(parameters['port'])}" if parameters.get("port", "").isdecimal() else ""
    found = [f"{each}{port}" if isinstance(each, str) or each.port is None else each for each in _hosts(name, host)]
    return shown_addresses(name, given, found)


def _hosts(name: str, host: str) -> Sequence[HostPort | str]:
    return read_field(name, host, hosts)


def _address(parameters: dict[str, str], where: str) -> Address:
    for name in _FILES & parameters.keys():
        if not os.access(parameters[name], os.R_OK):
            raise StoreRefusedError(f"{name} is no file that can be read; write the path of one")
    parameters.setdefault("dbname", parameters.pop("database", ""))
    parameters["host"] = ",".join(map(_bracketed, parameters.pop("hostaddr", parameters.get("host", "")).split(",")))
    parameters.setdefault("application_name", "pannier")
    connect_timeout = _number(parameters.pop("connect_timeout", "0"), "connect_timeout")
    search_path = _search_path(parameters)
    size = _number(parameters.pop("pool_max_conns", "0"), "pool_max_conns")
    kept = {name: value for name, value in parameters.items() if value and name not in _POOL_PARAMETERS}
    return Address(
        url=Secret(f"postgresql://?{urlencode(kept)}"),
        where=where,
        connect_timeout=connect_timeout or None,
        size=size or None,
        search_path=search_path,
    )


def _search_path(parameters: dict[str, str]) -> str | None:
    """Take the search path out of the parameters: a pooler would refuse it, or ignore it silently."""
    given = parameters.pop("search_path", None)
    in_options = _SEARCH_PATH.search(parameters.get("options", ""))
    if in_options is None:
        return given
    parameters["options"] = _SEARCH_PATH.sub(" ", parameters["options"]).strip()
    return given or re.sub(r"\\(.)", r"\1", in_options[1])


def _bracketed(host: str) -> str:
    """Return a host as it is written before a port: an IPv6 address gets brackets."""
    return f"[{host}]" if host.count(":") > 1 and not host.startswith("[") else host


def _number(text: str, name: str) -> int:
    if not text.isdecimal():
        raise StoreRefusedError(f"connectionString has a {name} that is no whole number")
    return int(text)
