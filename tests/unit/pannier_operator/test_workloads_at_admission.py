"""Mistakes in a Deployment's template are reported when it is applied, and when it is described later."""

from __future__ import annotations

from typing import Any

import pytest

from pannier_operator.admission.pods import mutate
from pannier_operator.admission.workloads import warnings_for
from pannier_operator.cluster.cache import ClusterCache
from pannier_operator.cluster.cached_objects import is_missed
from pannier_operator.controller.pod_mistakes import PodMistakes
from pannier_operator.objects.app_ids import job_to_look_up
from pannier_operator.settings import OperatorSettings

ENABLED = {"dapr.io/enabled": "true"}
UNKNOWN = "annotation dapr.io/app_id is unknown and has no effect; did you mean dapr.io/app-id?"


def template(annotations: dict[str, str]) -> dict[str, Any]:
    return {"metadata": {"annotations": annotations}, "spec": {"containers": [{"name": "app", "image": "app:1"}]}}


def workload(kind: str, annotations: dict[str, str], name: str = "orders") -> dict[str, Any]:
    spec = {"template": template(annotations)}
    spec = {"jobTemplate": {"spec": spec}} if kind == "CronJob" else spec
    return {"apiVersion": "apps/v1", "kind": kind, "metadata": {"name": name}, "spec": spec}


def warned(manifest: dict[str, Any]) -> tuple[str, ...]:
    return warnings_for(manifest, {}, OperatorSettings(), namespace="shop", server_version=(1, 35))


@pytest.mark.parametrize("kind", ["Deployment", "StatefulSet", "DaemonSet", "Job", "CronJob"])
def test_an_unknown_annotation_of_a_template_is_warned_of(kind: str) -> None:
    assert warned(workload(kind, {**ENABLED, "dapr.io/app_id": "x"})) == (UNKNOWN,)
    assert warned(workload(kind, ENABLED)) == ()


def test_a_mistake_that_will_refuse_pods_is_a_warning_at_the_workload() -> None:
    assert warned(workload("Deployment", ENABLED, name="Orders")) == (
        "its pods will be refused: app id 'Orders' is not a DNS name; write lower-case letters, digits and '-', with a "
        "letter or digit at both ends, in the annotation dapr.io/app-id",
    )


@pytest.mark.parametrize("manifest", [{}, {"spec": None}, {"spec": {"template": "x"}}, {"kind": "CronJob", "spec": {}}])
def test_a_workload_without_a_template_causes_no_error(manifest: dict[str, Any]) -> None:
    assert warned(manifest) == ()


# --- Events -----------------------------------------------------------------------------------------------------------


class RecordingApi:
    """An API that knows the owners of owners, and keeps the Events."""

    def __init__(self, above: dict[str, Any] | None):
        self.above = above
        self.events: list[dict[str, Any]] = []

    async def owner_above(self, namespace: str, owner: dict[str, Any]) -> dict[str, Any] | None:
        return self.above

    async def create_event(self, event: dict[str, Any]) -> None:
        if all(each["metadata"]["name"] != event["metadata"]["name"] for each in self.events):
            self.events.append(event)


REPLICA_SET = {"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": "orders-1", "uid": "rs", "controller": True}
DEPLOYMENT = {"apiVersion": "apps/v1", "kind": "Deployment", "name": "orders", "uid": "d"}


def pod(uid: str, annotations: dict[str, str], version: int = 1) -> dict[str, Any]:
    metadata = {"name": f"orders-{uid}", "namespace": "shop", "uid": uid, "resourceVersion": str(version)}
    return {"metadata": {**metadata, "annotations": annotations, "ownerReferences": [REPLICA_SET]}, "spec": {}}


async def test_each_pod_and_its_deployment_get_one_event() -> None:
    state, api = ClusterCache(), RecordingApi(DEPLOYMENT)
    for uid in ("1", "2"):
        state.observe("pods", False, pod(uid, {"dapr.io/enabled": "yes please"}))
    mistakes = PodMistakes(api, state)  # type: ignore[arg-type]
    await mistakes.report("shop")
    await mistakes.report("shop")
    abouts = [(event["involvedObject"]["kind"], event["involvedObject"]["name"]) for event in api.events]
    assert sorted(abouts) == [("Deployment", "orders"), ("Pod", "orders-1"), ("Pod", "orders-2")]
    assert {event["message"] for event in api.events} == {
        "annotation dapr.io/enabled: 'yes please' is neither true nor false, so no sidecar is injected; write "
        '"true" or "false"'
    }
    assert {event["reason"] for event in api.events} == {"AnnotationWithoutEffect"}


def test_a_pod_with_mistakes_is_not_a_missed_pod() -> None:
    state = ClusterCache()
    state.observe("pods", False, pod("1", {"dapr.io/enabled": "yes please"}))
    (kept,) = state.pods("shop")
    assert not is_missed(kept)
    state.observe("pods", False, pod("2", {"app.example/x": "y"}))
    assert state.pods("shop") == [kept]


# --- Jobs made by hand from a CronJob ---------------------------------------------------------------------------------


def job_pod(name: str, **annotations: str) -> dict[str, Any]:
    owner = {"apiVersion": "batch/v1", "kind": "Job", "name": name, "uid": "j", "controller": True}
    metadata = {"annotations": {**ENABLED, **annotations}, "ownerReferences": [owner]}
    return {"metadata": metadata, "spec": {"containers": [{"name": "app"}]}}


OF_A_JOB = {"ownerReferences": job_pod("try-it")["metadata"]["ownerReferences"]}


def test_a_job_made_by_hand_from_a_cron_job_keeps_its_app_id() -> None:
    by_hand = job_pod("try-it")
    assert job_to_look_up(by_hand) is not None
    verdict = mutate(by_hand, {}, OperatorSettings(), namespace="shop", server_version=(1, 35), cron_job="nightly")
    assert verdict.pod["metadata"]["labels"]["dapr.io/app-id"] == "nightly"


def test_a_job_whose_name_or_annotation_says_enough_is_not_looked_up() -> None:
    assert job_to_look_up(job_pod("nightly-29012345")) is None
    assert job_to_look_up(job_pod("try-it", **{"dapr.io/app-id": "x"})) is None
    assert job_to_look_up(job_pod("try-it", **{"dapr.io/enabled": "false"})) is None
    assert job_to_look_up({**job_pod("try-it"), "metadata": {"labels": {}, **OF_A_JOB}}) is None, "it asks for none"
    assert job_to_look_up({"metadata": {"ownerReferences": [REPLICA_SET]}}) is None
