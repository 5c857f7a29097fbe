"""DynamoDB Local, which Amazon makes for tests: it behaves like DynamoDB, but is another program."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

from botocore.session import Session
from servers import maven
from servers.database import Database, ProxySetup, Server, Settings, as_address, last_port
from servers.processes import ServerProcess

SOURCE = Path(__file__).parent / "dynamodb"
VERSION = "DynamoDB Local 2.6.1"
CREDENTIALS = {"region": "eu-central-1", "accessKey": "pannier", "secretKey": "secret"}


class DynamoDBServer(ServerProcess):
    """DynamoDB Local, with its tables in memory, or in its folder if they must outlive the process."""

    def __init__(self, folder: Path, *, keeps_tables: bool = False):
        self._tables = ("-dbPath", str(folder)) if keeps_tables else ("-inMemory",)
        super().__init__(folder)

    def end(self) -> None:
        self.kill()

    def command(self) -> list[str | Path]:
        jars = maven.jars(SOURCE / "pom.xml")
        options = ["-Xmx256m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", f"-Djava.library.path={jars}"]
        program = [*options, "-cp", f"{jars}/*", SOURCE / "OnLoopback.java"]
        return [maven.java(), *program, "-disableTelemetry", "-port", str(self.port), *self._tables]

    def answers(self) -> bool:
        connection = HTTPConnection("127.0.0.1", self.port, timeout=10)
        try:
            connection.request("GET", "/")
            return connection.getresponse().status == 400  # it requires credentials of any kind
        finally:
            connection.close()

    @property
    def endpoint(self) -> str:
        return f"http://{self.address}"

    def settings(self, table: str) -> Settings:
        """Return the settings of a component that uses a table."""
        return {**CREDENTIALS, "endpoint": self.endpoint, "table": table}

    def client(self) -> Any:
        """Return a client that makes one call at a time, to look at tables from outside."""
        return Session().create_client(
            "dynamodb",
            region_name=CREDENTIALS["region"],
            endpoint_url=self.endpoint,
            aws_access_key_id=CREDENTIALS["accessKey"],
            aws_secret_access_key=CREDENTIALS["secretKey"],
        )

    def create_table(self, name: str, *attributes: str) -> None:
        """Create a table with a partition key, `key` unless named, and a sort key if there is a second name."""
        names = attributes or ("key",)
        self.client().create_table(
            TableName=name,
            AttributeDefinitions=[{"AttributeName": each, "AttributeType": "S"} for each in names],
            KeySchema=[
                {"AttributeName": each, "KeyType": kind} for each, kind in zip(names, ("HASH", "RANGE"), strict=False)
            ],
            BillingMode="PAY_PER_REQUEST",
        )

    def stored(self, table: str, key: str) -> bytes | None:
        """Return the value of an item, as another program sees it."""
        item = self.client().get_item(TableName=table, Key={"key": {"S": key}}, ConsistentRead=True).get("Item")
        return None if item is None else value_of(item)


def value_of(item: Mapping[str, Mapping[str, Any]]) -> bytes:
    value = item["value"]
    return bytes(value["B"]) if "B" in value else str(value["S"]).encode()


def running(folder: Path, *, keeps_tables: bool = False) -> DynamoDBServer:
    return DynamoDBServer(folder, keeps_tables=keeps_tables)


@contextmanager
def _with_a_table(folder: Path) -> Iterator[Server]:
    with running(folder) as server:
        server.create_table("state")
        yield Server(server.settings("state"), VERSION, lambda key: server.stored("state", key))


def _prepare() -> None:
    maven.java()
    maven.jars(SOURCE / "pom.xml")


DATABASES = (
    Database(
        "dynamodb",
        "Amazon DynamoDB",
        "state.aws.dynamodb",
        _with_a_table,
        made_by="emulator",
        prepare=_prepare,
        largest_value=400_000,
        increments=200,
        many=600,
        model_runs=5,
        proxy_setup=ProxySetup(
            as_address("endpoint", "http://127.0.0.1:{}"),
            last_port("endpoint"),
            repeats=frozenset({"transaction"}),
            impatient={"timeout": "300ms", "maxConnections": 20},
            max_connections=20,
        ),
    ),
)
