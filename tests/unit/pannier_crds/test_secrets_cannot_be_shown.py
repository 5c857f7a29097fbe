"""A Secret formats as ***, whatever is done with it."""

from __future__ import annotations

import copy
import json
import pickle
import traceback
from dataclasses import dataclass

import pytest
from unit.tables import each_row

from pannier_crds.secret import Secret, reveal, shown

PASSWORD = "Xq7fKz"
SECRET = Secret(PASSWORD)


@dataclass
class Holder:
    password: Secret


@each_row(
    "text",
    [
        str(SECRET),
        repr(SECRET),
        f"{SECRET} {SECRET!r} {SECRET!s} {SECRET:>20}",
        "{} {!r}".format(SECRET, SECRET),  # noqa: UP032  # this way is tried too
        "%s %r" % (SECRET, SECRET),  # noqa: UP031  # and this one
        repr([SECRET, {"a": SECRET}, Holder(SECRET)]),
        str(ValueError(SECRET)),
        "".join(traceback.format_exception(ValueError("at", SECRET))),
    ],
)
def test_no_format_shows_it(text):
    assert PASSWORD not in text and "***" in text


@pytest.mark.parametrize("way", [pickle.dumps, copy.copy, copy.deepcopy, json.dumps])
def test_it_is_not_pickled_or_copied(way):
    with pytest.raises(TypeError) as refused:
        way(SECRET)
    assert PASSWORD not in str(refused.value)


def test_it_cannot_be_joined_to_text():
    with pytest.raises(TypeError):
        "".join([SECRET])  # type: ignore[list-item]
    with pytest.raises(TypeError):
        SECRET + ""  # type: ignore[operator]


def test_only_reveal_gives_it():
    assert SECRET.reveal() == PASSWORD == reveal(SECRET)
    assert [reveal("a"), reveal(None), reveal(5)] == ["a", "", "5"]
    assert shown(SECRET, "password") == "(the value of password)" and shown("a", "user") == "a"
    assert shown("u:x@h", "user") == "(the value of user)"


def test_secrets_compare_by_their_text_and_an_empty_one_is_false():
    assert Secret("a") == Secret("a", is_from_elsewhere=True) != Secret("b")
    assert len({Secret("a"), Secret("a")}) == 1
    assert Secret("a") != "a"
    assert not Secret("") and Secret("a")
