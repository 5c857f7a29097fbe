"""A password that any six of its characters identify, in fields where it is wrong."""

from __future__ import annotations

import base64
from typing import Any, Final

from pannier_crds.catalogue import ComponentType

CANARY: Final = "Qz7XkW3pVn9RtY2mBd5G"
FRAGMENT: Final = 6

WAYS: Final = {
    "the password of a URL": "postgresql://u:{P}@h:1/d",
    "a slash in the password": "postgresql://u:{P}/{P}@h:1/d",
    "a number sign in the password": "postgresql://u:x#{P}@h:1/d",
    "a question mark in the password": "postgresql://u:x?{P}@h:1/d",
    "an at in the password": "postgresql://u:x@{P}@h:1/d",
    "a percent in the password": "postgresql://u:x%{P}@h:1/d",
    "brackets in the password": "postgresql://u:[{P}]@h:1/d",
    "a slash, for MongoDB": "mongodb://u:{P}/x@h:1/d",
    "colons, for MongoDB": "mongodb://u:x:{P}@h:1/d",
    "an option of MongoDB's": "mongodb://h:1/?x&{P}",
    "SRV of MongoDB's with a port": "mongodb+srv://u:x@h:{P}/",
    "in the port's place of a URL": "postgresql://h:{P}/d",
    "in the port's place": "h:{P}",
    "in the port's place, with a scheme": "https://h:{P}",
    "in brackets": "[{P}]",
    "in the brackets of a URL": "postgresql://[{P}]/d",
    "pairs with semicolons": "host=a;password={P}",
    "pairs with commas": "host=a,password={P}",
    "a user first": "user=u;password={P}",
    "as ADO has it": "Server=a;User Id=u;Password={P};",
    "as SQLite for .NET has it": "Data Source=x.db;Password={P}",
    "a user before the host": "u:{P}@host",
    "settings behind the port": "h:6379;password={P}",
    "settings in a list": "h,password={P}",
    "as JDBC has it": "jdbc:postgresql://h/d?user=u&password={P}",
    "as Go's MySQL has it": "u:{P}@tcp(h:3306)/d",
    "another scheme": "redis://:{P}@h:6379/0",
    "a quote that does not end": "host=h password='{P}",
    "a port of a keyword": "host=h port={P} user=u",
    "a mode": "x.db?mode={P}",
    "a pragma": "x.db?_pragma={P}",
    "a key of a file": "x.db?_key={P}",
    "a folder of a drive": "C:\\{P}\\x.db",
    "a home": "~{P}/x.db",
    "two lines": "a\n{P}",
    "headers": "a\r\nX-Token: {P}",
    "other letters before it": "\u00fc\u4e16{P}",
    "a turn of direction": "\u202e{P}",
    "very long": "x" * 5000 + "{P}",
    "percent-encoded": "%51%7A" + "{P}"[0:] + "%",
    "a bar at its end": "{P}|",
    "bars in it": "{P}||x",
    "a dash in it": "{P}-x",
    "a format": "%s%(x)s{{0}}{P}",
    "a path that is none": "/no/such/folder/{P}\x7f:",
    "a zone": "[fe80::1%{P}]:1",
    "PEM that is none": "-----BEGIN CERTIFICATE-----\n{P}\n-----END CERTIFICATE-----",
    "JSON": '{{"password": "{P}"}}',
}

BASES: Final[dict[str, dict[str, str]]] = {
    "state.redis": {"redisHost": "127.0.0.1:1", "dialTimeout": "500ms"},
    "state.postgresql": {"connectionString": "host=127.0.0.1 port=1 user=u", "timeout": "1s"},
    "state.cockroachdb": {"connectionString": "host=127.0.0.1 port=1 user=u", "timeout": "1s"},
    "state.memcached": {"hosts": "127.0.0.1:1", "timeout": "500ms"},
    "state.mongodb": {"host": "127.0.0.1:1", "operationTimeout": "500ms"},
    "state.mysql": {"connectionString": "u@tcp(127.0.0.1:1)/", "timeout": "1s"},
    "state.sqlserver": {"connectionString": "server=127.0.0.1,1;user id=u;password=p", "timeout": "1s"},
    "state.aws.dynamodb": {
        "table": "state",
        "region": "eu-central-1",
        "endpoint": "http://localhost:1",
        "accessKey": "a",
        "secretKey": "s",
        "timeout": "1s",
    },
    "state.etcd": {"endpoints": "127.0.0.1:1", "timeout": "500ms"},
    "state.gcp.spanner": {
        "projectId": "p",
        "instanceId": "i",
        "databaseId": "d",
        "emulatorHost": "127.0.0.1:1",
        "timeout": "500ms",
    },
    "state.hashicorp.consul": {"httpAddr": "localhost:1", "timeout": "500ms"},
    "state.azure.cosmosdb": {
        "url": "http://localhost:1/",
        "database": "d",
        "collection": "c",
        "masterKey": "a2V5",
        "timeout": "500ms",
    },
    "state.cassandra": {"hosts": "127.0.0.1", "port": "1", "timeout": "500ms"},
    "state.azure.blobstorage": {
        "accountName": "acc",
        "accountKey": "a2V5",
        "containerName": "states",
        "endpoint": "http://localhost:1",
        "timeout": "500ms",
    },
    "state.azure.tablestorage": {
        "accountName": "acc",
        "accountKey": "a2V5",
        "tableName": "states",
        "serviceURL": "http://localhost:1/acc",
        "timeout": "500ms",
    },
    "state.jetstream": {"natsURL": "nats://127.0.0.1:1", "bucket": "b", "timeout": "500ms"},
    "secretstores.local.file": {"secretsFile": "/no/such/secrets.json"},
}
INSTEAD_OF: Final = {
    ("state.mongodb", "connectionString"): ("host",),
    ("state.mongodb", "server"): ("host",),
    ("state.gcp.spanner", "endpoint"): ("emulatorHost",),
}
"""Characters that must be removed so that a field can be read at all."""


def mutated(way: str) -> str:
    return WAYS[way].replace("{P}", CANARY).replace("{{", "{").replace("}}", "}")


def leaks(text: str) -> list[str]:
    """The fragments of the canary in a text, even in another case, percent-encoded or in base64."""
    forms = {text.lower(), unescaped(text).lower()}
    parts = {CANARY[at : at + FRAGMENT] for at in range(len(CANARY) - FRAGMENT + 1)}
    encoded = base64.b64encode(CANARY.encode()).decode()[:12]
    return sorted(part for part in parts | {encoded} if any(part.lower() in form for form in forms))


def unescaped(text: str) -> str:
    from urllib.parse import unquote

    return unquote(text).replace("\\u00", "%").replace("\\x", "%")


def manifest(kind: ComponentType, name: str, given: dict[str, str | dict[str, Any]]) -> dict[str, Any]:
    """A Component with a base that reaches nobody, and fields instead of or beside it: values, or references."""
    settings: dict[str, Any] = {**BASES.get(kind.name, {}), **given}
    for field in given:
        for other in INSTEAD_OF.get((kind.name, field), ()):
            settings.pop(other, None)
    items = [{"name": field, **(to if isinstance(to, dict) else {"value": to})} for field, to in settings.items()]
    return {
        "apiVersion": "dapr.io/v1alpha1",
        "kind": "Component",
        "metadata": {"name": name, "namespace": "shop", "generation": 1},
        "spec": {"type": kind.name, "version": kind.versions[0], "initTimeout": "3s", "metadata": items},
    }


def reference(secret: str) -> dict[str, Any]:
    return {"secretKeyRef": {"name": secret, "key": secret}}
