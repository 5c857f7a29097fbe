"""Components that one app would see together must not claim the same name or the same role."""

import time

import pytest

from pannier_crds.checks import problems_among
from pannier_crds.component import Component, MetadataItem


def store(name: str, *scopes: str, namespace: str | None = None, **settings: str) -> Component:
    items = tuple(MetadataItem(key, value) for key, value in settings.items())
    return Component(name, "state.in-memory", namespace=namespace, scopes=scopes, metadata=items)


def actors(name: str, *scopes: str, namespace: str | None = None) -> Component:
    return store(name, *scopes, namespace=namespace, actorStateStore="true")


def said(*components: Component) -> list[str]:
    found = problems_among(components)
    assert all(problem.is_error for _, problem in found)
    return [f"{component.name}: {problem}" for component, problem in found]


def test_components_that_claim_different_things_are_fine() -> None:
    assert said(store("a"), actors("b"), store("c", defaultStateStore="true")) == []
    assert problems_among([]) == []


def test_a_name_may_occur_only_once() -> None:
    assert said(store("a"), store("b"), store("a")) == [
        "a: metadata.name: another component is called 'a'; give one of the two another name"
    ]


def test_a_name_may_occur_only_once_whatever_the_scopes() -> None:
    assert len(said(store("a", "x"), store("a", "y"))) == 1


def test_equal_names_in_two_namespaces_are_fine() -> None:
    assert said(store("a", namespace="x"), store("a", namespace="y")) == []
    assert said(store("a", namespace="x"), store("a", namespace="x")) == [
        "a: metadata.name: another component in namespace 'x' is called 'a'; give one of the two another name"
    ]
    assert len(said(store("a", namespace="x"), store("a"))) == 1


def test_a_component_that_is_not_served_may_have_the_same_name() -> None:
    assert said(store("a"), Component("a", "pubsub.redis")) == []


@pytest.mark.parametrize(
    ("first", "second", "expected"),
    [
        (
            (),
            (),
            "'old' already is the actor state store of every app; remove actorStateStore from one of the two, "
            "or give both components scopes that share no app",
        ),
        (
            (),
            ("cart",),
            "'old' already is the actor state store of app 'cart'; remove actorStateStore from one of the two, "
            "or add scopes to 'old' that leave out 'cart'",
        ),
        (
            ("cart", "orders"),
            (),
            "'old' already is the actor state store of apps 'cart' and 'orders'; remove actorStateStore from one of "
            "the two, or add scopes here that leave out 'cart' and 'orders'",
        ),
        (
            ("cart",),
            ("cart",),
            "'old' already is the actor state store of app 'cart'; remove actorStateStore from one of the two",
        ),
        (
            ("cart", "orders"),
            ("cart",),
            "'old' already is the actor state store of app 'cart'; remove actorStateStore here, "
            "or 'cart' from the scopes of 'old'",
        ),
        (
            ("cart",),
            ("orders", "cart"),
            "'old' already is the actor state store of app 'cart'; remove 'cart' from the scopes here",
        ),
        (
            ("a", "b", "c"),
            ("d", "c", "b"),
            "'old' already is the actor state store of apps 'c' and 'b'; remove 'c' and 'b' from the scopes here",
        ),
    ],
)
def test_an_app_has_one_actor_state_store(first: tuple[str, ...], second: tuple[str, ...], expected: str) -> None:
    assert said(actors("old", *first), actors("new", *second)) == [
        f"new: spec.metadata[actorStateStore].value: {expected}"
    ]


def test_stores_that_no_app_sees_together_do_not_conflict() -> None:
    assert said(actors("a", "x", "y"), actors("b", "z")) == []
    assert said(actors("a", namespace="x"), actors("b", namespace="y")) == []


def test_a_store_without_the_role_or_of_another_kind_does_not_conflict() -> None:
    env = Component("c", "secretstores.local.env", metadata=(MetadataItem("actorStateStore", "true"),))
    assert said(actors("a"), store("b", actorStateStore="false"), env) == []


def test_each_conflict_is_reported_once() -> None:
    assert [line.split(";")[0] for line in said(actors("a", "x"), actors("b", "y"), actors("c"))] == [
        "c: spec.metadata[actorStateStore].value: 'a' already is the actor state store of app 'x'",
        "c: spec.metadata[actorStateStore].value: 'b' already is the actor state store of app 'y'",
    ]
    third = [line for line in said(actors("a"), actors("b"), actors("c", "x")) if line.startswith("c")]
    assert len(third) == 1


def test_equal_names_are_not_also_reported_as_a_conflict_of_roles() -> None:
    assert len(said(actors("a"), actors("a"))) == 1


def test_an_app_has_one_default_store() -> None:
    assert said(store("a", defaultStateStore="1"), store("b", "cart", defaultStateStore="yes")) == [
        "b: spec.metadata[defaultStateStore].value: 'a' already is the default state store of app 'cart'; "
        "remove defaultStateStore from one of the two, or add scopes to 'a' that leave out 'cart'"
    ]


def test_many_components_with_many_scopes_take_no_time() -> None:
    scopes = [f"app-{number}" for number in range(2000)]
    components = [actors(f"store-{number}", *scopes) for number in range(40)]
    started = time.process_time()
    assert len(problems_among(components)) == 39
    assert time.process_time() - started < 20
