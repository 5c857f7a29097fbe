"""Admission reviews are answered even if the API server refuses or is silent, or the operator itself has a bug."""

from __future__ import annotations

from copy import deepcopy
from typing import Any

import pytest
from unit.tables import each_row

from pannier_operator.cluster.cache import ClusterCache
from pannier_operator.cluster.errors import ApiError, ApiRefusedError
from pannier_operator.cluster.namespaces import NamespaceCache
from pannier_operator.controller.reviews import AdmissionReviews
from pannier_operator.metrics import Metrics
from pannier_operator.objects.label_selectors import LabelSelector
from pannier_operator.settings import OperatorSettings

SECRET = "hunter2"
USER = "system:serviceaccount:kube-system:somebody"


class Cluster:
    """The API server's objects, or its failure."""

    def __init__(self) -> None:
        self.components: list[dict[str, Any]] = []
        self.labels: dict[str, str] = {}
        self.error: Exception | None = None

    async def component_versions_in(self, namespace: str) -> None:
        return self._given(None)

    async def components_in(self, namespace: str) -> list[dict[str, Any]]:
        return self._given(self.components)

    async def resiliencies_in(self, namespace: str) -> list[dict[str, Any]]:
        return self._given([])

    async def secret(self, namespace: str, name: str) -> dict[str, Any] | None:
        return self._given(None)

    async def namespace_labels(self, name: str) -> dict[str, str]:
        return self.labels

    async def bounds_of(self, namespace: str) -> tuple[list[Any], list[Any]]:
        return [], []

    async def owner_above(self, namespace: str, owner: dict[str, Any]) -> dict[str, Any] | None:
        return self._given({"kind": "CronJob", "name": "nightly"})

    def _given(self, found: Any) -> Any:
        if self.error is not None:
            raise self.error
        return found


@pytest.fixture
def cluster() -> Cluster:
    return Cluster()


@pytest.fixture
def reviews(cluster: Cluster) -> AdmissionReviews:
    api: Any = cluster
    namespaces = NamespaceCache(api, LabelSelector())
    found = AdmissionReviews(api, ClusterCache(), namespaces, OperatorSettings(), Metrics())
    found.server_version = (1, 35)
    return found


def component(**metadata: str) -> dict[str, Any]:
    return {
        "apiVersion": "dapr.io/v1alpha1",
        "kind": "Component",
        "metadata": {"name": "orders", "namespace": "shop", **metadata},
        "spec": {
            "type": "state.redis",
            "version": "v1",
            "metadata": [
                {"name": "redisHost", "value": "redis:6379"},
                {"name": "redisPassword", "secretKeyRef": {"name": "vault", "key": "password"}},
                {"name": "actorStateStore", "value": "true"},
            ],
        },
    }


def pod() -> dict[str, Any]:
    owner = {"apiVersion": "batch/v1", "kind": "Job", "name": "nightly-123456", "uid": "u", "controller": True}
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"generateName": "x-", "annotations": {"dapr.io/enabled": "true"}, "ownerReferences": [owner]},
        "spec": {"containers": [{"name": "app", "image": "app:1"}]},
    }


@pytest.mark.parametrize(
    ("error", "why"),
    [
        (ApiRefusedError(500, f"etcd says {SECRET}", "InternalError"), "HTTP status 500 InternalError"),
        (ApiError("TimeoutError"), "the API server does not answer (TimeoutError)"),
    ],
)
async def test_a_component_is_refused_for_a_moment_while_its_namespace_cannot_be_read(
    cluster: Cluster, reviews: AdmissionReviews, error: Exception, why: str
) -> None:
    cluster.error = error

    verdict = await reviews.judge_component("CREATE", "shop", component(), None, USER)

    assert verdict.refusal == f"Pannier cannot read what is in the namespace now ({why}); try again in a moment"


@pytest.mark.parametrize("error", [ApiError("TimeoutError"), ValueError(SECRET)])
async def test_no_failure_prevents_a_deletion(
    cluster: Cluster, reviews: AdmissionReviews, error: Exception, caplog: pytest.LogCaptureFixture
) -> None:
    cluster.error = error

    verdict = await reviews.judge_component("DELETE", "shop", None, component(), USER)

    assert verdict.is_admitted
    assert "shop" in caplog.text


async def test_a_secret_that_is_not_there_is_a_warning(reviews: AdmissionReviews) -> None:
    verdict = await reviews.judge_component("CREATE", "shop", component(), None, USER)

    assert verdict.is_admitted
    assert any("'vault'" in warning for warning in verdict.warnings)


async def test_the_app_id_is_the_cron_jobs_or_the_jobs_while_the_cron_job_cannot_be_read(
    cluster: Cluster, reviews: AdmissionReviews
) -> None:
    named = await reviews.mutate_pod(pod(), "shop")
    cluster.error = ApiError("TimeoutError")
    unnamed = await reviews.mutate_pod(pod(), "shop")

    assert [each.pod["metadata"]["labels"]["dapr.io/app-id"] for each in (named, unnamed)] == [
        "nightly",
        "nightly-123456",
    ]


async def test_a_bug_lets_a_pod_through_unless_its_namespace_requires_a_sidecar(
    cluster: Cluster, reviews: AdmissionReviews
) -> None:
    cluster.error = ValueError(SECRET)

    verdict = await reviews.mutate_pod(pod(), "shop")

    assert verdict.is_admitted
    assert verdict.pod == pod()
    assert verdict.warnings == ("no sidecar is injected: the operator failed, its log says why",)
    cluster.labels = {"pannier.dev/injection": "required"}
    with pytest.raises(ValueError, match=SECRET):
        await reviews.mutate_pod(pod(), "elsewhere")


WRONG_SHAPES: list[dict[str, Any]] = [
    {"spec": None},
    {"spec": "x"},
    {"spec": {"containers": [None]}},
    {"spec": {"containers": {"name": "app"}}},
    {"spec": {"containers": [{"name": "app", "env": "x"}]}},
    {"spec": {"containers": [], "volumes": ["data"]}},
    {"metadata": {"annotations": ["dapr.io/enabled"]}},
    {"metadata": {"annotations": {"dapr.io/enabled": "true", "dapr.io/app-id": 7}}},
    {"metadata": {"annotations": {"dapr.io/enabled": True}, "labels": "x"}},
    {"metadata": {"ownerReferences": ["x"], "annotations": {"dapr.io/enabled": "true"}}},
    {"metadata": None},
    {"metadata": "x"},
]


@each_row("shape", WRONG_SHAPES)
async def test_a_pod_of_any_shape_is_admitted(reviews: AdmissionReviews, shape: dict[str, Any]) -> None:
    given = {**pod(), **shape}

    assert (await reviews.mutate_pod(deepcopy(given), "shop")).is_admitted


@pytest.mark.parametrize("template", [{"spec": 7}, [], "x"])
async def test_a_workload_is_admitted_whatever_it_says(reviews: AdmissionReviews, template: Any) -> None:
    workload = {"kind": "Deployment", "metadata": {"name": "orders"}, "spec": {"template": template}}
    review = {"apiVersion": "admission.k8s.io/v1", "request": {"uid": "1", "namespace": "shop", "object": workload}}

    answer = await reviews.judge_workload(review)

    assert answer["response"]["allowed"] is True
    assert answer["response"]["uid"] == "1"


async def test_a_pod_gets_the_containers_that_components_describe(cluster: Cluster, reviews: AdmissionReviews) -> None:
    described = component(name="ledger")
    described["metadata"]["annotations"] = {"dapr.io/component-container": '{"image": "ledger:1"}'}
    cluster.components = [described, {"metadata": {"name": "no-component", "namespace": "shop"}}]
    asking = pod()
    asking["metadata"]["annotations"]["dapr.io/inject-pluggable-components"] = "true"

    verdict = await reviews.mutate_pod(asking, "shop")

    assert [each["name"] for each in verdict.pod["spec"]["initContainers"]] == ["ledger", "daprd"]
    cluster.error = ApiError("TimeoutError")
    assert (await reviews.mutate_pod(asking, "shop")).pod is asking
