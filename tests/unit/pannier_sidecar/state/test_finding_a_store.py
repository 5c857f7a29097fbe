"""Which store has a name, and the error if none has it."""

import pytest
from unit.pannier_sidecar.state.scripted_store import ScriptedStore

from pannier_sidecar.state.directory import Directory, ServedStore, Waiting
from pannier_sidecar.state.errors import (
    ActorStoreMissingError,
    NoStoreConfiguredError,
    StoreNotFoundError,
    StoreNotReadyError,
)
from pannier_sidecar.state.keys import KeyScheme
from pannier_sidecar.state.store import Feature


def served(name: str, is_default: bool = False, holds_actor_state: bool = False) -> ServedStore:
    scheme = KeyScheme(store=name, app_id="app")
    return ServedStore(name, "state.scripted", "v1", ScriptedStore(), scheme, None, is_default, holds_actor_state)


def waiting(name: str, is_default: bool = False, holds_actor_state: bool = False) -> Waiting:
    return Waiting(name, "state.redis", "v1", "connection refused", is_default, holds_actor_state)


def test_by_its_name() -> None:
    orders = served("orders")
    assert Directory("app", [served("stock"), orders]).find("orders") is orders


@pytest.mark.parametrize(
    ("stores", "found"),
    [
        ([served("orders")], "orders"),
        ([served("orders"), served("statestore")], "statestore"),
        ([served("orders", is_default=True), served("statestore")], "orders"),
    ],
    ids=["the only one", "the one called statestore", "the one that is marked"],
)
def test_the_default_store_is_found(stores: list[ServedStore], found: str) -> None:
    assert Directory("app", stores).find(None).name == found


def test_no_default_among_several_names_them() -> None:
    with pytest.raises(
        StoreNotFoundError, match="there are several .orders, stock.: name one in the path, or mark one"
    ):
        Directory("app", [served("stock"), served("orders")]).find(None)


def test_two_marked_as_default_are_none() -> None:
    with pytest.raises(StoreNotFoundError, match="several"):
        Directory("app", [served("a", is_default=True), served("b", is_default=True)]).find(None)


def test_an_unknown_name_gets_the_known_ones_and_the_closest() -> None:
    with pytest.raises(StoreNotFoundError) as caught:
        Directory("app", [served("orders"), served("stock")]).find("order")
    assert str(caught.value) == ("state store order is not found; did you mean 'orders'? known stores: orders, stock")
    assert caught.value.code == "ERR_STATE_STORE_NOT_FOUND"
    assert caught.value.info == {"appID": "app"}
    assert caught.value.http_status == 400


def test_in_a_cluster_the_message_says_which_components_an_app_sees() -> None:
    sees = "those of namespace 'shop' without scopes or with 'app' in them"
    with pytest.raises(StoreNotFoundError) as caught:
        Directory("app", [served("stock")], seen_from=sees).find("orders")
    assert str(caught.value) == f"state store orders is not found; known stores: stock; this app sees {sees}"
    with pytest.raises(NoStoreConfiguredError) as none:
        Directory("app", seen_from=sees).find("orders")
    assert str(none.value).endswith(f"apply a Component of a type such as state.redis; this app sees {sees}")
    assert "folder" not in str(none.value)


@pytest.mark.parametrize("name", [None, "orders"])
def test_no_store_at_all_says_how_to_get_one(name: str | None) -> None:
    with pytest.raises(NoStoreConfiguredError, match="is not configured; add a Component") as caught:
        Directory("app").find(name)
    assert caught.value.code == "ERR_STATE_STORE_NOT_CONFIGURED"
    assert (caught.value.http_status, caught.value.dapr_http_status) == (400, 500)


@pytest.mark.parametrize("name", [None, "orders"])
def test_one_that_is_not_open_yet_says_why(name: str | None) -> None:
    with pytest.raises(
        StoreNotReadyError, match="orders is not ready: connection refused; it is tried again"
    ) as caught:
        Directory("app", waiting=[waiting("orders")]).find(name)
    assert caught.value.http_status == 503
    assert caught.value.retry_after == 1


def test_a_default_store_that_is_not_open_yet_is_not_replaced_by_another_one() -> None:
    with pytest.raises(StoreNotReadyError):
        Directory("app", [served("stock")], [waiting("orders", is_default=True)]).find(None)


def test_one_that_this_app_may_not_use_is_not_called_missing() -> None:
    directory = Directory("app", [served("stock")], hidden={"orders": "it is scoped to the apps billing"})
    with pytest.raises(StoreNotFoundError, match="orders is not found; it is scoped to the apps billing"):
        directory.find("orders")


def test_knows_open_and_waiting_stores() -> None:
    directory = Directory("app", [served("a")], [waiting("b")], {"c": "scopes"})
    assert [directory.knows(name) for name in "abcd"] == [True, True, False, False]


def test_the_store_for_actors_is_found() -> None:
    actors = served("actors", holds_actor_state=True)
    assert Directory("app", [served("orders"), actors]).actor_store() is actors


def test_a_missing_store_for_actors_is_reported() -> None:
    with pytest.raises(ActorStoreMissingError, match="Have you set the - name: actorStateStore"):
        Directory("app", [served("orders")]).actor_store()


def test_an_actor_store_that_is_not_open_yet() -> None:
    with pytest.raises(StoreNotReadyError):
        Directory("app", [served("orders")], [waiting("actors", holds_actor_state=True)]).actor_store()


def test_supports_what_its_store_does() -> None:
    assert served("orders").supports(Feature.TRANSACTIONAL)
