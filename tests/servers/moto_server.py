"""moto: another program with the APIs of AWS. It takes every credential, and asks for no permission."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

from botocore.session import Session
from servers.newer_python import environment
from servers.processes import ServerProcess

REQUIREMENTS = Path(__file__).parent / "moto" / "requirements.txt"
VERSION = next(line.partition("==")[2] for line in REQUIREMENTS.read_text().splitlines() if line.startswith("moto=="))
REGION = "eu-central-1"


class MotoServer(ServerProcess):
    """moto as a process; what it is told is in its memory."""

    def command(self) -> Sequence[str | Path]:
        python = environment(f"moto-{VERSION}", REQUIREMENTS)
        return [python, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(self.port)]

    def answers(self) -> object:
        connection = HTTPConnection("127.0.0.1", self.port, timeout=10)
        try:
            connection.request("GET", "/moto-api/")
            return connection.getresponse().status == 200
        finally:
            connection.close()

    def end(self) -> None:
        self.kill()

    @property
    def endpoint(self) -> str:
        return f"http://{self.address}"

    @property
    def settings(self) -> Mapping[str, str]:
        """The metadata of a component that uses it."""
        return {"region": REGION, "endpoint": self.endpoint, "accessKey": "pannier", "secretKey": "secret"}

    def client(self, service: str) -> Any:
        """Return a client that makes one call at a time, to write secrets from outside."""
        keys = {"aws_access_key_id": "a", "aws_secret_access_key": "s"}
        return Session().create_client(service, region_name=REGION, endpoint_url=self.endpoint, **keys)
