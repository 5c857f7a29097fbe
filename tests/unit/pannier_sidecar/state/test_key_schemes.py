"""How an app's key is stored, under each prefix strategy and scheme."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pannier_sidecar.state.errors import IllegalKeyError, MalformedRequestError
from pannier_sidecar.state.keys import KeyScheme


@pytest.mark.parametrize(
    ("strategy", "stored"),
    [
        ("appid", "app||k"),
        ("AppID", "app||k"),
        ("name", "statestore||k"),
        ("namespace", "prod.app||k"),
        ("none", "k"),
        ("NONE", "k"),
        ("Shared", "shared||k"),
    ],
)
def test_the_prefix_follows_the_strategy(strategy: str, stored: str) -> None:
    scheme = KeyScheme(store="statestore", app_id="app", namespace="prod", strategy=strategy)
    assert scheme.stored("k") == stored
    assert scheme.listed(stored) == "k"


@pytest.mark.parametrize(("strategy", "stored"), [("appid", "k"), ("namespace", "k"), ("name", "statestore||k")])
def test_without_an_app_id_there_is_no_prefix_of_it(strategy: str, stored: str) -> None:
    assert KeyScheme(store="statestore", app_id="", namespace="prod", strategy=strategy).stored("k") == stored


def test_without_a_namespace_the_app_id_remains() -> None:
    assert KeyScheme(store="s", app_id="app", strategy="namespace").stored("k") == "app||k"


def test_the_dash_scheme_joins_with_a_dash() -> None:
    scheme = KeyScheme(store="s", app_id="app", separator="-")
    assert scheme.stored("k") == "app-k"
    assert scheme.actor("cat", "tom", "mood") == "app-cat-tom-mood"
    assert scheme.listed("app-a-b") == "a-b"


@pytest.mark.parametrize("strategy", ["appid", "name", "none", "shared"])
def test_keys_of_actors_have_the_app_id_whatever_the_strategy(strategy: str) -> None:
    scheme = KeyScheme(store="s", app_id="app", strategy=strategy)
    assert scheme.actor("cat", "tom", "mood") == "app||cat||tom||mood"
    assert scheme.actor_partition("cat", "tom") == "app||cat||tom"


def test_the_separator_in_a_key_is_refused_with_another_to_use() -> None:
    scheme = KeyScheme(store="statestore", app_id="app")
    with pytest.raises(
        IllegalKeyError, match=r"input key/keyPrefix 'a\|\|b' can't contain '\|\|'; choose another"
    ) as caught:
        scheme.stored("a||b")
    assert caught.value.resource == "statestore"
    assert caught.value.violation == ("a||b", "input key/keyPrefix 'a||b' can't contain '||'")
    for parts in (("a||b", "i", "k"), ("t", "a||b", "k"), ("t", "i", "a||b")):
        with pytest.raises(IllegalKeyError):
            scheme.actor(*parts)


def test_an_empty_key_is_refused() -> None:
    scheme = KeyScheme(store="s", app_id="app")
    with pytest.raises(MalformedRequestError, match='"key" is a required field'):
        scheme.stored("")
    for parts, name in ((("", "i", "k"), "actor type"), (("t", "", "k"), "actor id"), (("t", "i", ""), "key")):
        with pytest.raises(MalformedRequestError, match=f"{name} is empty"):
            scheme.actor(*parts)


def test_a_prefix_with_the_separator_is_refused() -> None:
    with pytest.raises(ValueError, match="can't contain"):
        KeyScheme(store="s", app_id="app", strategy="a||b")


def test_keys_of_actors_and_of_nobody_are_not_listed() -> None:
    scheme = KeyScheme(store="s", app_id="app")
    assert scheme.listed("app||cat||tom||mood") is None
    assert scheme.listed("app||") is None


@given(st.text(min_size=1).filter(lambda key: "||" not in key))
def test_stored_keys_are_listed_as_the_app_named_them(key: str) -> None:
    scheme = KeyScheme(store="s", app_id="app")
    assert scheme.listed(scheme.stored(key)) == key


@pytest.mark.parametrize(
    ("strategy", "separator", "prefixes"),
    [
        ("appid", "||", ("app||",)),
        ("none", "||", ("",)),
        ("shared", "||", ("shared||", "app||")),
        ("appid", "-", ("app-",)),
    ],
)
def test_few_prefixes_reach_every_key_of_an_app(strategy: str, separator: str, prefixes: tuple[str, ...]) -> None:
    assert KeyScheme(store="s", app_id="app", strategy=strategy, separator=separator).prefixes == prefixes


def test_the_key_of_an_actor_is_taken_apart() -> None:
    scheme = KeyScheme(store="s", app_id="app", strategy="shared")
    assert scheme.actor_parts("app||cat||tom||mood") == ("cat", "tom", "mood")
    for stored in ("shared||cat||tom||mood", "app||mood", "app||cat||tom", "app||cat||||mood", "app||a||b||c||d"):
        assert scheme.actor_parts(stored) is None, stored


def test_under_keyscheme_dash_an_actors_key_looks_like_any_other() -> None:
    scheme = KeyScheme(store="s", app_id="app", separator="-")
    assert not scheme.distinguishes_actors
    assert scheme.actor_parts("app-cat-tom-mood") is None


@pytest.mark.parametrize("parts", [("T|", "1", "k"), ("T", "1|", "k")])
def test_a_part_of_an_actors_key_that_ends_with_half_a_separator_is_refused(parts: tuple[str, str, str]) -> None:
    with pytest.raises(
        IllegalKeyError, match=r"'.\|' can't end with '\|' in the type or id of an actor; another actor's"
    ):
        KeyScheme(store="s", app_id="app").actor(*parts)
    assert KeyScheme(store="s", app_id="app").actor("T", "1", "k|") == "app||T||1||k|"


@pytest.mark.parametrize("parts", [("T-1", "2", "k"), ("T", "1-2", "k")])
def test_under_dashes_an_actors_type_and_id_have_none(parts: tuple[str, str, str]) -> None:
    with pytest.raises(IllegalKeyError, match="can't contain '-' .* or use keyScheme pipes"):
        KeyScheme(store="s", app_id="app", separator="-").actor(*parts)
    assert KeyScheme(store="s", app_id="app", separator="-").actor("T", "1", "a-b") == "app-T-1-a-b"


def test_under_dashes_a_key_like_an_actors_is_refused_where_there_are_actors() -> None:
    with pytest.raises(IllegalKeyError, match="write it with fewer '-'"):
        KeyScheme(store="s", app_id="app", separator="-").stored("cat-tom-mood")
    alone = KeyScheme(store="s", app_id="app", separator="-", holds_actors=False)
    assert alone.stored("cat-tom-mood") == "app-cat-tom-mood"
    assert alone.listed("app-cat-tom-mood") == "cat-tom-mood"
    assert KeyScheme(store="s", app_id="app", separator="-").listed("app-cat-tom-mood") is None
