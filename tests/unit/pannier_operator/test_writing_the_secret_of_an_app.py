"""An app's Secret holds only what the operator writes; one that cannot be written affects only its own app."""

from __future__ import annotations

import base64
from copy import deepcopy
from typing import Any

import pytest

from pannier_operator.cluster.cache import ClusterCache
from pannier_operator.cluster.errors import ApiRefusedError
from pannier_operator.cluster.probes import SidecarProber
from pannier_operator.controller import deliverer as delivering
from pannier_operator.controller.deliverer import Deliverer, Delivery
from pannier_operator.delivery.app_secret import version_in
from pannier_operator.metrics import Metrics
from pannier_operator.objects.namespace_components import NamespaceComponents

QUOTA = 'secrets "cart-pannier" is forbidden: exceeded quota: few, requested: secrets=1, used: secrets=5, hunter2'
IMMUTABLE = 'Secret "cart-pannier" is invalid: data: Forbidden: field is immutable when `immutable` is set'
DENIED = 'admission webhook "validate.gate.example" denied the request: password: hunter2'
FAILING = 'Internal error occurred: failed calling webhook "x.example": no endpoints available: hunter2'
POLICY = "secrets \"x\" is forbidden: ValidatingAdmissionPolicy 'no-secrets' with binding 'b' denied request: hunter2"
NO_RIGHT = 'secrets is forbidden: User "system:serviceaccount:x:y" cannot create resource "secrets" hunter2'
STORE = {
    "apiVersion": "dapr.io/v1alpha1",
    "kind": "Component",
    "metadata": {"name": "orders", "namespace": "shop", "uid": "c1", "generation": 1},
    "spec": {"type": "state.in-memory", "version": "v1"},
}


def error(status: int, message: str) -> ApiRefusedError:
    return ApiRefusedError(status, message)


class Cluster:
    """Secrets as an API server keeps them, with refusals on demand, which no API server makes."""

    def __init__(self, state: ClusterCache) -> None:
        self.state = state
        self.kept: dict[str, dict[str, Any]] = {}
        self.version = 10
        self.writes: list[str] = []
        self.refusals: dict[str, ApiRefusedError] = {}
        self.events: list[dict[str, Any]] = []
        self.touched: list[str] = []
        self.adds: dict[str, str] = {}

    def put(self, secret: dict[str, Any], *, watched: bool = True) -> None:
        """Write it as another client."""
        self.version += 1
        metadata = {"namespace": "shop", "uid": f"u{self.version}", "creationTimestamp": "2026-01-01T00:00:00Z"}
        secret["metadata"] = {**metadata, **secret["metadata"], "resourceVersion": str(self.version)}
        self.kept[secret["metadata"]["name"]] = secret
        if watched:
            self.state.observe("secrets", False, deepcopy(secret))

    def patch(self, name: str, **data: str | None) -> None:
        """Change its data as another client."""
        secret = deepcopy(self.kept[name])
        for key, value in data.items():
            secret["data"][key] = value
        self.put(secret)

    async def write(self, manifest: dict[str, Any]) -> dict[str, Any] | None:
        name = manifest["metadata"]["name"]
        self.writes.append(name)
        if name in self.refusals:
            raise self.refusals[name]
        before = self.kept.get(name)
        given = manifest["metadata"].get("resourceVersion")
        if given != (before["metadata"]["resourceVersion"] if before else None):
            return None
        self.put({**deepcopy(manifest), "data": {**manifest["data"], **self.adds}}, watched=False)
        return deepcopy(self.kept[name])

    async def secret(self, namespace: str, name: str) -> dict[str, Any] | None:
        return deepcopy(self.kept.get(name))

    async def delete_secret(self, secret: dict[str, Any]) -> bool:
        name = secret["metadata"]["name"]
        if name in self.refusals:
            raise self.refusals[name]
        if self.kept[name]["metadata"]["resourceVersion"] != secret["metadata"]["resourceVersion"]:
            return False
        del self.kept[name]
        return True

    async def annotate_pod(self, pod: dict[str, Any], annotations: dict[str, str]) -> None:
        self.touched.append(pod["metadata"]["name"])
        if "pod" in self.refusals:
            raise self.refusals["pod"]

    async def create_event(self, event: dict[str, Any]) -> None:
        self.events.append(event)


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def monotonic(self) -> float:
        return self.now


class World:
    def __init__(self, clock: Clock) -> None:
        self.clock = clock
        self.state = ClusterCache()
        self.cluster = Cluster(self.state)
        self.metrics = Metrics()
        self.delivering = Deliverer(self.cluster, self.state, SidecarProber(), 0.0, self.metrics)  # type: ignore[arg-type]
        self.components: list[Any] = [STORE]

    async def deliver(self, app: str = "cart", *pods: dict[str, Any]) -> Delivery:
        return await self.delivering.deliver(app, "shop", NamespaceComponents(self.components), {}, pods)

    def data(self, name: str = "cart-pannier") -> set[str]:
        return set(self.cluster.kept[name]["data"])

    def undelivered(self) -> dict[str, float]:
        self.delivering.count()
        lines = [line for line in self.metrics.text().splitlines() if "undelivered_apps{" in line]
        return {line.split('"')[1]: float(line.split()[-1]) for line in lines}


def pod(name: str, phase: str = "Pending", app: str = "cart") -> dict[str, Any]:
    metadata = {
        "name": name,
        "namespace": "shop",
        "uid": f"uid-{name}",
        "annotations": {"dapr.io/app-id": app},
        "creationTimestamp": "2025-01-01T00:00:00Z",
    }
    return {"metadata": metadata, "spec": {}, "status": {"phase": phase, "podIP": "10.0.0.1"}}


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(delivering, "time", clock)
    return clock


@pytest.fixture
def world(clock: Clock) -> World:
    return World(clock)


async def test_a_foreign_key_is_removed_by_one_write_and_named_nowhere(world: World) -> None:
    await world.deliver()
    right = world.data()
    world.cluster.patch("cart-pannier", **{"smuggled.yaml": base64.b64encode(b"kind: Component").decode()})

    for _ in range(5):
        await world.deliver()

    assert world.data() == right == {"orders.yaml", "_index", "_version"}
    assert len(world.cluster.writes) == 2


async def test_metadata_of_others_stay(world: World) -> None:
    await world.deliver()
    secret = deepcopy(world.cluster.kept["cart-pannier"])
    secret["metadata"]["annotations"]["example.com/by"] = "me"
    secret["metadata"]["labels"]["team"] = "a"
    secret["metadata"]["ownerReferences"] = [{"kind": "Deployment"}]
    secret["data"]["more"] = ""
    world.cluster.put(secret)

    await world.deliver()

    metadata = world.cluster.kept["cart-pannier"]["metadata"]
    assert (metadata["annotations"]["example.com/by"], metadata["labels"]["team"]) == ("me", "a")
    assert metadata["ownerReferences"] == [{"kind": "Deployment"}]
    assert "changed" not in metadata
    assert "more" not in world.data()


async def test_repeated_changes_of_others_are_reverted_more_and_more_slowly(world: World, clock: Clock) -> None:
    await world.deliver()
    for _ in range(600):  # a minute
        world.cluster.patch("cart-pannier", more="")
        await world.deliver()
        clock.now += 0.1

    assert len(world.cluster.writes) < 12
    clock.now += 30
    await world.deliver()
    assert "more" not in world.data()


async def test_a_secret_that_has_changed_meanwhile_is_read_before_it_is_removed(world: World) -> None:
    await world.deliver()
    secret = deepcopy(world.cluster.kept["cart-pannier"])
    secret["data"]["more"] = ""
    world.cluster.put(secret, watched=False)
    world.components = []

    assert (await world.deliver()).retry_after == 0.5
    assert "more" in world.data()
    await world.deliver()

    assert world.data() == {"_index", "_version"}


@pytest.mark.parametrize(
    ("status", "text", "cause", "said"),
    [
        (403, QUOTA, "QuotaExceeded", "the quota 'few' allows no more"),
        (422, IMMUTABLE, "Immutable", "'cart-pannier' in namespace 'shop' is immutable; scale the app to 0, delete"),
        (400, DENIED, "Denied", "webhook 'validate.gate.example' refuses Secret 'cart-pannier'"),
        (500, FAILING, "WebhookFails", "webhook 'x.example' fails"),
        (403, POLICY, "Denied", "the admission policy 'no-secrets' refuses"),
        (403, NO_RIGHT, "NoRight", "the operator has no right to write Secret 'cart-pannier'"),
        (422, "Secret is invalid: hunter2", "Refused", "(HTTP status 422)"),
    ],
)
async def test_a_refusal_is_reported_without_texts_of_others(
    world: World, clock: Clock, caplog: pytest.LogCaptureFixture, status: int, text: str, cause: str, said: str
) -> None:
    world.cluster.refusals["cart-pannier"] = error(status, text)
    waiting, running = pod("waiting"), pod("running", "Running")

    for _ in range(3):
        found = await world.deliver("cart", waiting, running)
        clock.now += 60

    assert found.refusal is not None
    assert (found.refusal.cause, said in found.refusal.message) == (cause, True)
    assert world.undelivered() == {cause: 1}
    (event,) = world.cluster.events
    assert event["involvedObject"]["name"] == "waiting"
    assert (event["reason"], event["message"]) == ("ComponentsNotDelivered", found.refusal.message)
    assert "hunter2" not in caplog.text + found.refusal.message

    world.cluster.refusals.clear()
    clock.now += 60
    assert (await world.deliver("cart", waiting, running)).refusal is None
    assert world.undelivered() == {cause: 0}


async def test_a_refused_secret_is_tried_more_and_more_rarely_but_at_once_after_a_change(
    world: World, clock: Clock
) -> None:
    world.cluster.refusals["cart-pannier"] = error(403, QUOTA)
    for _ in range(1200):  # ten minutes
        await world.deliver()
        clock.now += 0.5
    assert len(world.cluster.writes) < 17

    world.cluster.refusals.clear()
    world.components = []
    assert (await world.deliver()).refusal is None


async def test_others_are_delivered_beside_a_refused_one(world: World) -> None:
    world.cluster.refusals["cart-pannier"] = error(403, QUOTA)

    first, second = await world.deliver("cart"), await world.deliver("pay")

    assert first.refusal is not None
    assert second.refusal is None
    assert "orders.yaml" in world.data("pay-pannier")


async def test_a_transient_failure_is_reported_only_if_it_happens_again(world: World, clock: Clock) -> None:
    world.cluster.refusals["cart-pannier"] = error(503, "later")
    first = await world.deliver("cart", pod("waiting"))
    clock.now += 5
    again = await world.deliver("cart", pod("waiting"))

    assert (first.refusal, first.retry_after) == (None, 2.0)
    assert again.refusal is not None


async def test_a_users_own_secret_is_never_overwritten(world: World) -> None:
    world.cluster.put({"metadata": {"name": "cart-pannier"}, "data": {"mine": ""}})

    found = await world.deliver("cart", pod("waiting"))

    assert found.refusal is not None
    assert "is not Pannier's and has the name that the app's Secret needs" in found.refusal.message
    assert world.data() == {"mine"}
    assert len(world.cluster.events) == 1


async def test_a_users_own_secret_of_an_unwatched_type_is_left_alone(world: World) -> None:
    world.cluster.put({"metadata": {"name": "cart-pannier"}, "data": {"mine": ""}}, watched=False)

    await world.deliver()
    found = await world.deliver()

    assert found.refusal is not None
    assert found.refusal.cause == "NameTaken"
    assert world.data() == {"mine"}


async def test_a_lost_label_is_reported(world: World) -> None:
    await world.deliver()
    secret = deepcopy(world.cluster.kept["cart-pannier"])
    del secret["metadata"]["labels"]["app.kubernetes.io/managed-by"]
    world.cluster.put(secret)

    found = await world.deliver()

    assert found.refusal is not None
    assert found.refusal.cause == "LabelRemoved"
    assert "has lost the label app.kubernetes.io/managed-by=pannier-operator; put the label back" in (
        found.refusal.message
    )


async def test_a_secret_that_is_altered_as_it_is_written_is_not_written_for_ever(world: World, clock: Clock) -> None:
    world.cluster.adds = {"injected": ""}
    for _ in range(100):
        found = await world.deliver()
        clock.now += 0.1

    assert found.refusal is not None
    assert found.refusal.cause == "Altered"
    assert len(world.cluster.writes) < 6


async def test_the_secret_of_an_app_without_pods_stays_when_it_has_changed(world: World) -> None:
    await world.deliver()
    secret = deepcopy(world.cluster.kept["cart-pannier"])
    world.cluster.put(secret, watched=False)

    assert await world.delivering.remove_unused("shop", []) is not None
    assert "cart-pannier" in world.cluster.kept
    world.state.observe("secrets", False, deepcopy(world.cluster.kept["cart-pannier"]))
    assert await world.delivering.remove_unused("shop", []) is None
    assert world.cluster.kept == {}


async def test_one_that_cannot_be_removed_stops_nothing(world: World) -> None:
    await world.deliver()
    world.cluster.refusals["cart-pannier"] = error(403, DENIED)

    assert await world.delivering.remove_unused("shop", []) == 60.0


async def test_a_pod_that_cannot_be_touched_stops_nothing(world: World) -> None:
    await world.deliver()
    world.cluster.refusals["pod"] = error(403, DENIED)

    found = await world.deliver("cart", pod("strict", "Running"))

    assert world.cluster.touched == ["strict"]
    assert found.refusal is None
    assert version_in(world.cluster.kept["cart-pannier"])


async def test_an_app_that_has_gone_is_no_longer_reported_as_refused(world: World) -> None:
    world.cluster.refusals["cart-pannier"] = error(403, QUOTA)
    await world.deliver()
    assert world.undelivered() == {"QuotaExceeded": 1}

    world.delivering.forget_others("shop", [])

    assert world.undelivered() == {"QuotaExceeded": 0}
