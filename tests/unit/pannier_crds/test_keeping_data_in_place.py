"""Which changes of a component make it look for its data elsewhere."""

from typing import Any

from unit.tables import each_row

from pannier_crds import catalogue
from pannier_crds.component import Component, MetadataItem, SecretKeyRef
from pannier_crds.places import changes_of_place


def redis(*items: MetadataItem, **settings: str) -> Component:
    literal = tuple(MetadataItem(name, value) for name, value in {"redisHost": "a:6379", **settings}.items())
    return Component("orders", "state.redis", metadata=(*literal, *items))


def component(type: str, version: str = "v1", **settings: str) -> Component:
    return Component("orders", type, version, metadata=tuple(MetadataItem(*each) for each in settings.items()))


def secret(name: str, key: str = "host", **fields: Any) -> Component:
    return Component(
        "o", "state.redis", metadata=(MetadataItem("redisHost", secret=SecretKeyRef(name, key)),), **fields
    )


@each_row(
    ("old", "new"),
    [
        (redis(), redis()),
        (redis(), redis(redisPassword="x", readTimeout="1s", ttlInSeconds="5", keyPrefix="name")),
        (redis(), redis(redisDB="0", redisType="NODE", failover="no", keyScheme="pipes")),
        (redis(redisDB="1"), redis(REDISDB=" 1 ")),
        (component("state.sqlite", url="a.db"), component("state.sqlite3", "v0", connectionString="a.db")),
        (component("state.in-memory"), component("State.In-Memory")),
        (secret("s"), secret("s", secret_store="kubernetes")),
        (component("pubsub.kafka", brokers="a"), component("pubsub.kafka", brokers="b")),
    ],
)
def test_these_changes_leave_the_data_where_it_is(old: Component, new: Component) -> None:
    assert changes_of_place(old, new) == ()
    assert changes_of_place(new, old) == ()


@each_row(
    ("old", "new", "field"),
    [
        (redis(), redis(redisHost="b:6379"), "spec.metadata[redisHost]"),
        (redis(), redis(redisPort="6380"), "spec.metadata[redisPort]"),
        (redis(), redis(redisDB="1"), "spec.metadata[redisDB]"),
        (redis(), redis(redisType="cluster"), "spec.metadata[redisType]"),
        (redis(), redis(sentinelMasterName="m"), "spec.metadata[sentinelMasterName]"),
        (redis(), redis(keyScheme="dash"), "spec.metadata[keyScheme]"),
        (component("state.sqlite", tableName="a"), component("state.sqlite"), "spec.metadata[tableName]"),
        (
            component("state.sqlite", url="a.db"),
            component("state.sqlite", url="b.db"),
            "spec.metadata[connectionString]",
        ),
        (redis(), component("state.sqlite", url="a.db"), "spec.type"),
        (redis(), component("state.nonsense"), "spec.type"),
        (redis(), secret("s"), "spec.metadata[redisHost]"),
        (secret("s"), secret("t"), "spec.metadata[redisHost]"),
        (secret("s"), secret("s", "other"), "spec.metadata[redisHost]"),
        (secret("s"), secret("s", secret_store="vault"), "spec.metadata[redisHost]"),
        (redis(), redis(redisHost=""), "spec.metadata[redisHost]"),
    ],
)
def test_these_changes_look_for_the_data_elsewhere(old: Component, new: Component, field: str) -> None:
    assert changes_of_place(old, new) == (field,)
    assert changes_of_place(new, old) == (field,)


def test_every_change_is_named() -> None:
    changed = changes_of_place(redis(), redis(redisHost="b", redisDB="2"))
    assert changed == ("spec.metadata[redisHost]", "spec.metadata[redisDB]")


def test_an_environment_variable_is_a_place_too() -> None:
    one, other = (
        Component("o", "state.redis", metadata=(MetadataItem("redisHost", env=name),)) for name in ("HOST", "OTHER")
    )
    assert changes_of_place(one, one) == ()
    assert changes_of_place(one, other) == ("spec.metadata[redisHost]",)


def test_every_database_says_what_places_its_data() -> None:
    own = {
        kind.name: [field.name for field in kind.fields if field.places_data and field.name != "keyScheme"]
        for kind in catalogue.known_types()
        if kind.is_state_store
    }
    assert own.pop("state.in-memory") == []
    assert all(own.values())
