"""Azurite, Microsoft's emulator of Azure Storage, as a process."""

from __future__ import annotations

import ssl
import urllib.request
from collections.abc import Sequence
from http import HTTPStatus
from pathlib import Path
from urllib.error import HTTPError

from servers.npm_packages import node, packages, version_of
from servers.processes import ServerProcess
from servers.redis_server import Certificates

PACKAGES = Path(__file__).parent / "azurite" / "package.json"
ACCOUNT = "devstoreaccount1"
KEY = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="
"""The account that every Azurite has, as Microsoft's documentation gives it."""
VERSION = f"Azurite {version_of(PACKAGES)}"


class Azurite(ServerProcess):
    """The emulator of one service, `blob` or `table`, that keeps its data in its folder."""

    def __init__(self, folder: Path, service: str, certificates: Certificates | None = None):
        """With certificates it speaks TLS, and takes tokens of Entra ID, of which it checks all but the signature."""
        self.service = service
        self._certificates = certificates
        super().__init__(folder)

    def end(self) -> None:
        self.kill()

    def command(self) -> Sequence[str | Path]:
        program = packages(PACKAGES) / "node_modules/azurite/dist/src" / self.service / "main.js"
        where = (f"--{self.service}Host", "127.0.0.1", f"--{self.service}Port", str(self.port))
        return [
            node(),
            program,
            *where,
            "--location",
            self.folder / "data",
            "--disableTelemetry",
            "--silent",
            *self._tls(),
        ]

    def _tls(self) -> Sequence[str]:
        own = self._certificates
        if own is None:
            return ()
        return ("--oauth", "basic", "--cert", own.path("server.crt"), "--key", own.path("server.key"))

    def answers(self) -> object:
        """Return whether it answers as Azure Storage does: it refuses a request that names nothing."""
        try:
            urllib.request.urlopen(f"{self.scheme}://{self.address}/", timeout=30, context=self._context()).close()
        except HTTPError as error:
            with error:
                return error.code == HTTPStatus.BAD_REQUEST
        return False

    @property
    def scheme(self) -> str:
        return "http" if self._certificates is None else "https"

    def _context(self) -> ssl.SSLContext | None:
        own = self._certificates
        return None if own is None else ssl.create_default_context(cafile=own.path("ca.crt"))

    @property
    def url(self) -> str:
        return f"{self.scheme}://{self.address}/{ACCOUNT}"


def prepare() -> None:
    packages(PACKAGES)
