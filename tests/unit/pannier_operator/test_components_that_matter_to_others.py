"""A review judges only the Components that its verdict may depend on. The verdict is the same as with all of them."""

from __future__ import annotations

import random
from time import process_time
from typing import Any

import pytest

from pannier_operator.admission import components
from pannier_operator.admission.components import judge
from pannier_operator.admission.verdict import Verdict

ROUNDS = 600
APPS = ("pay", "ship", "sell")
KINDS: tuple[dict[str, Any], ...] = (
    {"type": "state.redis", "metadata": [{"name": "redisHost", "value": "redis:6379"}]},
    {"type": "State.Redis", "metadata": [{"name": "redisHost", "value": "redis:6379"}]},
    {"type": "state.redis", "metadata": [{"name": "redisHost", "value": "not a host:x"}]},
    {"type": "state.in-memory"},
    {"type": "state.unknown", "metadata": []},
    {"type": "secretstores.local.file", "metadata": [{"name": "secretsFile", "value": "/secrets.json"}]},
    {"type": "secretstores.kubernetes", "metadata": []},
    {"type": "pubsub.redis", "metadata": []},
    {"type": 1, "metadata": []},
    {"metadata": "text"},
    {},
)
ROLES = (
    "actorStateStore",
    "ActorStateStore",
    "ACTORSTATESTORE",
    "defaultStateStore",
    "defaultstatestore",
    " actorStateStore",
)
VALUES: tuple[Any, ...] = ("true", "True", "1", True, "false", "", None, 1, "on", {"a": 1})


def any_component(chance: random.Random, name: str) -> dict[str, Any]:
    spec = {"version": "v1", **(KINDS[0] if chance.random() < 0.7 else chance.choice(KINDS))}
    if isinstance(spec.get("metadata"), list):
        role = {"name": chance.choice(ROLES), "value": chance.choice(VALUES)}
        roles: tuple[list[dict[str, Any]], ...] = (
            [],
            [{"name": ROLES[0], "value": "true"}],
            [{"name": ROLES[3], "value": "true"}],
            [role],
        )
        spec["metadata"] = [*spec["metadata"], *chance.choice(roles)]
        if chance.random() < 0.3:
            reference = {"name": "redis-password", "key": "password"}
            spec["metadata"].append({"name": "redisPassword", "secretKeyRef": reference})
    found: dict[str, Any] = {
        "apiVersion": "dapr.io/v1alpha1",
        "kind": "Component",
        "metadata": {
            "name": name,
            "namespace": chance.choice(("shop", "shop", "bank")),
            "creationTimestamp": f"2026-01-0{chance.randrange(1, 4)}T00:00:00Z",
        },
        "spec": chance.choice((spec, spec, spec, spec, None, "text", [spec])) if chance.random() < 0.2 else spec,
    }
    if chance.random() < 0.6:
        found["scopes"] = chance.sample(APPS, chance.randrange(1, 3))
    if chance.random() < 0.3:
        found["auth"] = {"secretStore": chance.choice(("store-0", "store-1", "nowhere"))}
    return found


def verdict_on(round_number: int) -> Verdict:
    chance = random.Random(round_number)
    neighbours = [any_component(chance, f"store-{number}") for number in range(chance.randrange(8))]
    name = chance.choice(("new", "store-0", "store-1"))
    new, old = any_component(chance, name), any_component(chance, name)
    operation: Any = chance.choice(("CREATE", "UPDATE", "DELETE"))
    return judge(
        operation,
        None if operation == "DELETE" else new,
        None if operation == "CREATE" else old,
        neighbours,
        chance.sample(APPS, 2),
        known_secrets=chance.choice((None, {}, {"redis-password": ("password",)})),
        admits_unserved_types=chance.random() < 0.3,
    )


def test_the_verdict_is_the_one_beside_all_components(monkeypatch: pytest.MonkeyPatch) -> None:
    verdicts = [verdict_on(number) for number in range(ROUNDS)]
    monkeypatch.setattr(components, "matters_to_others", lambda _: True)
    assert verdicts == [verdict_on(number) for number in range(ROUNDS)]
    conflicts = [text for verdict in verdicts for text in verdict.errors if "already is the" in text]
    assert len(conflicts) > ROUNDS // 100, "the rounds hardly test anything"


def test_hundreds_of_components_without_a_role_cost_hardly_more_than_none() -> None:
    def manifest(number: int, *settings: dict[str, str]) -> dict[str, Any]:
        spec = {"type": "state.redis", "version": "v1", "metadata": [{"name": "redisHost", "value": "r:1"}, *settings]}
        metadata = {"name": f"store-{number}", "namespace": "shop"}
        return {"apiVersion": "dapr.io/v1alpha1", "kind": "Component", "metadata": metadata, "spec": spec}

    def seconds(neighbours: list[dict[str, Any]]) -> float:
        times = []
        for _ in range(5):
            begun = process_time()
            assert judge("CREATE", new, None, neighbours).is_admitted
            times.append(process_time() - begun)
        return min(times)

    new = manifest(1000, {"name": "actorStateStore", "value": "true"})
    assert seconds([manifest(number) for number in range(500)]) < 20 * seconds([])
