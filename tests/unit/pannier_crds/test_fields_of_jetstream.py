"""The fields of state.jetstream."""

import pytest

from pannier_crds import catalogue
from pannier_crds.addresses import nats
from pannier_crds.catalogue import ComponentType, read_settings
from pannier_crds.problems import InvalidValueError

DAPR_FIELDS = "natsURL name bucket jwt seedKey keyPrefix"
"""Those in Dapr's documentation of the component, between spaces."""


@pytest.fixture
def kind() -> ComponentType:
    kind = catalogue.component_type("state.jetstream")
    assert kind is not None
    return kind


def test_every_field_of_dapr_is_known_to_jetstream(kind: ComponentType) -> None:
    assert [name for name in DAPR_FIELDS.split() if kind.field(name) is None] == []


def test_jetstream_needs_an_address_and_a_bucket(kind: ComponentType) -> None:
    settings, problems = read_settings(kind, {"natsURL": "nats://localhost", "bucket": "b"})
    assert (settings["name"], settings["timeout"], problems) == ("dapr.io - statestore.jetstream", 5.0, [])
    missing = [str(problem) for problem in read_settings(kind, {})[1]]
    assert ["natsURL" in missing[0], "bucket" in missing[1]] == [True, True]


def test_a_jwt_needs_its_seed(kind: ComponentType) -> None:
    given = {"natsURL": "localhost", "bucket": "b"}
    (problem,) = read_settings(kind, {**given, "jwt": "eyJ"})[1]
    assert "jwt needs seedKey" in str(problem)
    (problem,) = read_settings(kind, {**given, "seedKey": "SU"})[1]
    assert "seedKey needs jwt" in str(problem)


def test_addresses_of_nats_are_read() -> None:
    def read(text: str) -> list[tuple[str, bool, str | None, str | None]]:
        return [
            (
                str(server.address),
                server.needs_tls,
                None if server.user is None else server.user.reveal(),
                None if server.secret is None else server.secret.reveal(),
            )
            for server in nats.server_list(text)
        ]

    expected = {
        "localhost": [("localhost:4222", False, None, None)],
        "nats://a:1, NATS://b:2/": [("a:1", False, None, None), ("b:2", False, None, None)],
        "tls://[::1]:4223": [("[::1]:4223", True, None, None)],
        "nats://u:p%40%2C@a": [("a:4222", False, "u", "p@,")],
        "nats://token@a": [("a:4222", False, None, "token")],
    }
    assert {text: read(text) for text in expected} == expected


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("ws://a", "neither nats:// nor tls://"),
        ("nats://a,tls://b", "some addresses begin with tls://"),
        ("nats://u:p/q@a", "write %2F for '/'"),
        ("nats://u:@a", "is not whole"),
        ("nats://u:%zz@a", "does not begin a %XX"),
        ("nats://a:99999", "is not a port"),
    ],
)
def test_wrong_addresses_of_nats_are_refused_and_not_quoted(text: str, words: str) -> None:
    with pytest.raises(InvalidValueError) as caught:
        nats.server_list(text)
    assert words in f"{caught.value.message}; {caught.value.advice}"
    assert "p/q" not in str(caught.value)
