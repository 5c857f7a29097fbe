"""Parse where a service of an Azure storage account is: URLs of services, and connection strings.

Messages name the parts of a connection string, and never quote what follows their `=`.
"""

from __future__ import annotations

import re
from base64 import b64decode
from typing import TYPE_CHECKING, Final, Literal, NamedTuple, TypeVar

from pannier_crds.addresses.hosts import HostPort, character, host_port
from pannier_crds.problems import InvalidValueError
from pannier_crds.secret import Secret

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

Found = TypeVar("Found")
ServiceName = Literal["blob", "table"]

SUFFIX: Final = "core.windows.net"
_ACCOUNT: Final = re.compile(r"[a-z0-9]{3,24}")
_PATH: Final = re.compile(r"(?:/[A-Za-z0-9._~-]+)*/?")
_SAS: Final = re.compile(r"[A-Za-z0-9._~%=&:+/,-]+")
_SIGNATURE: Final = re.compile(r"(?:^|&)sig=[^&]")
_SUFFIX: Final = re.compile(r"[a-z0-9.-]+", re.IGNORECASE)
_KNOWN: Final = {
    name.lower(): name
    for name in (
        "DefaultEndpointsProtocol",
        "AccountName",
        "AccountKey",
        "SharedAccessSignature",
        "EndpointSuffix",
        "BlobEndpoint",
        "TableEndpoint",
        "QueueEndpoint",
        "FileEndpoint",
        "BlobSecondaryEndpoint",
        "TableSecondaryEndpoint",
        "QueueSecondaryEndpoint",
        "FileSecondaryEndpoint",
        "UseDevelopmentStorage",
    )
}
_EMULATOR_ACCOUNT: Final = "devstoreaccount1"
_EMULATOR_KEY: Final = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="
"""The account of Microsoft's emulators, which their documentation gives."""
_EMULATOR_PORTS: Final = {"blob": 10000, "table": 10002}
_INSTEAD: Final = "copy it from Access keys in Azure's portal"


class ServiceURL(NamedTuple):
    """Where one service of an account answers."""

    scheme: str
    address: HostPort
    path: str = ""
    """What stands before names in its URLs, as `/devstoreaccount1` of an emulator; without a slash at its end."""

    def __str__(self) -> str:
        return f"{self.scheme}://{self.address}{self.path}"


class Account(NamedTuple):
    """A service of a storage account, and what signs calls to it: the account's key, or a SAS."""

    url: ServiceURL
    name: str
    """Empty: not known, because a SAS needs no name."""
    key: Secret
    sas: Secret
    """The query of a shared access signature, without `?`."""


def service_url(text: str) -> ServiceURL:
    """Read `https://host:port/path` or `http://...`, where port and path may be absent. Raises InvalidValueError."""
    instead = "write https://HOST, such as https://NAME.blob.core.windows.net"
    scheme, separator, rest = text.partition("://")
    if not separator or scheme.lower() not in ("http", "https"):
        raise InvalidValueError("it does not begin with http:// or https://", instead)
    offset = len(scheme) + len(separator)
    authority, slash, path = rest.partition("/")
    address = host_port(authority, offset, instead=instead)
    path = slash + path
    found = _PATH.match(path)
    if found is None or found.end() < len(path):
        end = offset + len(authority) + (found.end() if found is not None else 0)
        raise InvalidValueError(f"{character(text, end)} has no place in the path of a service", instead)
    return ServiceURL(scheme.lower(), address, path.removesuffix("/"))


def account_name(text: str) -> str:
    """Return the name of an account. Raises InvalidValueError."""
    if _ACCOUNT.fullmatch(text) is None:
        raise InvalidValueError(
            "it is no name of a storage account", "write its 3 to 24 lower-case letters and digits, not its URL"
        )
    return text


def account_key(text: str) -> Secret:
    """Return the key of an account, which is base64. Raises InvalidValueError."""
    try:
        found = b64decode(text, validate=True)
    except ValueError:
        found = b""
    if not found:
        raise InvalidValueError("it is no key of a storage account, which is base64", _INSTEAD)
    return Secret(text)


def blob_connection(text: str) -> Account:
    """Read a connection string for the blob service. Raises InvalidValueError."""
    return connection_string(text, "blob")


def table_connection(text: str) -> Account:
    """Read a connection string for the table service. Raises InvalidValueError."""
    return connection_string(text, "table")


def connection_string(text: str, service: ServiceName) -> Account:
    """Read a connection string as Azure's portal shows it, for one service. Raises InvalidValueError."""
    parts = _parts(text)
    if parts.get("UseDevelopmentStorage", "").lower() == "true":
        url = ServiceURL("http", HostPort("127.0.0.1", _EMULATOR_PORTS[service]), f"/{_EMULATOR_ACCOUNT}")
        return Account(url, _EMULATOR_ACCOUNT, Secret(_EMULATOR_KEY), Secret(""))
    name = _of_part("AccountName", parts, account_name) if "AccountName" in parts else ""
    key = _of_part("AccountKey", parts, account_key) if "AccountKey" in parts else Secret("")
    sas = _of_part("SharedAccessSignature", parts, _signature) if "SharedAccessSignature" in parts else Secret("")
    if not (sas or (key and name)):
        raise InvalidValueError("it has neither AccountName and AccountKey nor SharedAccessSignature", _INSTEAD)
    endpoint = f"{service.capitalize()}Endpoint"
    if endpoint in parts:
        return Account(_of_part(endpoint, parts, service_url), name, key, sas)
    if not name:
        raise InvalidValueError(f"it has neither {endpoint} nor AccountName, so no server", _INSTEAD)
    scheme = parts.get("DefaultEndpointsProtocol", "https").lower()
    suffix = parts.get("EndpointSuffix", SUFFIX)
    if scheme not in ("http", "https"):
        raise InvalidValueError("its DefaultEndpointsProtocol is neither http nor https", "write https")
    if _SUFFIX.fullmatch(suffix) is None:
        raise InvalidValueError("its EndpointSuffix is no host name", f"write {SUFFIX}, or leave it out")
    return Account(ServiceURL(scheme, host_port(f"{name}.{service}.{suffix}")), name, key, sas)


def _parts(text: str) -> dict[str, str]:
    found: dict[str, str] = {}
    place = 1
    for part in text.split(";"):
        name, separator, value = part.strip().partition("=")
        known = _KNOWN.get(name.strip().lower())
        if part.strip():
            if not separator or known is None:
                raise InvalidValueError(
                    f"what begins at character {place} is no part of a connection string, such as AccountName=...",
                    _INSTEAD,
                )
            if known in found:
                raise InvalidValueError(f"it has {known} twice", "keep one of them")
            found[known] = value.strip()
        place += len(part) + 1
    return found


def _of_part(name: str, parts: Mapping[str, str], reader: Callable[[str], Found]) -> Found:
    try:
        return reader(parts[name])
    except InvalidValueError as wrong:
        raise InvalidValueError(f"its {name} cannot be used: {wrong.message}", wrong.advice) from None


def _signature(text: str) -> Secret:
    """Return the query of a SAS. Raises InvalidValueError."""
    query = text.removeprefix("?")
    if _SAS.fullmatch(query) is None or _SIGNATURE.search(query) is None:
        raise InvalidValueError("it is no shared access signature", "copy the whole token, from sv= to sig=")
    return Secret(query)
