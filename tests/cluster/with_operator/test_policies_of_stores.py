"""Resiliency objects from `kubectl apply` to the sidecar that follows them, and to their deletion."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from cluster import tools
from cluster.manifests import component, configuration, deployment, resiliency
from cluster.release import example, get_one, until
from cluster.user import CONFIGURATIONS, RESILIENCIES

if TYPE_CHECKING:
    from collections.abc import Iterator

    from cluster.release import Release
    from cluster.user import User

WEBHOOK = (
    'Error from server: error when creating "STDIN": admission webhook "resiliencies.pannier.dev" denied the request: '
)
BREAKER = {"circuitBreakers": {"careful": {"trip": "consecutiveFailures >= 1", "timeout": "10m"}}}


@pytest.fixture
def orders(user: User) -> User:
    """A user with an app and a store in memory."""
    user.apply(component(), deployment("orders"))
    user.deployed("orders")
    user.is_ready()
    return user


def ready(user: User, name: str) -> None:
    user.is_ready(name, RESILIENCIES)


def reported(user: User, app: str = "orders") -> dict[str, dict[str, str]]:
    """What the app's sidecar says of the Resiliency objects that it has read."""
    found: dict[str, dict[str, str]] = user.report(app)["resiliencies"]
    return found


def test_a_breaker_protects_the_store_until_its_resiliency_is_deleted(user: User) -> None:
    user.apply(example("redis.yaml"), example("component.yaml"), deployment("orders"))
    user.deployed("redis", "orders")
    user.is_ready()
    user.apply(resiliency("state", BREAKER, circuitBreaker="careful"))
    ready(user, "state")
    user.saves_and_reads("orders", 1)

    user.kubectl("scale", "deployment/redis", "--replicas=0")
    refused = user.until(lambda: answer_of_breaker(user), "the breaker of the policy refuses calls")
    assert refused[0] == 503
    assert user.events("Ready")

    user.kubectl("delete", RESILIENCIES, "state")
    user.until(lambda: reported(user) == {}, "the sidecar no longer has it")
    user.until(lambda: not answer_of_breaker(user), "the breaker is gone too")
    user.kubectl("scale", "deployment/redis", "--replicas=1")
    user.until(lambda: user.call("orders", "statestore/k")[0] == 204, "the store answers, and is empty")


def answer_of_breaker(user: User) -> tuple[int, str] | None:
    status, body = user.call("orders", "statestore/k")
    return (status, body) if "its circuit breaker is open" in body else None


def test_kubectl_shows_how_it_is(orders: User) -> None:
    orders.apply(resiliency("state", {"timeouts": {"quick": "2s"}}, timeout="quick"))
    ready(orders, "state")

    head, line = orders.kubectl("get", "resiliency", "-o", "wide").splitlines()

    assert head.split() == ["NAME", "STORES", "READY", "APPS", "AGE", "REASON"]
    name, stores, is_ready, apps, _, reason = line.split()
    assert [name, stores, is_ready, apps, reason] == ["state", "statestore", "True", "1/1", "Ready"]
    assert "trip" in orders.kubectl("explain", "resiliencies.dapr.io.spec.policies.circuitBreakers")
    metadata = get_one(orders.cluster, RESILIENCIES, orders.namespace, "state")["metadata"]
    assert "finalizers" not in metadata, "nothing prevents its deletion"


def test_mistakes_are_refused_in_one_line_that_says_what_to_write(user: User) -> None:
    user.apply(component())
    retries = {"retries": {"patient": {"maxRetries": 3}}}

    assert user.is_refused(resiliency("state", retries, retry="patiennt")) == (
        f"{WEBHOOK}spec.targets.components.statestore.outbound.retry: there is no policy 'patiennt'; write 'patient'"
    )
    wrong_trip = {"circuitBreakers": {"careful": {"trip": "consecutiveFailures >"}}}
    assert "spec.policies.circuitBreakers.careful.trip: " in user.is_refused(resiliency("state", wrong_trip))
    assert "there is no policy" in user.is_refused(resiliency("state", {}, timeout="quick"), "--dry-run=server")
    assert user.kubectl("get", RESILIENCIES, "-o", "name") == ""


def test_the_api_server_finds_mistakes_by_itself(pannier: Release, user: User) -> None:
    pannier.scale(0)
    try:
        said = user.is_refused(resiliency("state", {"timeouts": {"quick": "2 seconds"}}))
        assert (
            "'2 seconds' is not a duration; write a number with a unit, such as 500ms or 5s; without a unit, it is in "
            "milliseconds"
        ) in said
        said = user.is_refused(resiliency("state", {"retries": {"patient": {"policy": "linear"}}}))
        assert "is 'linear'; write 'constant' or 'exponential'" in said
    finally:
        pannier.scale(2)


def test_a_target_without_a_component_is_warned_of(orders: User) -> None:
    manifest = resiliency("state", {"timeouts": {"quick": "2s"}}, timeout="quick", store="statestor")

    done = orders.tries("apply", "-f", "-", input=manifest)

    assert done.returncode == 0
    assert done.stderr.strip() == (
        "Warning: spec.targets.components.statestor: there is no component 'statestor', so the target has no effect; "
        "write 'statestore'"
    )


def test_scopes_and_the_order_of_names_decide_which_policies_an_app_has(orders: User) -> None:
    for name, time in (("a", "1s"), ("a-b", "2s")):
        orders.apply(resiliency(name, {"timeouts": {"quick": time}}))
    orders.apply(resiliency("others", {"timeouts": {"quick": "3s"}}, scopes=["carts"]))
    orders.apply(resiliency("target", {}, timeout="quick", scopes=["orders"]))
    for name in ("a", "a-b", "others", "target"):
        ready(orders, name)

    assert sorted(reported(orders)) == ["a", "a-b", "target"]
    conditions = get_one(orders.cluster, RESILIENCIES, orders.namespace, "others")["status"]["conditions"]
    assert conditions[-1]["reason"] == "NotUsed"

    orders.kubectl("delete", RESILIENCIES, "a", "a-b")
    gone = orders.until(lambda: is_false(orders, "target", "Accepted"), "what named their policy is wrong now")
    assert gone["reason"] == "UnknownPolicy"
    orders.until(lambda: reported(orders) == {}, "no app gets it any more")


def is_false(user: User, name: str, type: str) -> dict[str, str] | None:
    found = user.condition(name, type, RESILIENCIES)
    return found if found.get("status") == "False" else None


def test_what_happens_while_no_operator_runs_is_done_later(pannier: Release, orders: User) -> None:
    orders.apply(resiliency("gone", {"timeouts": {"quick": "2s"}}, timeout="quick"))
    ready(orders, "gone")
    pannier.scale(0)

    orders.kubectl("delete", RESILIENCIES, "gone")
    assert list(reported(orders)) == ["gone"], "sidecars follow what they have"

    pannier.scale(2)
    orders.until(lambda: reported(orders) == {}, "its policies are gone")


def test_another_replica_delivers_when_the_leader_is_killed(pannier: Release, orders: User) -> None:
    leader = until(pannier.leader, "a replica acts")
    orders.apply(resiliency("first", {"timeouts": {"quick": "2s"}}, timeout="quick"))
    orders.cluster.kubectl("delete", "pod", "-n", "pannier-system", leader, "--grace-period=0", "--force")
    until(lambda: pannier.leader() not in ("", leader), "another replica acts")
    orders.until(
        lambda: orders.tries("apply", "-f", "-", input=resiliency("second", {})).returncode == 0, "it is taken"
    )

    for name in ("first", "second"):
        ready(orders, name)
    assert sorted(reported(orders)) == ["first", "second"]


@pytest.fixture
def without_definitions(pannier: Release) -> Iterator[list[str]]:
    """The definitions of Resiliency objects and Configurations, which are not installed."""
    kinds = (RESILIENCIES, CONFIGURATIONS)
    pannier.cluster.kubectl("delete", "crd", *kinds, "--timeout=60s")
    yield [(tools.ROOT / "crds" / f"{name}.yaml").read_text() for name in ("resiliency", "configuration")]
    pannier.cluster.kubectl("delete", "crd", *kinds, "--ignore-not-found", "--timeout=60s")
    pannier.install()  # installs the definitions again


def test_everything_else_works_without_the_definitions_and_they_may_come_later(
    pannier: Release, without_definitions: list[str], orders: User
) -> None:
    for pod in pannier.operators():
        orders.cluster.kubectl("delete", "pod", "-n", "pannier-system", pod)
    pannier.scale(2)
    orders.until(lambda: orders.tries("apply", "-f", "-", input=component("late")).returncode == 0, "it is taken")
    orders.is_ready("late")

    orders.apply(deployment("strict", annotations={"dapr.io/config": "shop"}))
    orders.until(lambda: orders.events("ConfigurationMissing"), "a pod waits for what cannot exist yet")

    for definition in without_definitions:
        orders.cluster.kubectl("apply", "-f", "-", input=definition)
    for kind in (RESILIENCIES, CONFIGURATIONS):
        orders.cluster.kubectl("wait", "--for=condition=Established", f"crd/{kind}", "--timeout=60s")
    for late in (resiliency("state", {"timeouts": {"q": "2s"}}), configuration("shop", components={"deny": []})):
        orders.until(
            lambda late=late: orders.tries("apply", "-f", "-", input=late).returncode == 0, "objects can be applied"
        )
    ready(orders, "state")
    assert list(reported(orders)) == ["state"]
    orders.is_ready("shop", CONFIGURATIONS)
    orders.deployed("strict")
