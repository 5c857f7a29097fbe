"""The nodes found for a row are the ones that the client library finds; nothing is computed for other tokens."""

import random
from typing import Any

import pytest
from cassandra.metadata import LocalStrategy, Murmur3Token, NetworkTopologyStrategy, SimpleStrategy
from cassandra.policies import SimpleConvictionPolicy
from cassandra.pool import Host
from unit.tables import each_row

from pannier_sidecar.stores.cassandra.replicas import LazyStrategy

STRATEGIES = (
    SimpleStrategy({"replication_factor": "1"}),
    SimpleStrategy({"replication_factor": "3"}),
    SimpleStrategy({"replication_factor": "99"}),
    NetworkTopologyStrategy({"east": "3", "west": "2"}),
    NetworkTopologyStrategy({"east": "1", "nowhere": "3"}),
    NetworkTopologyStrategy({"west": "99"}),
)


def host(number: int, racks: int) -> Host:
    made = Host(f"10.0.{number // 250}.{number % 250}", SimpleConvictionPolicy)
    made.set_location_info(("east", "west")[number % 2], f"rack{number // 2 % racks}")
    return made


def ring_of(hosts: list[Host], tokens: int, seed: int = 0) -> tuple[dict[Any, Host], list[Any]]:
    numbers = random.Random(seed)
    owners = {Murmur3Token(numbers.randrange(-(2**63), 2**63)): each for each in hosts for _ in range(tokens)}
    return owners, sorted(owners)


@pytest.mark.parametrize("racks", [1, 2, 3, 20])
@each_row("strategy", STRATEGIES)
def test_they_are_those_that_the_library_finds(strategy: Any, racks: int) -> None:
    owners, ring = ring_of([host(number, racks) for number in range(12)], 16)
    expected = strategy.make_token_replica_map(owners, ring)
    found = LazyStrategy(strategy).make_token_replica_map(owners, ring)
    assert found
    for token in ring:
        assert len(found[token]) == len(set(found[token]))
        if len(expected[token]) == len(set(expected[token])):
            assert set(found[token]) == set(expected[token])
        else:  # the library counts a node twice that it has passed by twice
            assert set(found[token]) >= set(expected[token])
        assert found[token][:1] == expected[token][:1] or isinstance(strategy, NetworkTopologyStrategy)


def test_a_strategy_that_says_nothing_and_no_tokens() -> None:
    assert not LazyStrategy(LocalStrategy({})).make_token_replica_map(*ring_of([host(0, 1)], 3))
    assert not LazyStrategy(STRATEGIES[0]).make_token_replica_map({}, [])


def test_tokens_that_a_hostile_server_has_chosen_end() -> None:
    owners, ring = {}, []
    for number in range(40):  # the tokens of each node side by side: those of all are looked at for 40 replicas
        this = host(number, 75)
        for token in range(2000):
            ring.append(Murmur3Token(number * 2000 + token))
            owners[ring[-1]] = this
    for strategy in (SimpleStrategy({"replication_factor": "40"}), NetworkTopologyStrategy({"east": "20"})):
        found = LazyStrategy(strategy).make_token_replica_map(owners, ring)
        assert {len(found[token]) for token in ring[:10]} < set(range(1, 7))
