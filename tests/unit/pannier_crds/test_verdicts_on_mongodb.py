"""The verdicts on a component of MongoDB."""

from typing import Any

import pytest
from unit.tables import each_row

from pannier_crds.catalogue import component_type, read_settings

RIGHT = (
    {"host": "localhost"},
    {"host": "a:27017,b:27018", "params": "?replicaSet=rs0&tls=true"},
    {"server": "cluster0.example.com", "username": "ann", "password": "p@ss"},
    {"connectionString": "mongodb+srv://ann:secret@cluster0.example.com/?w=majority"},
    {"host": "a", "username": "CN=ann", "params": "?authMechanism=MONGODB-X509&tls=true"},
    {"host": "a", "writeconcern": "majority", "readconcern": "Majority"},
    {"host": "a", "writeconcern": "2", "operationTimeout": "10"},
)
WRONG: tuple[tuple[dict[str, Any], str], ...] = (
    ({}, "spec.metadata[host]: state.mongodb needs the address of a server; add host"),
    ({"host": "mongodb://a"}, "a URL belongs into connectionString"),
    ({"host": "ann@a"}, "a URL belongs into connectionString"),
    ({"server": "a:27017"}, "write a name such as cluster0.example.com"),
    ({"connectionString": "a:27017"}, "write mongodb://... or mongodb+srv://..."),
    ({"host": "a", "server": "b"}, "server says where the server is, and so does host; keep one"),
    ({"host": "a", "connectionString": "mongodb://b"}, "connectionString says where the server is, and so does host"),
    ({"host": "a", "username": "ann"}, "spec.metadata[username]: username needs password; add password"),
    ({"host": "a", "password": "s3cret"}, "spec.metadata[password]: password needs username; add username"),
    ({"host": "a", "params": "replicaSet"}, "write ?name=value&name=value"),
    ({"host": "a", "writeconcern": "0"}, "write majority, or a number from 1 to 999"),
    ({"host": "a", "readconcern": "loca"}, "write 'local'"),
    (
        {"connectionString": "mongodb://b", "username": "ann"},
        "spec.metadata[username]: username has no effect beside connectionString; write it into connectionString",
    ),
)


def said(values: dict[str, str]) -> list[str]:
    mongodb = component_type("state.mongodb")
    assert mongodb is not None
    return [str(problem) for problem in read_settings(mongodb, values)[1]]


@pytest.mark.parametrize("values", RIGHT, ids=str)
def test_a_valid_component_has_no_problem(values: dict[str, str]) -> None:
    assert said(values) == []


@each_row(("values", "words"), WRONG)
def test_mistakes_are_named_with_advice(values: dict[str, str], words: str) -> None:
    (problem,) = said(values)
    assert words in problem
    assert "s3cret" not in problem
