"""Texts become typed settings under their canonical names; a text that does not fit is a problem that says what to
write.
"""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import settings as examples
from hypothesis import strategies as st
from unit.tables import each_row

from pannier_crds import catalogue
from pannier_crds.catalogue import ComponentType, Field, Setting, read_settings
from pannier_crds.secret import Secret, is_hidden


def kind_of(name: str) -> ComponentType:
    kind = catalogue.component_type(name)
    assert kind is not None
    return kind


REDIS, SQLITE, MEMORY = kind_of("state.redis"), kind_of("state.sqlite"), kind_of("state.in-memory")
ETCD, POSTGRESQL = kind_of("state.etcd"), kind_of("state.postgresql")


def settings(kind: ComponentType, **values: str) -> dict[str, Setting]:
    read, problems = read_settings(kind, values)
    assert problems == []
    return read


def problem(kind: ComponentType, **values: str) -> str:
    (found,) = read_settings(kind, values)[1]
    assert found.is_error
    return str(found)


def test_defaults_stand_where_nothing_is_written() -> None:
    assert settings(SQLITE) == {
        "connectionString": None,
        "tableName": "state",
        "metadataTableName": "metadata",
        "timeout": 20.0,
        "busyTimeout": 2.0,
        "disableWAL": False,
        "cleanupInterval": 3600.0,
        "primaryEncryptionKey": None,
        "secondaryEncryptionKey": None,
        "decryptionKeys": None,
        "encryptionFormat": "pannier",
        "encryptionReadsUnencrypted": False,
        "largeValues": False,
        "largeValuePartSize": "256Ki",
        "largeValueMaxSize": "1Gi",
        "keyPrefix": "appid",
        "keyScheme": "pipes",
        "actorStateStore": False,
        "defaultStateStore": False,
        "ttlInSeconds": None,
        "idempotencyKeyTTLInSeconds": 3600,
        "changesPollInterval": 5.0,
        "cacheSize": None,
        "cacheMaxAge": 30.0,
    }


@each_row(
    ("written", "name", "value"),
    [
        ({"REDISHOST": "h"}, "redisHost", "h"),
        ({"redisDB": "3"}, "redisDB", 3),
        ({"redisDB": " 3 "}, "redisDB", 3),
        ({"redisDB": ""}, "redisDB", 0),
        ({"redisType": "Cluster"}, "redisType", "cluster"),
        ({"enableTLS": "Yes"}, "enableTLS", True),
        ({"enableTLS": "off"}, "enableTLS", False),
        ({"dialTimeout": "250"}, "dialTimeout", 0.25),
        ({"dialTimeout": "1m"}, "dialTimeout", 60.0),
        ({"readTimeout": "-1"}, "readTimeout", 3.0),
        ({"writeTimeout": "0"}, "writeTimeout", 3.0),
        ({"maxRetries": "7"}, "redisMaxRetries", 7),
        ({"redisMaxRetries": "-1"}, "redisMaxRetries", -1),
        ({"maxRetryBackoff": "50000000"}, "redisMinRetryInterval", 0.05),
        ({"redisPassword": " p "}, "redisPassword", Secret(" p ")),
        ({"ttlInSeconds": "-1"}, "ttlInSeconds", -1),
        ({"keyPrefix": "my prefix"}, "keyPrefix", "my prefix"),
        ({"keyScheme": "DASH"}, "keyScheme", "dash"),
        ({"useEntraID": "false"}, "redisHost", "localhost"),
    ],
)
def test_redis_settings_are_typed(written: dict[str, str], name: str, value: Setting) -> None:
    given = {"redisHost": "localhost"} if "REDISHOST" not in written else {}
    assert settings(REDIS, **given, **written)[name] == value


@each_row(
    ("written", "name", "value"),
    [
        ({"url": "data.db"}, "connectionString", "data.db"),
        ({"timeout": "5"}, "timeout", 5.0),
        ({"timeoutInSeconds": "5"}, "timeout", 5.0),
        ({"busyTimeout": "800ms"}, "busyTimeout", 0.8),
        ({"cleanupInterval": "0"}, "cleanupInterval", 0.0),
        ({"cleanupInterval": "-1"}, "cleanupInterval", -1.0),
        ({"cleanupIntervalInSeconds": "60"}, "cleanupInterval", 60.0),
        ({"tableName": "My_table1"}, "tableName", "My_table1"),
    ],
)
def test_sqlite_settings_are_typed(written: dict[str, str], name: str, value: Setting) -> None:
    assert settings(SQLITE, **written)[name] == value


def test_fields_without_effect_and_unknown_names_are_not_in_the_result() -> None:
    read = settings(REDIS, redisHost="h", poolSize="many", queryIndexes="[", nothing="x")
    assert not {"poolSize", "queryIndexes", "nothing", "maxRetryBackoff", "outboxPubsub"} & set(read)


@each_row(
    ("kind", "written", "expected"),
    [
        (
            MEMORY,
            {"ttlInSeconds": "soon"},
            "[ttlInSeconds].value: 'soon' is not a whole number; write a whole number of",
        ),
        (MEMORY, {"cacheSize": "32 MB"}, "[cacheSize].value: the value is not a size; write a size from 64Ki"),
        (MEMORY, {"cacheSize": "1Ki"}, "[cacheSize].value: the value is too small"),
        (MEMORY, {"cacheMaxAge": "5s"}, "[cacheMaxAge]: without cacheSize no value is held in memory"),
        (MEMORY, {"cacheSize": "1Mi", "cacheMaxAge": "0"}, "[cacheMaxAge]: no value would"),
        (MEMORY, {"cacheSize": "1Mi", "largeValues": "true"}, "[cacheSize]: values in parts are not held"),
        (MEMORY, {"changesPollInterval": "99ms"}, "[changesPollInterval]: under 100ms, all keys"),
        (MEMORY, {"ttlInSeconds": "1.5"}, "[ttlInSeconds].value: '1.5' is not a whole number"),
        (
            MEMORY,
            {"ttlInSeconds": "-2"},
            "[ttlInSeconds].value: '-2' is too small; write a whole number of seconds from",
        ),
        (MEMORY, {"ttlInSeconds": "9" * 5000}, "[ttlInSeconds].value: the value is not a whole number; write"),
        (MEMORY, {"ttlInSeconds": "2147483648"}, "[ttlInSeconds].value: '2147483648' is too large"),
        (
            MEMORY,
            {"actorStateStore": "maybe"},
            '[actorStateStore].value: \'maybe\' is neither true nor false; write "true" or "false"',
        ),
        (
            MEMORY,
            {"keyScheme": "pipe"},
            "[keyScheme].value: 'pipe' is not a keyScheme ('pipes' or 'dash'); write 'pipes'",
        ),
        (
            MEMORY,
            {"keyScheme": "xyz"},
            "[keyScheme].value: 'xyz' is not a keyScheme ('pipes' or 'dash'); write one of them",
        ),
        (MEMORY, {"keyPrefix": "a||b"}, "[keyPrefix].value: the value is not a key prefix, because '||' separates"),
        (
            MEMORY,
            {"outboxPubsub": "k3y"},
            "[outboxPubsub]: the outbox is not served, so no event would be published; take this",
        ),
        (
            SQLITE,
            {"timeout": "5 minutes"},
            "[timeout].value: '5 minutes' is not a duration; write a number with a unit, such as 500ms, 5s or 1h30m; "
            "a number alone is seconds",
        ),
        (SQLITE, {"tableName": "state; drop"}, "[tableName].value: the value is not a table name; write letters"),
        (SQLITE, {"url": "a", "connectionString": "b"}, "[connectionString]: says the same as 'url'; take 'connection"),
        (
            SQLITE,
            {"metadataTableName": "STATE"},
            "[metadataTableName].value: state and metadata would share one table; give one of them another",
        ),
        (REDIS, {}, "[redisHost]: state.redis needs 'redisHost'; add it under spec.metadata (host or host:port,"),
        (REDIS, {"redisHost": " "}, "[redisHost]: state.redis needs 'redisHost'"),
        (REDIS, {"redisHost": "h", "useOIDC": "true"}, "[useOIDC]: signing in with OpenID Connect is not served; take"),
        (REDIS, {"redisHost": "h", "maxRetries": "1", "redisMaxRetries": "2"}, "[redisMaxRetries]: says the same as"),
        (
            REDIS,
            {"redisHost": "h", "maxRetryBackoff": "1", "redisMinRetryInterval": "2"},
            "[redisMinRetryInterval]: says",
        ),
        (kind_of("state.memcached"), {"hosts": ":1"}, "[hosts].value: there is no host before character 1, ':'"),
        (ETCD, {"endpoints": "host:1:1"}, "[endpoints].value: what begins at character 1 has several ':' and is not"),
        (ETCD, {"endpoints": "[host"}, "[endpoints].value: what begins at character 1, '[', is not an IPv6 address"),
        (POSTGRESQL, {"host": "/ a"}, "[host].value: character 2 is not allowed in the path of a Unix socket"),
        (
            POSTGRESQL,
            {"connectionString": "postgres://host/@"},
            "[connectionString].value: character 16, '/', ends the host, and a password seems to continue after it",
        ),
    ],
)
def test_wrong_values_say_what_to_write(kind: ComponentType, written: dict[str, str], expected: str) -> None:
    assert problem(kind, **written).startswith(f"spec.metadata{expected}")


@each_row(
    ("written", "expected"),
    [
        (
            {"redisHost": "redis://:s3cret@h:1/0"},
            "[redisHost].value: a URL begins at character 1, and a URL is not accepted here; write host or host:port",
        ),
        (
            {"redisHost": "rediss://h"},
            "[redisHost].value: a URL begins at character 1, and a URL is not accepted here; write",
        ),
        (
            {"redisHost": "u:s3cret@h"},
            "[redisHost].value: character 9, '@', has no place here",
        ),
        (
            {"redisHost": "h:99999"},
            "[redisHost].value: the text after ':' at character 2 is not a port; write a port",
        ),
        ({"redisHost": "h:"}, "[redisHost].value: the text after ':' at character 2 is not a port"),
        ({"redisHost": "a,,b", "redisType": "cluster"}, "[redisHost].value: there is an empty address at character 3"),
        ({"redisHost": "a,b"}, "[redisHost].value: 2 addresses for one node; write one, or add redisType: cluster"),
        (
            {"redisHost": "h:1", "redisPort": "2"},
            "[redisPort].value: redisHost says port 1 and redisPort says 2; remove redisPort, or",
        ),
        (
            {"redisHost": "h", "redisPort": "0"},
            "[redisPort].value: the value is too small; write a whole number",
        ),
        (
            {"redisHost": "h", "failover": "true"},
            "[failover]: failover needs the name under which the Sentinels know the master; add sentinelMasterName",
        ),
        (
            {"redisHost": "h", "redisType": "cluster", "redisDB": "1"},
            "[redisDB].value: a Redis Cluster has only database 0",
        ),
        (
            {"redisHost": "h", "redisType": "cluster", "failover": "true", "sentinelMasterName": "m"},
            "[failover].value: a Redis Cluster fails over by itself and has no Sentinels; remove failover",
        ),
        ({"redisHost": "h", "enableTLS": "true", "clientCert": "c"}, "[clientCert]: clientCert needs clientKey; add"),
        ({"redisHost": "h", "enableTLS": "true", "clientKey": "c"}, "[clientKey]: clientKey needs clientCert; add"),
        ({"redisHost": "h", "clientKey": "k", "clientCert": "c"}, "[clientCert]: clientCert needs TLS; add enableTLS"),
        (
            {"redisHost": "h", "redisMinRetryInterval": "5s", "redisMaxRetryInterval": "1s"},
            "[redisMinRetryInterval].value: the shortest pause (5 s) is longer than redisMaxRetryInterval (1 s)",
        ),
    ],
)
def test_redis_fields_must_agree(written: dict[str, str], expected: str) -> None:
    said = problem(REDIS, **written)
    assert said.startswith(f"spec.metadata{expected}")
    assert "s3cret" not in said


@each_row(
    "written",
    [
        {"redisHost": "h:1", "redisPort": "1"},
        {"redisHost": "h", "redisPort": "1"},
        {"redisHost": "a:1, b:2", "redisType": "cluster", "redisDB": "0"},
        {"redisHost": "a,b", "failover": "true", "sentinelMasterName": "m", "sentinelPassword": "p"},
        {"redisHost": "[::1]:6379"},
        {"redisHost": "::1"},
        {"redisHost": "redis-master.shop.svc.cluster.local:6379"},
        {"redisHost": "my_redis"},
        {"redisHost": "h", "enableTLS": "true", "clientCert": "c", "clientKey": "k", "insecureSkipTLSVerify": "true"},
    ],
)
def test_redis_fields_that_agree_are_fine(written: dict[str, str]) -> None:
    settings(REDIS, **written)


@pytest.mark.parametrize(
    "written",
    [{"sentinelMasterName": "m"}, {"insecureSkipTLSVerify": "true"}, {"redisType": "cluster", "actorStateStore": "1"}],
)
def test_redis_fields_with_less_effect_than_meant_get_a_warning(written: dict[str, str]) -> None:
    _, (found,) = read_settings(REDIS, {"redisHost": "h"} | written)
    assert found.severity == "warning"


def test_references_count_as_given_and_are_not_judged() -> None:
    read, problems = read_settings(
        REDIS, {"failover": "true"}, unresolved=["redisHost", "sentinelMasterName", "redisDB"]
    )
    assert problems == []
    assert read["redisHost"] is None
    assert read["redisDB"] == 0


def test_a_refused_field_is_refused_by_reference_too() -> None:
    _, (found,) = read_settings(MEMORY, {}, unresolved=["OutboxPubsub"])
    assert found.field == "spec.metadata[OutboxPubsub]"


def test_a_wrong_value_causes_no_second_problem() -> None:
    _, problems = read_settings(REDIS, {"redisHost": "a,b", "redisType": "clster"})
    assert [found.field for found in problems] == ["spec.metadata[redisType].value"]


def test_secret_values_are_never_shown() -> None:
    kind = ComponentType("state.x", "X", fields=(Field("pin", "integer", sensitive=True),))
    (found,) = read_settings(kind, {"pin": "s3cret"})[1]
    assert str(found) == "spec.metadata[pin].value: the value is not a whole number; write a whole number"


def test_numbers_may_have_fractions() -> None:
    kind = ComponentType("state.x", "X", fields=(Field("ratio", "number", minimum=0),))
    assert read_settings(kind, {"ratio": "2.5e-1"}) == ({"ratio": 0.25}, [])
    assert read_settings(kind, {"ratio": "-1"})[1][0].text == "'-1' is too small; write a number, 0 or more"
    assert read_settings(kind, {"ratio": "nan"})[1][0].text == "'nan' is not a number; write a number, 0 or more"


names = st.sampled_from([field.name for kind in (REDIS, SQLITE) for field in kind.fields]) | st.text()


@given(st.sampled_from([REDIS, SQLITE, MEMORY]), st.dictionaries(names, st.text()), st.lists(names, max_size=3))
def test_any_values_give_settings_and_problems_of_one_line(kind: Any, values: dict[str, str], given: list[str]) -> None:
    read, problems = read_settings(kind, values, unresolved=given)
    assert set(read) == set(settings_of(kind))
    assert all(found.text.isprintable() for found in problems)


def settings_of(kind: ComponentType) -> list[str]:
    return [field.name for field in kind.fields if field.has_effect and field.stands_for is None]


def test_line_breaks_around_an_address_are_removed_whether_it_is_secret_or_not() -> None:
    """As in a block of YAML, or a Secret made with echo: rules and stores get the validated address."""
    for host in ("redis:6379\n", "\n redis:6379\t\n"):
        assert settings(REDIS, redisHost=host)["redisHost"] == "redis:6379"
        read, problems = read_settings(REDIS, {"redisHost": Secret(host, is_from_elsewhere=True)})
        assert problems == []
        assert read["redisHost"] == Secret("redis:6379")
        assert is_hidden(read["redisHost"])
    assert settings(REDIS, redisHost="h", redisPassword="p\n")["redisPassword"] == Secret("p\n"), "any text is one"


ADDRESSES = [
    (kind, field.name)
    for kind in catalogue.known_types()
    for field in kind.fields
    if field.reads is not None and field.has_effect
]


@each_row(("kind", "name"), ADDRESSES)
@examples(max_examples=25)
@given(
    value=st.lists(
        st.sampled_from(
            ["host", ":1", ",", "\n", " ", "\t", "/", "//", ":", "@", "[", "]", "=", ";", "'", "\\", "?", "#", "%", "é"]
            + ["http://", "postgres://", "mongodb://", "file:", "host=h ", "AccountEndpoint=", "\x00", "\x1c", "\u2028"]
        ),
        max_size=8,
    ).map("".join)
)
def test_any_address_is_judged_with_its_rules(kind: Any, name: str, value: str) -> None:
    """No text causes an exception, which would stop all Components of its namespace."""
    read, problems = read_settings(kind, {name: value, "failover": "false", "redisPort": "1"})
    assert isinstance(read, dict)
    assert all(found.text for found in problems)
