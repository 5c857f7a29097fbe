"""A move that can't work is refused before anything is written, in one line that says what to do."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest
from servers.places import Desk, Place

from pannier_sidecar.loading.resolving import ResolutionContext
from pannier_sidecar.moving import opening
from pannier_sidecar.moving.items import MoveError
from pannier_sidecar.moving.locating import locate
from pannier_sidecar.state.requests import Set
from pannier_sidecar.stores.in_memory import InMemoryStore

Refused = Callable[..., str]


@pytest.fixture
def refused(desk: Desk) -> Refused:
    def run(*arguments: object, code: int = 1) -> str:
        done = desk.run(*arguments)
        assert done.code == code, done
        assert done.out == []
        return done.err[-1]

    return run


def test_a_flag_that_is_missing(refused: Refused, sqlite_place: Place) -> None:
    assert refused("copy", "--from", sqlite_place.file, code=2) == (
        "pannier: --to is missing: write --to with the file of a component"
    )
    assert "--from is missing" in refused("export", code=2)
    assert "--to is missing" in refused("import", "state.jsonl", code=2)


def test_an_unexpected_word_is_refused(refused: Refused, sqlite_place: Place) -> None:
    said = refused("import", "--to", sqlite_place.file, "a.jsonl", "b.jsonl", code=2)
    assert said == "pannier: unexpected 'b.jsonl'; 'pannier help import' shows its arguments"
    assert "unexpected 'x'" in refused("export", "--from", sqlite_place.file, "x", code=2)


def test_a_file_that_is_not_there(refused: Refused, sqlite_place: Place) -> None:
    said = refused("copy", "--from", "nowhere.yaml", "--to", sqlite_place.file)
    assert said == "pannier: nowhere.yaml: no such file or folder; write the path of a component file"
    said = refused("import", "--to", sqlite_place.file, "nowhere.jsonl")
    assert said == "pannier: nowhere.jsonl can't be read: no such file or directory"


def test_several_stores_in_one_file_are_named(
    refused: Refused, desk: Desk, sqlite_place: Place, redis_place: Place
) -> None:
    both, places = desk.folder / "both.yaml", (sqlite_place, redis_place)
    components = [json.dumps(place.component(place.file.stem)) for place in places]
    both.write_text("\n---\n".join(components))
    said = refused("copy", "--from", "both.yaml", "--to", redis_place.file)
    assert said == "pannier: both.yaml holds several state stores: 'redis' and 'sqlite'; write both.yaml#redis"
    assert refused("export", "--from", "both.yaml#other") == "pannier: both.yaml holds no state store called 'other'"
    assert desk.run("copy", "--from", "both.yaml#sqlite", "--to", "both.yaml#redis").code == 0


def test_a_folder_of_components_is_accepted(desk: Desk, sqlite_place: Place) -> None:
    (desk.folder / "components").mkdir()
    sqlite_place.under(desk.folder / "components" / "one.yaml")
    assert desk.run("export", "--from", "components#one").code == 0


def test_a_wrong_component_is_reported_as_in_check(refused: Refused, desk: Desk, sqlite_place: Place) -> None:
    sqlite_place.under(desk.folder / "wrong.yaml", tableName="no table")
    said = refused("copy", "--from", "wrong.yaml", "--to", sqlite_place.file)
    assert said.startswith("pannier: wrong.yaml:1: spec.metadata[tableName].value: the value is not a table name")


def test_the_component_of_another_app_is_refused(refused: Refused, desk: Desk, sqlite_place: Place) -> None:
    component = sqlite_place.component("orders") | {"scopes": ["shop"]}
    (desk.folder / "orders.yaml").write_text(json.dumps(component))
    said = refused("export", "--from", "orders.yaml")
    assert "orders: it exists, but app 'app' is not in its scopes [shop]" in said
    assert desk.run("export", "--from", "orders.yaml", "--app-id", "shop").code == 0


def test_a_store_that_is_copied_onto_itself(refused: Refused, desk: Desk, sqlite_place: Place) -> None:
    again = sqlite_place.under(desk.folder / "again.yaml", busyTimeout="1s")
    assert refused("copy", "--from", sqlite_place.file, "--to", again.file) == (
        "pannier: sqlite and again keep the same keys in the same place; name another --to"
    )


@pytest.mark.parametrize(
    ("store_type", "settings"),
    [("state.in-memory", {}), ("state.sqlite", {"connectionString": ":memory:"})],
)
def test_a_store_in_the_memory_of_another_process_is_refused(
    refused: Refused, desk: Desk, sqlite_place: Place, store_type: str, settings: dict[str, str]
) -> None:
    memory = Place(desk.folder / "memory.yaml", store_type, settings)
    assert "keeps its state in the memory of the process that serves it" in refused("export", "--from", memory.file)
    assert "name a store" in refused("copy", "--from", sqlite_place.file, "--to", memory.file)


def test_a_server_that_does_not_answer(refused: Refused, desk: Desk, sqlite_place: Place) -> None:
    away = Place(desk.folder / "away.yaml", "state.redis", {"redisHost": "127.0.0.1:1"})
    assert "away can't be opened: " in refused("copy", "--from", sqlite_place.file, "--to", away.file)


async def test_keys_of_actors_joined_by_dashes_are_refused(
    refused: Refused, desk: Desk, sqlite_place: Place, redis_place: Place
) -> None:
    dashes = {"keyScheme": "dash", "actorStateStore": "true"}
    source = sqlite_place.under(desk.folder / "from.yaml", **dashes)
    await source.save(Set("app-cat-tom-mood", b"1"))
    said = refused("copy", "--from", source.file, "--to", redis_place.file)
    assert "with keyScheme dash their keys look like the app's own" in said
    assert "look like the app's own" in refused("export", "--from", source.file)
    same = redis_place.under(desk.folder / "to.yaml", **dashes)
    assert desk.copy(source.file, same.file).code == 0
    assert await same.values() == {"app-cat-tom-mood": b"1"}


def test_a_journal_that_cannot_be_created_is_refused(desk: Desk, sqlite_place: Place) -> None:
    (desk.folder / "state.jsonl").write_text('{"key": "a", "value": 1}\n')
    done = desk.run("import", "--to", sqlite_place.file, "--journal", "state.jsonl/moved.db", "state.jsonl")
    assert done.code == 1
    assert "pannier: the journal state.jsonl/moved.db can't be used" in done.err[-1]


def test_nothing_found_says_whose_keys_were_looked_for(desk: Desk, sqlite_place: Place) -> None:
    done = desk.run("export", "--from", sqlite_place.file, "--app-id", "shop")
    assert done.code == 0
    assert "sqlite holds no key of app 'shop'; name the app with --app-id" in done.err


async def test_a_source_that_cannot_list_its_keys(
    refused: Refused, desk: Desk, sqlite_place: Place, memcached_place: Place
) -> None:
    said = refused("copy", "--from", memcached_place.file, "--to", sqlite_place.file)
    assert "memcached (state.memcached) can't list its keys, so it is unknown what there is to copy" in said
    await sqlite_place.save(Set("app||k", b"1"), Set("app||hour", b"1", ttl=3600))
    there = desk.copy(sqlite_place.file, memcached_place.file)
    assert (there.code, there.out[0]) == (0, "2 keys: 2 copied; 2 bytes written")
    assert desk.copy(sqlite_place.file, memcached_place.file).out[0] == "2 keys: 2 the same already"


class Bare(InMemoryStore):
    """A store that promises nothing."""

    features = frozenset()


def test_a_target_without_etags_is_refused_unless_it_is_overwritten(sqlite_place: Place) -> None:
    desired = locate(str(sqlite_place.file), ResolutionContext("app"))
    with pytest.raises(MoveError, match="has no ETags, so what others write during the copy could be lost"):
        opening.limits_of(desired, Bare({}), overwrites=False)
    limits = opening.limits_of(desired, Bare({}), overwrites=True)
    assert (limits.has_etags, limits.has_expiry) == (False, False)
