"""Azurite, Microsoft's emulator of Azure Storage, as a process."""

from __future__ import annotations

import urllib.request
from collections.abc import Sequence
from http import HTTPStatus
from pathlib import Path
from urllib.error import HTTPError

from servers.npm_packages import node, packages, version_of
from servers.processes import ServerProcess

PACKAGES = Path(__file__).parent / "azurite" / "package.json"
ACCOUNT = "devstoreaccount1"
KEY = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="
"""The account that every Azurite has, as Microsoft's documentation gives it."""
VERSION = f"Azurite {version_of(PACKAGES)}"


class Azurite(ServerProcess):
    """The emulator of one service, `blob` or `table`, that keeps its data in its folder."""

    def __init__(self, folder: Path, service: str):
        self.service = service
        super().__init__(folder)

    def end(self) -> None:
        self.kill()

    def command(self) -> Sequence[str | Path]:
        program = packages(PACKAGES) / "node_modules/azurite/dist/src" / self.service / "main.js"
        where = (f"--{self.service}Host", "127.0.0.1", f"--{self.service}Port", str(self.port))
        return [node(), program, *where, "--location", self.folder / "data", "--disableTelemetry", "--silent"]

    def answers(self) -> object:
        """Return whether it answers as Azure Storage does: it refuses a request that names nothing."""
        try:
            urllib.request.urlopen(f"http://{self.address}/", timeout=30).close()
        except HTTPError as error:
            with error:
                return error.code == HTTPStatus.BAD_REQUEST
        return False

    @property
    def url(self) -> str:
        return f"http://{self.address}/{ACCOUNT}"


def prepare() -> None:
    packages(PACKAGES)
