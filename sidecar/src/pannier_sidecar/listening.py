"""Binds sockets before anything else starts, so that a port in use causes one clear message and not half a start."""

from __future__ import annotations

import errno
import os
import resource
import socket
import stat
import sys
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Final, Self

from msgspec import Struct

from pannier_sidecar.access import is_loopback

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from pannier_sidecar.settings import ListenSettings, Settings

_NO_SUCH_FAMILY: Final = frozenset((errno.EAFNOSUPPORT, errno.EADDRNOTAVAIL, errno.EPROTONOSUPPORT))
_ATTEMPTS: Final = 20
USUAL_GRPC_PORT: Final = 50001
"""Dapr's own, so that its SDKs find it."""
_MAX_SOCKET_PATH: Final = 107


_FILES_WANTED: Final = 20_000
"""Enough for the connections of all ports and the files of stores."""
_FILES_OF_STORES: Final = 128


def allow_many_files() -> None:
    """Raise the soft limit of open files, often 1,024, as far as needed and allowed, as programs in Go do."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = _FILES_WANTED if hard == resource.RLIM_INFINITY else min(_FILES_WANTED, hard)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        with suppress(OSError, ValueError):  # then fewer connections are served
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def max_connections() -> int:
    """Return how many connections may be open so that stores and components can still open files."""
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return sys.maxsize if soft == resource.RLIM_INFINITY else max(soft - _FILES_OF_STORES, soft // 2)


class BindError(Exception):
    """The sidecar cannot listen on an address; the text says which, why, and which flag to change."""


class Listeners(Struct):
    """The bound sockets, by what is served on them."""

    api: list[socket.socket] = []
    grpc: list[socket.socket] = []
    public: list[socket.socket] = []
    metrics: list[socket.socket] = []
    unix_paths: list[Path] = []
    """The API's sockets, if it is served on Unix sockets."""

    @property
    def api_port(self) -> int | None:
        """The API's port; None on a Unix socket."""
        return port_of(self.api)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    @property
    def grpc_port(self) -> int | None:
        """The gRPC port; None on a Unix socket."""
        return port_of(self.grpc)

    def close(self) -> None:
        """Close what is still open, and remove the Unix sockets."""
        _close([*self.api, *self.grpc, *self.public, *self.metrics])
        for path in self.unix_paths:
            path.unlink(missing_ok=True)


def port_of(sockets: Sequence[socket.socket]) -> int | None:
    """Return the port that these sockets share; None if there are none."""
    ports = [bound.getsockname()[1] for bound in sockets if bound.family != socket.AF_UNIX]
    return ports[0] if ports else None


def is_exposed(sockets: Iterable[socket.socket]) -> bool:
    """Return whether any of these sockets can be reached from other machines or pods."""
    return any(bound.family != socket.AF_UNIX and not is_loopback(bound.getsockname()[0]) for bound in sockets)


def addresses_of(sockets: Iterable[socket.socket]) -> str:
    """Return the addresses on which these sockets listen, as text."""
    return ", ".join(_shown(bound) for bound in sockets)


def bind(settings: Settings) -> Listeners:
    """Bind everything that the settings ask for. Raises BindError; then nothing stays bound."""
    listen = settings.listen
    listeners = Listeners()
    with ExitStack() as undo:
        undo.push(listeners)
        if listen.unix_socket_folder is not None:
            for sockets, protocol in ((listeners.api, "http"), (listeners.grpc, "grpc")):
                path = listen.unix_socket_folder / f"dapr-{settings.app.id}-{protocol}.socket"
                sockets.append(_bind_unix(path, is_shared=settings.place.mode == "kubernetes"))
                listeners.unix_paths.append(path)
        else:
            listeners.api += bind_port(listen.http_port, listen.addresses, "--http-port")
            listeners.grpc += _bind_grpc(listen)
        if listen.layotto_port is not None:
            listeners.grpc += bind_port(listen.layotto_port, listen.addresses, "--layotto-port")
        if listen.public_port is not None:
            listeners.public += bind_port(listen.public_port, listen.public_addresses, "--public-port")
        if listen.serves_metrics:
            listeners.metrics += bind_port(listen.metrics_port, settings.metrics_addresses, "--metrics-port")
        undo.pop_all()
    return listeners


def _bind_grpc(listen: ListenSettings) -> list[socket.socket]:
    """Bind the gRPC port. Without a flag it is the usual port, or a free one if another sidecar uses that already."""
    if listen.grpc_port is not None:
        return bind_port(listen.grpc_port, listen.addresses, "--grpc-port")
    try:
        return bind_port(USUAL_GRPC_PORT, listen.addresses, "--grpc-port")
    except BindError:
        return bind_port(0, listen.addresses, "--grpc-port")


def bind_port(port: int, addresses: Sequence[str], flag: str) -> list[socket.socket]:
    """Bind one port on every address; port 0 stands for one that is free on all of them.

    Addresses of a family that the machine lacks are skipped if there is another address.
    """
    for attempt in range(_ATTEMPTS):
        bound: list[socket.socket] = []
        try:
            _bind_all(port, addresses, flag, bound)
        except BindError:
            _close(bound)
            if port or attempt == _ATTEMPTS - 1:
                raise
        else:
            return bound
    raise AssertionError("the last attempt returns or raises")


def _bind_all(port: int, addresses: Sequence[str], flag: str, bound: list[socket.socket]) -> None:
    lacking: OSError | None = None
    for address in addresses:
        for family, target in _resolved(address, port, flag):
            chosen = port or port_of(bound) or 0
            try:
                bound.append(_bind(family, (target[0], chosen, *target[2:])))
            except OSError as error:
                if error.errno not in _NO_SUCH_FAMILY:
                    raise BindError(_why(error, chosen, address, flag)) from error
                lacking = error
    if not bound:
        reason = (lacking.strerror or str(lacking)).lower() if lacking else "no address"
        raise BindError(f"can't listen on {', '.join(addresses)}: {reason}; pass other addresses")


def _resolved(address: str, port: int, flag: str) -> list[tuple[int, tuple[object, ...]]]:
    try:
        # The host is passed as bytes: Python would encode a text by IDNA, and load its Unicode tables for that.
        name = address if not address.isascii() else address.encode()
        found = socket.getaddrinfo(name, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except (OSError, UnicodeError) as error:
        raise BindError(f"{address!r}, where {flag} should listen, is not an address of this machine") from error
    return [(family, target) for family, _, _, _, target in found]


def _bind(family: int, target: tuple[object, ...]) -> socket.socket:
    bound = socket.socket(family, socket.SOCK_STREAM)
    try:
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            bound.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        bound.bind(target)
        # Listen at once: two programs may be bound to one port, but only one can listen.
        bound.listen(1024)
        bound.setblocking(False)
    except OSError:
        bound.close()
        raise
    return bound


def _why(error: OSError, port: int, address: str, flag: str) -> str:
    if error.errno == errno.EADDRINUSE:
        return f"port {port} is in use ({address}); stop the other program or pass {flag}"
    if error.errno == errno.EACCES:
        return f"port {port} ({address}) needs root; pass another {flag}"
    return f"can't listen on port {port} ({address}): {(error.strerror or str(error)).lower()}"


def _bind_unix(path: Path, *, is_shared: bool) -> socket.socket:
    """Bind a Unix socket; replace one whose server is gone.

    With `is_shared`, every user who can see the folder may connect. In a pod the app and the sidecar run as different
    users, and the volume decides which containers see the socket.
    """
    if len(os.fsencode(path)) > _MAX_SOCKET_PATH:
        raise BindError(f"the path of the socket {path} is too long; pass a shorter --unix-domain-socket")
    _remove_stale(path)
    bound = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        path.parent.mkdir(mode=0o777 if is_shared else 0o700, parents=True, exist_ok=True)
        _bind_for_owner(bound, path)
        if is_shared:
            path.chmod(0o777)
        bound.listen(1024)
        bound.setblocking(False)
    except OSError as error:
        bound.close()
        raise BindError(f"socket {path}: {(error.strerror or str(error)).lower()}") from error
    return bound


def _bind_for_owner(bound: socket.socket, path: Path) -> None:
    """Bind the socket with mode 0600 from its first moment, whatever the umask."""
    before = os.umask(0o177)
    try:
        bound.bind(str(path))
    finally:
        os.umask(before)


def _remove_stale(path: Path) -> None:
    try:
        if not stat.S_ISSOCK(path.stat().st_mode):
            return
    except OSError:
        return
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        try:
            probe.connect(str(path))
        except OSError:
            path.unlink(missing_ok=True)
            return
    raise BindError(f"socket {path} is in use; stop the other program or pass another --unix-domain-socket")


def _shown(bound: socket.socket) -> str:
    if bound.family == socket.AF_UNIX:
        return str(bound.getsockname())
    host, port = bound.getsockname()[:2]
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _close(bound: list[socket.socket]) -> None:
    for each in bound:
        each.close()
