"""A proxy to a server that lets a number of bytes pass and then no more: calls in progress at that moment hang."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from servers.processes import wait_until

CHUNK = 16 * 1024


class BlockingProxy:
    """Forwards connections to a port of this machine."""

    def __init__(self, port: int, passes: int):
        """Let `passes` bytes pass towards the server, over all connections together."""
        self._target = port
        self._left = passes
        self._lock = threading.Lock()
        self._sockets: list[socket.socket] = []
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._listener.getsockname()[1])
        threading.Thread(target=self._accept, daemon=True).start()

    @property
    def is_blocked(self) -> bool:
        return self._left <= 0

    def wait_until_blocked(self) -> None:
        wait_until(lambda: self.is_blocked, "so many bytes came")

    def close(self) -> None:
        for each in (self._listener, *self._sockets):
            with suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
            each.close()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                server = socket.create_connection(("127.0.0.1", self._target))
                self._sockets += (client, server)
                threading.Thread(target=self._there, args=(client, server), daemon=True).start()
                threading.Thread(target=self._back, args=(server, client), daemon=True).start()

    def _there(self, client: socket.socket, server: socket.socket) -> None:
        with suppress(OSError):
            while chunk := client.recv(CHUNK):
                with self._lock:
                    self._left -= len(chunk)
                if not self.is_blocked:
                    server.sendall(chunk)

    def _back(self, server: socket.socket, client: socket.socket) -> None:
        with suppress(OSError):
            while chunk := server.recv(CHUNK):
                client.sendall(chunk)


@contextmanager
def blocked_after(passes: int, port: int) -> Iterator[BlockingProxy]:
    proxy = BlockingProxy(port, passes)
    try:
        yield proxy
    finally:
        proxy.close()
