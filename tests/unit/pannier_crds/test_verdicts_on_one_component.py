"""Every verdict on one component, word for word: these sentences are what users see."""

from itertools import product
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from unit.tables import each_row

from pannier_crds import catalogue, checks
from pannier_crds.catalogue import ComponentType
from pannier_crds.checks import problems_of, settings_without_effect
from pannier_crds.component import Component, MetadataItem, SecretKeyRef
from pannier_crds.problems import listed


def component(*items: MetadataItem, type: str = "state.redis", **fields: Any) -> Component:
    return Component(fields.pop("name", "statestore"), type, metadata=items, **fields)


def literal(**values: str) -> tuple[MetadataItem, ...]:
    return tuple(MetadataItem(name, value) for name, value in values.items())


def secret(name: str, secret_name: str = "redis", key: str = "password") -> MetadataItem:
    return MetadataItem(name, secret=SecretKeyRef(secret_name, key))


def errors(judged: Component, **known: Any) -> list[str]:
    return [str(problem) for problem in problems_of(judged, **known) if problem.is_error]


def warnings(judged: Component, **known: Any) -> list[str]:
    return [str(problem) for problem in problems_of(judged, **known) if not problem.is_error]


HOST = MetadataItem("redisHost", "localhost:6379")


@each_row(
    "judged",
    [
        component(HOST, secret("redisPassword"), MetadataItem("actorStateStore", "true"), scopes=("cart",)),
        component(HOST, MetadataItem("redisPassword", "")),
        component(HOST, name="Odd Name|1", version="v0"),
        component(HOST, MetadataItem("poolSize", "20")),
        component(HOST, MetadataItem("redisUsername", env="REDIS_USER")),
        component(type="state.in-memory"),
        component(type="state.sqlite3", version=""),
        component(type="secretstores.local.env"),
        component(MetadataItem("secretsFile", "s.json"), type="secretstores.local.file"),
    ],
)
def test_a_valid_component_has_no_problems(judged: Component) -> None:
    assert problems_of(judged) == []


@pytest.mark.parametrize(
    ("judged", "message"),
    [
        (
            component(HOST, *literal(keyPrefix="shop|")),
            "spec.metadata[keyPrefix].value: the prefix ends with '|', and '||' separates it from the key; write a "
            "name or prefix that ends with a letter or digit",
        ),
        (
            component(HOST, *literal(keyPrefix="name"), name="shop|"),
            "metadata.name: 'shop|' ends with '|', and '||' separates it from the key; write a name or prefix that "
            "ends with a letter or digit",
        ),
        (
            component(HOST, *literal(keyPrefix="Name", keyScheme="DASH"), name="shop-eu"),
            "metadata.name: 'shop-eu' holds '-', and keyScheme dash separates it from the key by one; remove "
            "keyScheme, or write a name or prefix without '-'",
        ),
        (
            component(HOST, *literal(keyScheme="dash"), scopes=("cart", "cart-eu")),
            "scopes[1]: app 'cart-eu' can't use keyScheme dash: '-' separates its id from the key; remove keyScheme, "
            "or remove the app from the scopes",
        ),
    ],
)
def test_a_prefix_that_could_not_be_told_from_the_key_behind_it_is_refused(judged: Component, message: str) -> None:
    assert errors(judged) == [message]
    assert errors(judged, keys_as_written=True) == []


@pytest.mark.parametrize(
    ("type", "message"),
    [
        ("state.rediss", "there is no component type 'state.rediss'; write 'state.redis'"),
        ("state.Memory", "there is no component type 'state.Memory'; write 'state.in-memory'"),
        ("redis", "there is no component type 'redis'; write 'state.redis'"),
        ("sqlite", "there is no component type 'sqlite'; write 'state.sqlite'"),
        ("stat.redis", "there is no component type 'stat.redis'; write 'state.redis'"),
        (
            "state.cloudflare",
            f"there is no component type 'state.cloudflare'; write {listed(catalogue.known_names('state.'), 'or')}; "
            "a pluggable component needs the annotation dapr.io/component-container, or its socket",
        ),
    ],
)
def test_an_unknown_type_is_refused_with_the_closest(type: str, message: str) -> None:
    assert errors(component(type=type)) == [f"spec.type: {message}"]


@each_row("type", [*catalogue.stores_of_dapr_alone(), "State.OracleDatabase"])
def test_a_store_that_only_dapr_serves_is_refused_as_such(type: str) -> None:
    assert errors(component(type=type)) == [
        f"spec.type: '{type}' is a state store of Dapr's that Pannier does not serve; write "
        f"{listed(catalogue.known_names('state.'), 'or')}, or leave the apps that use it to Dapr"
    ]


@pytest.mark.parametrize(
    ("name", "advice"),
    [
        ("initTimeout", "move it into spec, beside type: initTimeout: 30s"),
        ("ignoreerrors", "move it into spec, beside type: ignoreErrors: true"),
        ("secretStore", "move it to the top level, beside spec: auth: {secretStore: NAME}"),
    ],
)
def test_a_name_that_belongs_elsewhere_in_a_component_is_no_setting(name: str, advice: str) -> None:
    judged = component(HOST, MetadataItem(name, "30s"))
    assert warnings(judged) == [
        f"spec.metadata[{name}]: '{name}' is no setting of a store, so it has no effect here; {advice}"
    ]
    assert errors(judged) == []


def test_scopes_among_the_settings_are_refused_as_every_app_would_see_the_store() -> None:
    (said,) = errors(component(HOST, MetadataItem("scopes", "cart")))
    assert said.endswith("move it to the top level, beside spec: scopes: [my-app]")


def test_an_unknown_version_is_refused_with_the_closest() -> None:
    assert errors(component(HOST, version="v2")) == ["spec.version: state.redis has no version 'v2'; write 'v1'"]
    judged = component(type="secretstores.local.env", version="1")
    assert errors(judged) == ["spec.version: secretstores.local.env has no version '1'; write 'v1'"]


@pytest.mark.parametrize(
    "type", ["pubsub.redis", "bindings.cron", "secretstores.alicloud.parameterstore", "PubSub.kafka"]
)
def test_other_building_blocks_are_skipped_without_further_judgement(type: str) -> None:
    judged = component(MetadataItem("x", "1", env="y"), type=type, scopes=("",))
    (problem,) = problems_of(judged)
    assert (problem.severity, str(problem)) == (
        "warning",
        f"spec.type: '{type}' is not served by Pannier and is skipped",
    )
    assert not checks.is_served(judged)


def test_a_misspelt_field_is_a_warning_and_the_missing_one_an_error() -> None:
    judged = component(MetadataItem("redisHots", "localhost"))
    assert warnings(judged) == ["spec.metadata[redisHots]: state.redis has no field 'redisHots'; write 'redisHost'"]
    assert errors(judged)[0].startswith("spec.metadata[redisHost]: state.redis needs 'redisHost'; add it under")


def test_an_unknown_field_has_no_effect() -> None:
    assert warnings(component(HOST, MetadataItem("colour", "red"))) == [
        "spec.metadata[colour]: state.redis has no field 'colour'; remove it, because it has no effect"
    ]


@each_row(
    ("item", "expected"),
    [
        (
            MetadataItem("redisUsername", "u", SecretKeyRef("s", "k")),
            "spec.metadata[redisUsername].secretKeyRef: 'redisUsername' has 'value' and 'secretKeyRef'; "
            "keep one of them",
        ),
        (
            MetadataItem("redisUsername", "u", env="U"),
            "spec.metadata[redisUsername].envRef: 'redisUsername' has 'value' and 'envRef'; keep one of them",
        ),
        (
            MetadataItem("redisUsername", "u", SecretKeyRef("s", "k"), "U"),
            "spec.metadata[redisUsername].envRef: 'redisUsername' has 'value', 'secretKeyRef' and 'envRef'; "
            "keep one of them",
        ),
        (
            MetadataItem("redisUsername", env="DAPR_API_TOKEN"),
            "spec.metadata[redisUsername].envRef: 'DAPR_API_TOKEN' belongs to the sidecar and is not given to "
            "components; put the value into another variable",
        ),
        (
            MetadataItem("redisUsername", env="app_api_token"),
            "spec.metadata[redisUsername].envRef: 'app_api_token' belongs to the sidecar and is not given to "
            "components; put the value into another variable",
        ),
        (
            MetadataItem("redisUsername", env="A B"),
            "spec.metadata[redisUsername].envRef: a name of a variable has no spaces; write a name without spaces",
        ),
        (
            MetadataItem("redishost", "h"),
            "spec.metadata[1].name: 'redishost' is given twice "
            "(as 'redisHost' before: upper and lower case are the same); keep one of the two entries",
        ),
        (
            MetadataItem("redisHost", "h"),
            "spec.metadata[1].name: 'redisHost' is given twice; keep one of the two entries",
        ),
        (
            MetadataItem("enableTLS", "maybe"),
            'spec.metadata[enableTLS].value: \'maybe\' is neither true nor false; write "true" or "false"',
        ),
        (
            secret("outboxPubsub"),
            "spec.metadata[outboxPubsub]: the outbox is not served, so no event would be published; take this field "
            "out, and have the app publish what it saves",
        ),
    ],
)
def test_a_wrong_entry_is_refused(item: MetadataItem, expected: str) -> None:
    assert errors(component(HOST, item)) == [expected]


def test_an_entry_without_a_value_is_warned_of() -> None:
    assert warnings(component(HOST, MetadataItem("redisPassword"))) == [
        "spec.metadata[redisPassword]: 'redisPassword' has no value; "
        "add value, secretKeyRef or envRef, or take the entry out"
    ]


@pytest.mark.parametrize("name", ["redisPassword", "SENTINELPASSWORD"])
def test_a_plain_password_is_warned_of_and_not_shown(name: str) -> None:
    judged = component(HOST, *literal(failover="true", sentinelMasterName="m"), MetadataItem(name, "s3cret"))
    assert warnings(judged) == [
        f"spec.metadata[{name}].value: the value of '{name}' is plain text; "
        "move it to a secret and write secretKeyRef instead"
    ]


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        (
            "a/b",
            "metadata.name: 'a/b' holds '/', and a name is one part of a URL; write a name of letters, digits and '-'",
        ),
        (
            "a||b",
            "metadata.name: 'a||b' holds '||', and '||' separates the parts of a stored key; "
            "write a name of letters, digits and '-'",
        ),
    ],
)
def test_a_name_that_no_url_or_key_can_hold_is_refused(name: str, expected: str) -> None:
    assert errors(component(HOST, name=name)) == [expected]


@pytest.mark.parametrize(
    ("scope", "expected"),
    [
        ("", "an empty scope is no app id; write an app id, or take all scopes out to serve every app"),
        ("*", "'*' is no app id; write an app id, or take all scopes out to serve every app"),
        ("a,b", "'a,b' is more than one app id; write one list entry for each app"),
        ("a b", "'a b' is no app id; write an app id without spaces, '/' and '||'"),
        ("a||b", "'a||b' is no app id; write an app id without spaces, '/' and '||'"),
    ],
)
def test_a_scope_that_is_no_app_id_is_refused(scope: str, expected: str) -> None:
    assert errors(component(HOST, scopes=("cart", scope))) == [f"scopes[1]: {expected}"]


def test_a_scope_written_twice_is_warned_of() -> None:
    assert warnings(component(HOST, scopes=("a", "a"))) == ["scopes[1]: 'a' is written twice; keep one of the two"]


def test_a_secret_that_is_not_there_yet_is_warned_of() -> None:
    judged = component(HOST, secret("redisPassword", "redis-secrt", "password"))
    assert warnings(judged) == []
    assert warnings(judged, known_secrets={"redis-secrt": ["password"]}) == []
    assert warnings(judged, known_secrets={}) == [
        "spec.metadata[redisPassword].secretKeyRef.name: there is no Secret 'redis-secrt' with key 'password' yet; "
        "create it before an app needs this component"
    ]
    assert warnings(judged, known_secrets={"redis-secret": ["password"]}) == [
        "spec.metadata[redisPassword].secretKeyRef.name: there is no Secret 'redis-secrt' with key 'password' yet; "
        "create it before an app needs this component, or write 'redis-secret'"
    ]
    assert warnings(judged, known_secrets={"redis-secrt": ["passwort"]}) == [
        "spec.metadata[redisPassword].secretKeyRef.key: the Secret 'redis-secrt' has no key 'password' yet; "
        "add it before an app needs this component, or write 'passwort'"
    ]


@pytest.mark.parametrize("store", [None, "kubernetes", "Kubernetes"])
def test_only_kubernetes_secrets_are_looked_for(store: str | None) -> None:
    reference = secret("redisPassword")
    assert len(warnings(component(HOST, reference, secret_store=store), known_secrets={})) == 1
    assert warnings(component(HOST, reference, secret_store="vault"), known_secrets={}) == []


def test_actors_on_a_redis_cluster_are_warned_of() -> None:
    judged = component(HOST, *literal(redisType="cluster", actorStateStore="true"))
    assert warnings(judged) == [
        "spec.metadata[actorStateStore].value: on a Redis Cluster an actor's keys lie in different slots, so a "
        "transaction over several keys is refused; use a single Redis or Sentinel for actors, or change one key per "
        "transaction"
    ]


@pytest.mark.parametrize(
    ("features", "lacking"),
    [(("TTL",), "no transactions and no ETags"), (("ETAG",), "no transactions"), (("TRANSACTIONAL",), "no ETags")],
)
def test_actors_need_a_store_with_transactions_and_etags(
    monkeypatch: pytest.MonkeyPatch, features: tuple[str, ...], lacking: str
) -> None:
    in_memory = catalogue.component_type("state.in-memory")
    assert in_memory is not None
    fields = in_memory.fields
    for_actors = dict.fromkeys(kind.name for kind in catalogue.known_types() if kind.can_hold_actor_state)
    plain = ComponentType("state.plain", "Plain", fields=fields, features=features)
    monkeypatch.setattr(catalogue, "component_type", lambda name, version: plain)
    assert errors(component(MetadataItem("actorStateStore", "yes"), type="state.plain")) == [
        f"spec.metadata[actorStateStore]: state.plain has {lacking}, which actors need; "
        f"remove it, or use {listed(for_actors, 'or')}"
    ]
    assert problems_of(component(MetadataItem("actorStateStore", "no"), type="state.plain")) == []


def test_problems_come_in_the_order_of_the_manifest() -> None:
    judged = component(
        MetadataItem("redisDB", "x"),
        MetadataItem("colour", "red"),
        MetadataItem("redisPassword", "p"),
        MetadataItem("REDISdb", "1"),
        name="a/b",
        scopes=("*",),
    )
    assert [problem.field for problem in problems_of(judged)] == [
        "metadata.name",
        "spec.metadata[redisDB].value",
        "spec.metadata[colour]",
        "spec.metadata[redisPassword].value",
        "spec.metadata[3].name",
        "spec.metadata[redisHost]",
        "scopes[0]",
    ]


@pytest.mark.parametrize(
    ("judged", "message"),
    [
        (
            component(*literal(host="a", enableTLS="true"), type="state.mongodb"),
            "spec.metadata[enableTLS]: state.mongodb has no field 'enableTLS', so an encrypted connection would be "
            "missing; remove it; for this store, only its address can ask for encryption",
        ),
        (
            component(HOST, *literal(enableSSL="yes")),
            "spec.metadata[enableSSL]: state.redis has no field 'enableSSL', so an encrypted connection would be "
            "missing; write 'enableTLS'",
        ),
        (
            component(MetadataItem("serverCertificate", secret=SecretKeyRef("a", "b")), type="state.in-memory"),
            "spec.metadata[serverCertificate]: state.in-memory has no field 'serverCertificate', so an encrypted "
            "connection would be missing; remove it; for this store, only its address can ask for encryption",
        ),
        (
            component(*literal(encryptAtRest="true"), type="state.sqlite"),
            "spec.metadata[encryptAtRest]: state.sqlite has no field 'encryptAtRest', so the encryption of what is "
            "stored would be missing; remove it; this store has 'primaryEncryptionKey', 'secondaryEncryptionKey', "
            "'encryptionFormat' and 'encryptionReadsUnencrypted'",
        ),
        (
            component(HOST, *literal(consistency="strong")),
            "spec.metadata[consistency]: state.redis has no field 'consistency', so this consistency or durability "
            "would be missing; remove it; ask for strong consistency in the requests that need it",
        ),
        (
            component(*literal(host="a", w_concern="1", durability="majority"), type="state.mongodb"),
            "spec.metadata[durability]: state.mongodb has no field 'durability', so this consistency or durability "
            "would be missing; remove it; this store has 'writeconcern' and 'readconcern'",
        ),
    ],
)
def test_a_field_that_promises_something_unsupported_is_refused(judged: Component, message: str) -> None:
    assert errors(judged) == [message]


@pytest.mark.parametrize(
    "item",
    [
        MetadataItem("enableTLS", "false"),
        MetadataItem("sslmode", "disable"),
        MetadataItem("insecureSkipTLSVerify", "true"),
        MetadataItem("certificate", ""),
        MetadataItem("certificate"),
        MetadataItem("colour", "blue"),
    ],
)
def test_an_unknown_field_that_promises_nothing_only_warns(item: MetadataItem) -> None:
    judged = component(MetadataItem("host", "a"), item, type="state.mongodb")
    assert errors(judged) == []
    assert any("has no field" in line for line in warnings(judged))


STATE_STORES = [kind for kind in catalogue.known_types() if kind.is_state_store]


@each_row(
    ("name", "words"),
    [
        ("outboxPublishPubsub", "the outbox is not served, so no event would be published"),
        ("OutboxPublishTopic", "the outbox is not served, so no event would be published"),
        ("outboxPubsub", "the outbox is not served"),
        ("outboxDiscardWhenMissingState", "the outbox is not served"),
        ("encryptValues", "so the encryption of what is stored would be missing"),
        ("isolationLevel", "so this consistency or durability would be missing"),
    ],
)
def test_no_store_takes_a_promise_that_it_does_not_keep(name: str, words: str) -> None:
    for kind, item in product(
        STATE_STORES, (MetadataItem(name, "true"), MetadataItem(name, secret=SecretKeyRef("a", "b")))
    ):
        judged = component(item, type=kind.name, version=kind.versions[0])
        assert [line for line in errors(judged) if f"[{name}]" in line and words in line], (kind.name, errors(judged))


def test_settings_without_effect_are_told_apart_from_problems() -> None:
    judged = component(HOST, MetadataItem("PoolSize", "3"), MetadataItem("queryIndexes", "[]"))
    assert settings_without_effect(judged) == [
        ("PoolSize", "all calls share one connection, so there is no pool to set"),
        ("queryIndexes", "a query reads the values, so no index is made"),
    ]
    assert settings_without_effect(component(type="pubsub.redis")) == []
    discovery = MetadataItem("azureDisableInstanceDiscovery", "true")
    for kind in ("state.azure.cosmosdb", "state.postgresql", "secretstores.azure.keyvault"):
        ((_, why),) = settings_without_effect(component(discovery, type=kind, version="v1"))
        assert why == "signing in asks no server whether the authority is Microsoft's"


texts = st.text(max_size=20)
names = st.sampled_from([field.name for kind in catalogue.known_types() for field in kind.fields]) | texts
items = st.builds(
    MetadataItem,
    name=names,
    value=st.none() | texts | st.sampled_from(["true", "1", "cluster", "a:1,b:2"]),
    secret=st.none() | st.builds(SecretKeyRef, texts, texts),
    env=st.none() | texts,
)


@given(
    st.builds(
        Component,
        name=texts,
        type=st.sampled_from([*catalogue.known_names(), "pubsub.redis"]) | texts,
        version=st.sampled_from(["v1", ""]) | texts,
        metadata=st.lists(items, max_size=6).map(tuple),
        scopes=st.lists(texts, max_size=3).map(tuple),
    )
)
def test_any_component_gets_a_verdict_in_lines(judged: Component) -> None:
    for problem in problems_of(judged, known_secrets={"a": ["b"]}):
        assert str(problem).isprintable()
        assert problem.message
