"""Decides which requests may be answered, by the host and the origin that they name.

A page in a browser can send requests to any address that its machine reaches, loopback included. These requests name
the page's origin. The page's site can also point its own name at the loopback address (DNS rebinding) and read the
answers. Those requests name that site as their host. Both kinds are refused. Clients other than browsers name no
origin, and their host is the name in the URL that they call.
"""

from __future__ import annotations

import re
import socket
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from msgspec import Struct

if TYPE_CHECKING:
    from collections.abc import Sequence

ANY: Final = "*"
MALFORMED: Final = "ERR_MALFORMED_REQUEST"
HOST_NOT_ALLOWED: Final = "ERR_HOST_NOT_ALLOWED"
ORIGIN_NOT_ALLOWED: Final = "ERR_ORIGIN_NOT_ALLOWED"
_LOOPBACK_NAMES: Final = frozenset({"localhost", "localhost.localdomain", "ip6-localhost", "ip6-loopback"})
_LOOPBACK_SUFFIX: Final = ".localhost"
"""RFC 6761, 6.3: nobody can register such a name."""
_PRIVATE_SUFFIXES: Final = (".internal", ".local", ".svc")
"""Names that public DNS cannot have: those of container runtimes, of a local network and of a cluster's services."""
_HOST: Final = re.compile(r"(?:\[([0-9a-f:.]+)(?:%[a-z0-9_.~%-]+)?\]|([a-z0-9_.-]+))(?::[0-9]{0,5})?")
"""A link-local address also names its interface, after '%' (RFC 6874)."""
_TOP_LEVEL_DOMAIN: Final = re.compile(r"[a-z]+|xn--[a-z0-9-]+")
"""What a top-level domain can look like (RFC 1123, 2.1; ICANN), such as `dev` and `app`."""
_OLD_IPV4: Final = re.compile(r"[0-9a-fx.]+")
_IPV4_BYTES: Final = 4
_LOOPBACK_IPV4: Final = 127
_LOOPBACK_IPV6: Final = socket.inet_pton(socket.AF_INET6, "::1")
_IPV4_IN_IPV6: Final = bytes(10) + b"\xff\xff"
"""The first 12 bytes of an IPv4 address that is written as IPv6, such as `::ffff:127.0.0.1`."""
_REMEMBERED: Final = 64
_MAX_SHOWN: Final = 100


class Refusal(Struct, frozen=True):
    """Why a request is refused: a code for programs, and a message that names the flag to pass."""

    code: str
    message: str

    @property
    def http_status(self) -> int:
        return 400 if self.code == MALFORMED else 403


@dataclass(slots=True)
class AccessControl:
    """The hosts and origins of one listener."""

    is_exposed: bool = False
    """Whether the sidecar listens beyond loopback. If so, not all of its own addresses and names are known here, so
    every address is allowed, and every name that public DNS cannot have: no web site can point such a name anywhere.
    """
    own_hosts: frozenset[str] = frozenset()
    """Further names and addresses of this machine, in lower case."""
    pod_namespace: str = ""
    """The namespace of the sidecar's pod; empty outside Kubernetes. Pods in it may call a Service as `NAME.NAMESPACE`.
    """
    allowed_hosts: Sequence[str] = ()
    """Further hosts that the user allows. `.example.com` stands for all names below it, `*` for any host."""
    allowed_origins: Sequence[str] = ()
    """Origins such as `https://example.com`; one `*` in it stands for any text. `*` alone allows any origin."""
    known_hosts: set[bytes | None] = field(default_factory=lambda: {None, b""}, init=False)
    """Values of `Host` that were allowed before. A request without it is allowed, because every browser sends it."""

    def refusal(self, host: bytes | None, origin: bytes | None) -> Refusal | None:
        """Return why a request with these headers is refused; None if it may be answered."""
        if host not in self.known_hosts and (refused := self._refusal_of_host(host or b"")) is not None:
            return refused
        if origin is not None and not self._is_allowed_origin(origin, host or b""):
            shown = _shown(origin)
            advice = self._advice("allowed-origins", shown)
            return Refusal(ORIGIN_NOT_ALLOWED, f"pages from '{shown}' may not call this sidecar; to let them, {advice}")
        return None

    def _refusal_of_host(self, sent: bytes) -> Refusal | None:
        match = _HOST.fullmatch(sent.decode("latin-1").lower())
        if match is None:
            return Refusal(MALFORMED, f"'{_shown(sent)}' is no host (RFC 9110, 7.2); write a name or an address")
        if not self._is_allowed_host((match[1] or match[2]).removesuffix(".")):
            shown = _shown(sent)
            advice = self._advice("allowed-hosts", shown)
            return Refusal(HOST_NOT_ALLOWED, f"host '{shown}' is not one of this sidecar's; if it is, {advice}")
        if len(self.known_hosts) < _REMEMBERED:
            self.known_hosts.add(sent)
        return None

    def _advice(self, setting: str, shown: str) -> str:
        """Return the advice to change a setting: by a flag, or in a pod by the annotation that becomes the flag."""
        if self.pod_namespace:
            return f"annotate its pod with pannier.dev/{setting}: '{shown}'"
        return f"pass --{setting} {shown}"

    @property
    def allows_any_origin(self) -> bool:
        return ANY in self.allowed_origins

    def _is_allowed_host(self, host: str) -> bool:
        if ANY in self.allowed_hosts:
            return True
        address = _address(host)
        host = address or host
        if host in self.own_hosts or host in _LOOPBACK_NAMES or host.endswith(_LOOPBACK_SUFFIX):
            return True
        if any(host == each or (each.startswith(".") and host.endswith(each)) for each in self.allowed_hosts):
            return True
        if address is not None:
            # 0.0.0.0 and :: reach this machine, and no site has them: some clients are configured with them.
            return self.is_exposed or is_loopback(address) or not any(_packed(address))
        return self.is_exposed and ("." not in host or host.endswith(_PRIVATE_SUFFIXES) or self._is_service(host))

    def _is_service(self, host: str) -> bool:
        """Return whether a host is `NAME.NAMESPACE` of the pod's own namespace, which no web site's domain can be."""
        namespace = self.pod_namespace
        return host.endswith(f".{namespace}") and _TOP_LEVEL_DOMAIN.fullmatch(namespace) is None

    def _is_allowed_origin(self, sent: bytes, host: bytes) -> bool:
        origin = sent.decode("latin-1").lower()
        scheme, _, authority = origin.partition("://")
        own = host.decode("latin-1").lower()
        if scheme in ("http", "https") and _without_default_port(authority) == _without_default_port(own):
            return True  # a page of this sidecar's own
        return any(_matches(each, origin) for each in self.allowed_origins)


def is_loopback(address: str) -> bool:
    """Return whether an IP address reaches only this machine."""
    packed = _packed(address.partition("%")[0])
    if packed.startswith(_IPV4_IN_IPV6) or len(packed) == _IPV4_BYTES:
        return packed[-_IPV4_BYTES] == _LOOPBACK_IPV4
    return packed == _LOOPBACK_IPV6


def ip_address(text: str) -> str | None:
    """Return an IP address in its usual spelling; None for any other text. The module `ipaddress` would take 0.2 MB."""
    try:
        packed = _packed(text)
    except (OSError, ValueError):
        return None
    return socket.inet_ntop(_family(text), packed)


def _packed(address: str) -> bytes:
    return socket.inet_pton(_family(address), address)


def _family(address: str) -> socket.AddressFamily:
    return socket.AF_INET6 if ":" in address else socket.AF_INET


def _address(host: str) -> str | None:
    """Return the IP address that a host spells, even in the old spellings of IPv4 (`127.1`); None for a name."""
    if (address := ip_address(host)) is not None:
        return address
    if _OLD_IPV4.fullmatch(host) is None:
        return None
    try:
        return socket.inet_ntoa(socket.inet_aton(host))
    except OSError:
        return None


def _matches(allowed: str, origin: str) -> bool:
    beginning, star, end = allowed.partition(ANY)
    if not star:
        return origin == allowed
    return len(origin) >= len(beginning) + len(end) and origin.startswith(beginning) and origin.endswith(end)


def _without_default_port(authority: str) -> str:
    return authority.removesuffix(":80").removesuffix(":443")


def _shown(sent: bytes) -> str:
    """Return what a client sent in a form that is safe in a message."""
    text = sent[:_MAX_SHOWN].decode("latin-1")
    return "".join(
        letter if letter.isascii() and letter.isprintable() and letter not in "'\"" else "?" for letter in text
    )
