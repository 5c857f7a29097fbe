"""Of conflicting components the first stays, and so does one that conflicts only with a loser."""

from pannier_crds.checks import conflicts_in_turn, conflicts_with, secret_store_problems
from pannier_crds.component import Component, MetadataItem, SecretKeyRef


def actors(name: str, *scopes: str, type: str = "state.in-memory") -> Component:
    return Component(name, type, scopes=scopes, metadata=(MetadataItem("actorStateStore", "true"),))


def who_stays(*components: Component) -> list[str]:
    verdicts = conflicts_in_turn(components)
    return [component.name for component, problems in zip(components, verdicts, strict=True) if not problems]


def test_the_first_stays() -> None:
    assert who_stays(actors("a"), actors("b"), actors("c")) == ["a"]
    assert who_stays(actors("c"), actors("a")) == ["c"]
    assert who_stays() == []


def test_a_component_that_conflicts_only_with_a_loser_stays() -> None:
    assert who_stays(actors("a", "x"), actors("b", "x", "y"), actors("c", "y")) == ["a", "c"]


def test_the_loser_of_a_conflict_names_only_the_winner() -> None:
    third = conflicts_in_turn([actors("a", "x"), actors("b", "x"), actors("c", "x")])[2]
    assert [str(problem) for problem in third] == [
        "spec.metadata[actorStateStore].value: 'a' already is the actor state store of app 'x'; "
        "remove actorStateStore from one of the two"
    ]


def test_a_component_that_is_not_served_neither_wins_nor_loses() -> None:
    assert who_stays(actors("a", type="pubsub.redis"), actors("b"), actors("c", type="pubsub.redis")) == ["a", "b", "c"]
    assert conflicts_with(actors("a", type="pubsub.redis"), [actors("a")]) == ()
    assert conflicts_with(actors("a"), [actors("b", type="pubsub.redis")]) == ()


def test_an_unknown_secret_store_is_warned_of() -> None:
    reference = (MetadataItem("redisPassword", secret=SecretKeyRef("s", "k")),)
    judged = Component("a", "state.redis", metadata=reference, secret_store="local-secrts")
    store = Component("local-secrets", "secretstores.local.env")
    (problem,) = secret_store_problems(judged, [store, Component("local-secrts", "state.in-memory")])
    assert not problem.is_error
    assert str(problem) == (
        "auth.secretStore: there is no secret store 'local-secrts' yet; "
        "add its component, or remove auth to read Kubernetes Secrets, or write 'local-secrets'"
    )
    named = Component("a", "state.redis", metadata=reference, secret_store="local-secrets")
    assert list(secret_store_problems(named, [store])) == []
    assert list(secret_store_problems(Component("a", "state.redis", metadata=reference), [])) == []
    assert list(secret_store_problems(Component("a", "state.redis", secret_store="gone"), [])) == []
