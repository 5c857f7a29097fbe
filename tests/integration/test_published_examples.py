"""Every curl and Python example of the published specs, as a user would type it, gives what the specs say.

The placeholders are filled in: the port, the names of stores, the host of Redis, an ETag.
"""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import requests
from integration import published_examples as printed
from scenarios.worlds import component
from servers.databases import named
from servers.pannier_process import PATIENCE, Pannier

NAMED = Path(__file__).parents[2] / "examples" / "components" / "published-specs"
"""Components with the names that the specs give to stores."""


@dataclass(frozen=True)
class Answer:
    """What curl shows with `-i`."""

    status: int
    headers: dict[str, str]
    body: str


@dataclass(frozen=True)
class Shell:
    """A user's terminal next to a running sidecar."""

    port: int
    stores: dict[str, str]
    """The names here for the stores in the examples."""

    def fill_in(self, example: str, etag: str | None = None) -> str:
        for name, called in {**self.stores, "<state_store_name>": self.stores["redis-store"]}.items():
            example = example.replace(f"/{name}", f"/{called}").replace(f'"{name}"', f'"{called}"')
        if etag is not None:
            example = example.replace('"xxxxx"', f'"{etag}"')
        return example.replace("localhost:3500", f"localhost:{self.port}")

    def curl(self, example: str, etag: str | None = None) -> Answer:
        typed = self.fill_in(example, etag).replace("curl ", "curl --silent --include ", 1)
        shown = subprocess.run(["bash", "-c", typed], check=True, capture_output=True, timeout=PATIENCE).stdout
        head, _, body = shown.decode().partition("\r\n\r\n")
        start, *lines = head.split("\r\n")
        headers = dict(line.lower().split(": ", 1) for line in lines)
        return Answer(int(start.split()[1]), headers, body)

    def python(self, example: str) -> dict[str, Any]:
        """Run a program and return its variables."""
        names: dict[str, Any] = {"__name__": "__main__"}
        exec(compile(self.fill_in(example), "example", "exec"), names)
        return names

    def url(self, store: str, key: str = "") -> str:
        return f"http://localhost:{self.port}/v1.0/state/{self.stores[store]}" + (f"/{key}" if key else "")

    def save(self, store: str, key: str, value: object) -> str:
        """Save a value that the examples need, and return the ETag."""
        assert requests.post(self.url(store), json=[{"key": key, "value": value}]).status_code == 201
        return requests.get(self.url(store, key)).headers["ETag"]


@contextmanager
def embedded(folder: Path) -> Iterator[Shell]:
    """`pannier run` without arguments: one store, in a file of the user."""
    pannier = Pannier("run", "--http-port", "0", environment={"XDG_DATA_HOME": str(folder)}, folder=folder)
    try:
        yield Shell(pannier.port(), dict.fromkeys(printed.STORES, "statestore"))
    finally:
        pannier.close()


@contextmanager
def as_printed(folder: Path) -> Iterator[Shell]:
    """`pannier run` with the components made for these examples: only the port must be filled in."""
    pannier = Pannier("run", "--http-port", "0", "--components", NAMED, environment={"XDG_DATA_HOME": str(folder)})
    try:
        yield Shell(pannier.port(), {name: name for name in printed.STORES})
    finally:
        pannier.close()


@contextmanager
def over(kind: str, folder: Path) -> Iterator[Shell]:
    """`pannier run` with the printed component, and others with the names in the examples."""
    database = named(kind)
    with database.serve(folder) as server:
        components = folder / "components"
        components.mkdir()
        default = component("statestore", database.store_type, server.settings)
        if kind == "redis":
            default = printed.COMPONENT.replace("<redis host>", str(server.settings["redisHost"]))
        (components / "statestore.yaml").write_text(default)
        for name in printed.STORES:
            (components / f"{name}.yaml").write_text(component(name, database.store_type, server.settings))
        pannier = Pannier("run", "--http-port", "0", "--components", components)
        try:
            yield Shell(pannier.port(), {name: name for name in printed.STORES})
        finally:
            pannier.close()


ALONE = {"embedded": embedded, "as printed": as_printed}
DATABASES = ("in-memory", "sqlite", "redis", "redis-sentinel", "redis-cluster")


def in_shells(*names: str) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("shell", names, indirect=True, scope="module")


IN_EACH = in_shells(*ALONE, *DATABASES)
"""For examples whose effect could differ from store to store: values, ETags and transactions."""
AS_PRINTED = in_shells("as printed")
"""For the others, which differ in what they ask of HTTP: tests/scenarios/matrix.py says why one store is enough."""


@pytest.fixture(scope="module")
def shell(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shell]:
    folder = tmp_path_factory.mktemp("examples")
    with ALONE[request.param](folder) if request.param in ALONE else over(request.param, folder) as shell:
        yield shell


@IN_EACH
@pytest.mark.parametrize(
    ("save", "get", "delete"),
    [(printed.SAVE, printed.GET, printed.DELETE), (printed.OLDEST_SAVE, printed.OLDEST_GET, printed.OLDEST_DELETE)],
    ids=["spec", "oldest spec"],
)
def test_save_get_and_delete(shell: Shell, save: str, get: str, delete: str) -> None:
    answer = shell.curl(save)
    assert (answer.status, answer.body) == (201, "")
    answer = shell.curl(get)
    assert (answer.status, json.loads(answer.body)) == (200, {"name": "Tatooine"})
    assert answer.headers["etag"]
    weapon = shell.curl(get.replace("planet", "weapon"))
    assert (weapon.status, weapon.body) == (200, '"DeathStar"')
    answer = shell.curl(delete)
    assert (answer.status, answer.body) == (200, "")
    answer = shell.curl(get)
    assert (answer.status, answer.body) == (204, "")


@IN_EACH
def test_a_save_with_an_etag_needs_the_current_one(shell: Shell) -> None:
    only_current(shell, printed.SAVE, printed.GET, printed.SAVE_WITH_ETAG)


@AS_PRINTED
def test_a_save_with_retries_needs_the_current_etag(shell: Shell) -> None:
    only_current(shell, printed.SAVE, printed.GET, printed.SAVE_WITH_RETRIES)
    only_current(shell, printed.OLDEST_SAVE, printed.OLDEST_GET, printed.OLDEST_SAVE_WITH_RETRIES)


def only_current(shell: Shell, save: str, get: str, example: str) -> None:
    """Assert that an example saves with the ETag of a get, and not with it a second time."""
    shell.curl(save)
    etag = shell.curl(get.replace("planet", "weapon")).headers["etag"]
    assert shell.curl(example, etag).status == 201
    assert shell.curl(example, etag).status == 409
    assert shell.curl(example).status in (400, 409), "an ETag that no store gave"


@AS_PRINTED
def test_the_example_with_my_key_works(shell: Shell) -> None:
    assert requests.post(shell.url("myStateStore"), data=printed.MY_KEY).status_code == 201
    found = requests.get(shell.url("myStateStore", "myKey"))
    assert (found.status_code, found.json()) == (200, "myValue")


@AS_PRINTED
def test_a_bulk_of_items_is_carried_out_in_order_and_independently(shell: Shell) -> None:
    etag = shell.save("starwars", "weapon", "Lightsaber")
    requests.delete(shell.url("starwars", "planet"))
    assert requests.post(shell.url("starwars"), data=printed.BULK).status_code == 409
    assert requests.get(shell.url("starwars", "weapon")).json() == "Lightsaber"
    assert requests.get(shell.url("starwars", "planet")).json() == {"name": "Tatooine"}
    assert requests.post(shell.url("starwars"), data=printed.BULK.replace("1234", etag)).status_code == 201
    assert requests.get(shell.url("starwars", "weapon")).json() == "DeathStar"


@IN_EACH
def test_the_example_with_a_transaction_works(shell: Shell, request: pytest.FixtureRequest) -> None:
    shell.save("starwars", "key2", 1)
    body = printed.MULTI
    if "redis-cluster" in request.node.name:
        # A Cluster holds a transaction's keys in one place if they share a part in braces, and refuses it otherwise.
        refused = requests.post(shell.url("starwars", "transaction"), data=body)
        assert refused.status_code == 400
        assert "braces" in refused.json()["message"]
        body = body.replace("key1", "{k}ey1").replace("key2", "{k}ey2")
    assert requests.post(shell.url("starwars", "transaction"), data=body).status_code == 204
    one, two = (json.loads(body)["operations"][n]["request"]["key"] for n in (0, 1))
    assert requests.get(shell.url("starwars", one)).json() == "myData"
    assert requests.get(shell.url("starwars", two)).status_code == 204


@AS_PRINTED
def test_the_guide_saves(shell: Shell) -> None:
    assert shell.python(printed.GUIDE_SAVE)["response"].status_code == 201
    assert requests.get(shell.url("redis-store", "k1")).json() == "Some Data"


@AS_PRINTED
def test_the_guide_gets_and_deletes(shell: Shell, capsys: pytest.CaptureFixture[str]) -> None:
    etag = shell.save("redis-store", "key1", "Some Data")
    assert shell.python(printed.GUIDE_GET)["response"].json() == "Some Data"
    assert capsys.readouterr().out == f"{etag}\n"
    assert shell.python(printed.GUIDE_DELETE)["response"].status_code == 200
    assert requests.get(shell.url("redis-store", "key1")).status_code == 204


@AS_PRINTED
def test_the_guide_deletes_what_it_has_seen(shell: Shell) -> None:
    shell.save("redis-store", "key1", "Some Data")
    assert shell.python(printed.GUIDE_FIRST_WRITE)["response"].status_code == 200
    assert requests.get(shell.url("redis-store", "key1")).status_code == 204


@AS_PRINTED
def test_the_guide_tries_again_after_a_mismatch(shell: Shell) -> None:
    before = shell.save("redis-store", "key1", "Some Data")
    names = shell.python(printed.GUIDE_MISMATCH)
    assert (names["success"], names["etag"]) == (True, before)
    assert names["save_state"](names["newState"]) is False, "its ETag is no longer the current one"
    assert requests.get(shell.url("redis-store", "key1")).json() == "New Data"
