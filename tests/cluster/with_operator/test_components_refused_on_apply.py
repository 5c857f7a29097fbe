"""A wrong Component is refused by kubectl apply, in one line that says what to write; a doubtful one gets a warning."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from cluster.manifests import ALLOW, IN_MEMORY, PROTECT, REDIS, component, deployment

from pannier_crds.catalogue import known_names
from pannier_crds.problems import listed

if TYPE_CHECKING:
    from typing import Any

    from cluster.user import User

WEBHOOK = (
    'Error from server: error when creating "STDIN": admission webhook "components.pannier.dev" denied the request: '
)
CHANGED = 'admission webhook "components.pannier.dev" denied the request: '
ACTORS = {"actorStateStore": "true"}


def test_an_unknown_type_is_refused_with_the_known_ones(user: User) -> None:
    assert user.is_refused(component("wrong", "state.reddis")).endswith(
        f"spec.type: Forbidden: there is no component type 'state.reddis'; write {listed(known_names('state.'), 'or')}"
    )


@pytest.mark.parametrize(
    ("manifest", "words"),
    [
        (component(type=REDIS), "spec.metadata: Forbidden: state.redis needs 'redisHost'; add it under spec.metadata"),
        (component(type=REDIS, redisHost="redis:6379", redisDB="many"), "spec.metadata[redisDB].value: 'many' is not"),
        (component(scopes=["a,b"]), "scopes[0]"),
    ],
    ids=["missing field", "value of another type", "bad scope"],
)
def test_mistakes_that_one_object_shows_are_refused(user: User, manifest: str, words: str) -> None:
    assert words in user.is_refused(manifest)


def test_all_problems_are_reported_at_once(user: User) -> None:
    refusal = user.is_refused(component(type=REDIS, redisHost="redis:6379", redisDB="many", maxRetries="some"))

    assert "redisDB" in refusal
    assert "maxRetries" in refusal


def test_a_misspelt_field_is_taken_with_a_warning(user: User) -> None:
    done = user.tries("apply", "-f", "-", input=component(type=REDIS, redisHost="redis:6379", redisPasword="x"))

    assert done.returncode == 0
    assert done.stderr.strip() == (
        "Warning: spec.metadata[redisPasword]: state.redis has no field 'redisPasword'; write 'redisPassword'"
    )


def test_doubtful_settings_are_accepted_with_a_warning_each(user: User) -> None:
    done = user.tries("apply", "-f", "-", input=component(type=REDIS, redisHost="r:1", redisPassword="x", poolSize="9"))

    assert done.returncode == 0
    assert done.stderr.splitlines() == [
        "Warning: spec.metadata[redisPassword].value: the value of 'redisPassword' is plain text; "
        "move it to a secret and write secretKeyRef instead",
        "Warning: spec.metadata[poolSize]: 'poolSize' has no effect, because all calls share one connection, "
        "so there is no pool to set",
    ]


def test_components_that_pannier_does_not_serve_are_left_to_others(user: User) -> None:
    done = user.tries("apply", "-f", "-", input=component("events", "pubsub.kafka"))

    assert done.returncode == 0
    assert done.stderr.strip() == "Warning: spec.type: 'pubsub.kafka' is not served by Pannier and is skipped"
    left = user.until(lambda: is_false(user, "events", "Accepted"), "its status says so")
    assert left["reason"] == "NotServed"


def test_a_secret_that_is_not_there_yet_is_warned_of_and_shown(user: User) -> None:
    manifest = component(type=REDIS, redisHost="redis:6379", secrets={"redisPassword": ("vault", "password")})
    done = user.tries("apply", "-f", "-", input=manifest)

    assert done.returncode == 0
    assert "there is no Secret 'vault' with key 'password' yet" in done.stderr
    missing = user.until(lambda: is_false(user, "statestore", "SecretsResolved"), "its status says so")
    assert missing["reason"] == "SecretMissing"
    assert "'vault'" in missing["message"]
    assert is_false(user, "statestore", "Ready")
    user.kubectl("create", "secret", "generic", "vault", "--from-literal=password=x")
    user.until(lambda: user.condition("statestore", "SecretsResolved")["status"] == "True", "it is resolved")


def test_a_second_actor_store_is_refused_with_the_smallest_edit(user: User) -> None:
    user.apply(component("first", **ACTORS))

    assert user.is_refused(component("second", **ACTORS)) == (
        f"{WEBHOOK}spec.metadata[actorStateStore].value: 'first' already is the actor state store of every app; "
        "remove actorStateStore from one of the two, or give both components scopes that share no app"
    )


def test_a_second_default_store_is_refused_too(user: User) -> None:
    user.apply(component("first", defaultStateStore="true", scopes=["orders"]))

    refusal = user.is_refused(component("second", defaultStateStore="true"))
    assert "'first' already is the default state store of app 'orders'" in refusal


def test_actor_stores_of_different_apps_do_not_conflict(user: User) -> None:
    user.apply(component("first", scopes=["orders"], **ACTORS), component("second", scopes=["carts"], **ACTORS))

    refusal = user.is_refused(component("second", scopes=["carts", "orders"], **ACTORS))
    assert CHANGED in refusal
    assert "'first' already is the actor state store of app 'orders'; remove 'orders' from the scopes here" in refusal


def test_a_dry_run_gets_the_same_verdict_and_leaves_nothing(user: User) -> None:
    user.apply(component("first", **ACTORS))

    assert "already is the actor state store" in user.is_refused(component("second", **ACTORS), "--dry-run=server")
    user.kubectl("apply", "--dry-run=server", "-f", "-", input=component("third"))
    assert user.kubectl("get", "components.dapr.io", "-o", "name").split() == ["component.dapr.io/first"]


def test_the_protected_actor_store_of_a_running_app_is_not_deleted_by_accident(user: User) -> None:
    user.apply(component("statestore", **ACTORS, annotations={PROTECT: "true"}), deployment("orders"))
    user.deployed("orders")
    user.is_ready()

    done = user.tries("delete", "components.dapr.io", "statestore")
    assert done.returncode == 1
    assert (
        "'statestore' holds the actor state of running app 'orders' and is protected; if that is meant, run 'kubectl "
        f"annotate components.dapr.io -n {user.namespace} statestore {ALLOW}=true' and then delete it, or stop them "
        "first"
    ) in done.stderr
    assert "keeps its actor state here and would lose it" in user.is_refused(component("statestore", IN_MEMORY))
    user.kubectl("annotate", "components.dapr.io", "statestore", f"{ALLOW}=true")
    user.kubectl("delete", "components.dapr.io", "statestore")


def test_the_actor_store_of_a_running_app_is_not_moved_or_narrowed_by_accident(user: User) -> None:
    def store(host: str = "redis:6379", **more: Any) -> str:
        return component("statestore", REDIS, redisHost=host, actorStateStore="true", **more)

    advice = f'; add the annotation {ALLOW}: "true" if that is meant, or stop them first'
    user.apply(store(), deployment("orders"))
    user.deployed("orders")

    assert user.is_refused(store("other:6379")).endswith(
        "spec.metadata[redisHost]: running app 'orders' keeps its actor state in the old place" + advice
    )
    assert user.is_refused(store(scopes=["carts"])).endswith(
        "scopes: running app 'orders' keeps its actor state here and would no longer see this component" + advice
    )
    user.apply(store("other:6379", annotations={ALLOW: "true"}))
    done = user.tries("apply", "-f", "-", input=store("other:6379", annotations={ALLOW: "true"}, readTimeout="1s"))
    assert "it is still set, so further changes of the actor state store are not checked" in done.stderr


def test_labels_of_what_has_become_wrong_can_still_be_changed(user: User) -> None:
    user.apply(component("first"))
    user.kubectl("label", "components.dapr.io", "first", "team=blue")


def is_false(user: User, name: str, type: str) -> dict[str, str] | None:
    condition = user.condition(name, type)
    return condition if condition.get("status") == "False" else None
