"""Real NATS servers with JetStream: one that lets single keys expire, and Debian's, which does not. With a plain client
of the bucket that they serve.
"""

from __future__ import annotations

import json
import socket
import subprocess
from base64 import b64decode
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

from servers import go_programs
from servers.database import Database, ProxySetup, Server, as_address, last_port
from servers.processes import ServerProcess

from pannier_sidecar.state.feeds import ChangesBy
from pannier_sidecar.state.store import Feature
from pannier_sidecar.stores.jetstream.layout import name_of

BUCKET = "states"
INSTALL = Path(__file__).parents[2] / "scripts" / "debian-package"


class JetStreamServer(ServerProcess):
    """A server that keeps its data in its folder; `configuration` is text in the form of its configuration file."""

    def __init__(
        self, folder: Path, configuration: str = "", login: dict[str, str] | None = None, *, is_debians: bool = False
    ):
        """`login` has the fields of CONNECT by which `ask` logs in."""
        self._login = login or {}
        self._is_debians = is_debians
        self._is_for_jwts = "operator:" in configuration
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "nats.conf").write_text(configuration)
        super().__init__(folder)

    def command(self) -> Sequence[str | Path]:
        data = ("-js", "-sd", self.folder / "data")
        program = "nats-server" if self._is_debians else go_programs.nats_server()
        return [program, "-a", "127.0.0.1", "-p", str(self.port), *data, "-c", self.folder / "nats.conf"]

    def answers(self) -> object:
        """Return whether JetStream answers; where only users with a JWT may ask, whether the server listens."""
        return bool(self.version) if self._is_for_jwts else "error" not in self.ask("$JS.API.INFO")

    @property
    def url(self) -> str:
        return f"nats://{self.address}"

    @property
    def version(self) -> str:
        with closing(socket.create_connection(("127.0.0.1", self.port), 10)) as connection:
            return str(json.loads(connection.makefile("rb").readline().removeprefix(b"INFO "))["version"])

    def ask(self, subject: str, body: bytes | dict[str, Any] = b"", header: bytes = b"") -> dict[str, Any]:
        """Return the answer to a request, without a client library."""
        payload = body if isinstance(body, bytes) else json.dumps(body).encode()
        connect = {"verbose": False, "headers": True, "no_responders": True, **self._login}
        sizes = f"{len(header)} {len(header) + len(payload)}" if header else f"{len(payload)}"
        with closing(socket.create_connection(("127.0.0.1", self.port), 10)) as connection:
            reader = connection.makefile("rb")
            reader.readline()
            connection.sendall(f"CONNECT {json.dumps(connect)}\r\nSUB answer 1\r\n".encode())
            connection.sendall(f"{'HPUB' if header else 'PUB'} {subject} answer {sizes}\r\n".encode())
            connection.sendall(header + payload + b"\r\n")
            while line := reader.readline():
                if line.startswith(b"-ERR"):
                    raise OSError(line)
                if line.startswith((b"MSG", b"HMSG")):
                    content = reader.read(int(line.split()[-1]))
                    if line.startswith(b"HMSG"):
                        raise OSError(content)
                    answer: dict[str, Any] = json.loads(content)
                    return answer
            raise OSError("no answer")

    def make_bucket(self, **more: Any) -> None:
        """Make the bucket as `nats kv add` does; `more` are settings of its stream."""
        config = {
            "name": f"KV_{BUCKET}",
            "subjects": [f"$KV.{BUCKET}.>"],
            "max_msgs_per_subject": 1,
            "allow_rollup_hdrs": True,
            "deny_delete": True,
            "allow_direct": True,
            "discard": "new",
            "num_replicas": 1,
            "storage": "file",
            **({} if self._is_debians else {"allow_msg_ttl": True}),
            **more,
        }
        answer = self.ask(f"$JS.API.STREAM.CREATE.KV_{BUCKET}", config)
        assert "error" not in answer, answer

    def message(self, name: str) -> dict[str, Any] | None:
        """Return the last message of a name in the bucket."""
        answer = self.ask(f"$JS.API.STREAM.MSG.GET.KV_{BUCKET}", {"last_by_subj": f"$KV.{BUCKET}.{name}"})
        return answer.get("message")

    def stored(self, key: str) -> bytes | None:
        """Return the value of a stored key."""
        found = self.message(name_of(key))
        is_value = found is not None and b"KV-Operation" not in b64decode(found.get("hdrs", ""))
        return b64decode(found.get("data", "")) if found is not None and is_value else None

    def put(self, name: str, value: bytes) -> int:
        """Write as any client of the bucket does, and return the revision."""
        return int(self.ask(f"$KV.{BUCKET}.{name}", value)["seq"])


def running(
    folder: Path, configuration: str = "", login: dict[str, str] | None = None, *, is_debians: bool = False
) -> JetStreamServer:
    """Run a server without a bucket."""
    if is_debians:
        subprocess.run([INSTALL, "nats-server", "sh", "-c", "command -v nats-server"], check=True)
    return JetStreamServer(folder, configuration, login, is_debians=is_debians)


@contextmanager
def with_bucket(
    folder: Path, configuration: str = "", *, is_debians: bool = False, **more: Any
) -> Iterator[JetStreamServer]:
    with running(folder, configuration, is_debians=is_debians) as server:
        server.make_bucket(**more)
        yield server


@contextmanager
def _serve(folder: Path) -> Iterator[Server]:
    with with_bucket(folder, subject_delete_marker_ttl=60_000_000_000) as server:
        yield Server({"natsURL": server.url, "bucket": BUCKET}, f"NATS {server.version}", server.stored)


DATABASES = (
    Database(
        "jetstream",
        "NATS JetStream",
        "state.jetstream",
        _serve,
        claims=frozenset({Feature.ETAG, Feature.TTL, Feature.KEYS_LIKE}),
        reports_by=ChangesBy.PUSH,
        prepare=go_programs.nats_server,
        largest_value=1_048_576,
        increments=500,
        model_runs=10,
        proxy_setup=ProxySetup(
            as_address("natsURL", "nats://127.0.0.1:{}", bucket=BUCKET),
            last_port("natsURL"),
            commit={"create": (b"cut-me", 2)},  # it finds the marker of a deleted key, and reads its number, before
            impatient={"timeout": "300ms"},
        ),
    ),
)
