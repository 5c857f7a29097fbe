"""The component's metadata, as a URL and options for the client."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final
from urllib.parse import parse_qsl, quote_plus

from pannier_crds.addresses.mongodb import hosts, hosts_of_url
from pannier_crds.given_settings import GivenSettings
from pannier_crds.secret import Secret, shown
from pannier_sidecar.network.fields import read_field, shown_addresses
from pannier_sidecar.state.errors import StoreRefusedError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pannier_sidecar.state.store import Setting

OWN_OPTIONS: Final[Mapping[str, str | int]] = {
    "appName": "pannier",
    "w": 1,
    "journal": "true",
    # A write may be repeated only if the server remembers transaction numbers. Some servers that speak MongoDB's
    # protocol do not, although they claim to.
    "retryWrites": "false",
}
"""Options that the component's URL and `params` may overwrite; the write concern is Dapr's."""


@dataclass(frozen=True, slots=True)
class MongoDBSettings:
    """The component's settings; times in seconds."""

    url: Secret
    """The URL of the server."""
    hosts: str
    """The hosts, for messages."""
    database: str
    shown_database: str
    """The database, for messages."""
    collection: str
    write_concern: str | int | None
    """`majority` or a number; None: the URL's write concern."""
    read_concern: str
    timeout: float
    """Seconds that a call may take, including the wait for a connection and attempts after a failover."""

    def __str__(self) -> str:
        return f"MongoDB at {self.hosts}"


def read_settings(settings: Mapping[str, Setting]) -> MongoDBSettings:
    """Return the settings, with Dapr's defaults. Raises StoreRefusedError if no server is named, and for w=0."""
    given = GivenSettings("state.mongodb", settings)
    address = _address(given)
    concern = given.text("writeconcern")
    return MongoDBSettings(
        url=Secret(_with_own_options(address)),
        hosts=_shown_hosts(given),
        shown_database=shown(given["databaseName"], "databaseName"),
        database=_text(given, "databaseName"),
        collection=_text(given, "collectionName"),
        write_concern=int(concern) if concern.isdecimal() else concern or None,
        read_concern=_text(given, "readconcern") or _option(address, "readconcernlevel") or "local",
        timeout=given.number("operationTimeout"),
    )


def _text(given: GivenSettings, name: str) -> str:
    return given.text(name).strip()


def _address(given: GivenSettings) -> str:
    url = _text(given, "connectionString")
    if url:
        return url
    host, server = _text(given, "host"), _text(given, "server")
    if not host and not server:
        raise StoreRefusedError("no server is named; write host, server or connectionString")
    # As in Dapr, the user belongs to the database that holds the state, unless authSource names another one.
    where = quote_plus(_text(given, "databaseName"))
    options = _text(given, "params").lstrip("?&")
    return f"mongodb{'' if host else '+srv'}://{_user(given)}{host or server}/{where}?{options}"


def _shown_hosts(given: GivenSettings) -> str:
    """Return the hosts for messages. Raises StoreRefusedError for an invalid address."""
    readers = {"connectionString": hosts_of_url, "host": hosts, "server": hosts}
    name = next(name for name in readers if _text(given, name))
    return shown_addresses(name, given[name], read_field(name, given[name], readers[name]))


def _user(given: GivenSettings) -> str:
    name, password = given.text("username"), given.text("password")
    if not name:
        return ""
    return quote_plus(name) + (f":{quote_plus(password)}@" if password else "@")


def _option(url: str, name: str) -> str:
    """Return the URL's option of this name, written in lower case; empty: it has none."""
    given = {each.lower(): value for each, value in parse_qsl(url.partition("?")[2])}
    return given.get(name, "")


def _with_own_options(url: str) -> str:
    address, _, query = url.partition("?")
    given = {name.lower(): value for name, value in parse_qsl(query, keep_blank_values=True)}
    if given.get("w") == "0":
        raise StoreRefusedError("with w=0 nobody would know whether a write happened; take it out of params or the URL")
    options = [f"{name}={value}" for name, value in OWN_OPTIONS.items() if name.lower() not in given]
    if "/" not in address.partition("://")[2]:
        address += "/"
    return address + "?" + "&".join([*filter(None, [query.strip("&")]), *options])
