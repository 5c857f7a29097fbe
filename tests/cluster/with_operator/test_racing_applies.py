"""Applies that race past the webhook, each before it could see the others, are settled: only the oldest stays."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

from cluster.manifests import component, deployment
from cluster.release import get

if TYPE_CHECKING:
    from typing import Any

    from cluster.release import Release
    from cluster.user import User

RACERS = 10


def test_ten_racing_actor_stores_leave_exactly_one_accepted(user: User) -> None:
    user.apply(deployment("orders"))
    manifests = [component(f"store-{number}", actorStateStore="true") for number in range(RACERS)]
    with ThreadPoolExecutor(RACERS) as pool:
        done = list(pool.map(lambda manifest: user.tries("create", "-f", "-", input=manifest), manifests))

    taken = sum(each.returncode == 0 for each in done)
    assert taken >= 1
    settled = user.until(lambda: settled_components(user, taken), "every Component that was taken is settled")
    accepted = [each for each in settled if condition(each, "Accepted")["status"] == "True"]
    refused = [each for each in settled if each not in accepted]
    assert len(accepted) == 1
    assert {condition(each, "Accepted")["reason"] for each in refused} <= {"ActorStateStoreConflict"}
    user.deployed("orders")
    store = accepted[0]["metadata"]["name"]
    user.is_ready(store)
    assert user.call("orders", f"{store}/none")[0] == 204
    for name in [each["metadata"]["name"] for each in refused]:
        user.until(lambda name=name: user.call("orders", f"{name}/none")[0] == 400, f"{name} is not served")


def test_conflicts_that_arose_without_an_operator_are_settled_and_the_younger_takes_over(
    pannier: Release, user: User
) -> None:
    pannier.install(webhooks__components__failurePolicy="Ignore")
    pannier.scale(0)
    user.apply(component("older", actorStateStore="true"))
    user.apply(component("younger", actorStateStore="true"))
    pannier.install()

    user.is_ready("older")
    conflict = user.until(lambda: conflict_of(user, "younger"), "its status reports the conflict")
    assert "'older' already is the actor state store of every app" in conflict["message"]
    assert user.until(lambda: user.events("ActorStateStoreConflict"), "an Event reports it")
    user.kubectl("delete", "components.dapr.io", "older")
    user.is_ready("younger")


def conflict_of(user: User, name: str) -> dict[str, str] | None:
    accepted = user.condition(name, "Accepted")
    return accepted if accepted.get("reason") == "ActorStateStoreConflict" else None


def settled_components(user: User, count: int) -> list[Any] | None:
    found = get(user.cluster, "components.dapr.io", user.namespace)
    accepted = [each for each in found if condition(each, "Accepted").get("status") == "True"]
    return found if len(found) == count and len(accepted) == 1 and all(map(has_status, found)) else None


def has_status(component: Any) -> bool:
    return bool(component.get("status", {}).get("conditions"))


def condition(component: Any, type: str) -> dict[str, str]:
    found = component.get("status", {}).get("conditions", ())
    return next((each for each in found if each["type"] == type), {})
