"""Resiliency objects in a namespace: verdicts, delivery to each app, statuses, and reviews."""

from __future__ import annotations

import base64
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import yaml
from servers.cluster_in_memory import ClusterInMemory
from unit.tables import each_row

from pannier_crds.folder import RESILIENCIES_FILE
from pannier_crds.manifests import read_documents
from pannier_operator.admission.resiliencies import judge_resiliency
from pannier_operator.cluster.cache import ClusterCache
from pannier_operator.cluster.errors import ApiError
from pannier_operator.cluster.namespaces import NamespaceCache
from pannier_operator.controller.reviews import AdmissionReviews
from pannier_operator.delivery.app_secret import MAX_BYTES, generations_in
from pannier_operator.delivery.plan import AppSecret, secret_for
from pannier_operator.metrics import Metrics
from pannier_operator.objects.label_selectors import LabelSelector
from pannier_operator.objects.namespace_components import NamespaceComponents
from pannier_operator.objects.namespace_resiliencies import NamespaceResiliencies
from pannier_operator.settings import OperatorSettings
from pannier_operator.status.readiness import App, Report, StoreReport
from pannier_operator.status.reasons import RESILIENCY_FALSE_BECAUSE
from pannier_operator.status.resiliency_conditions import status_of_resiliency
from pannier_sidecar.loading.folder import FolderWatch
from pannier_sidecar.loading.planning import plan
from pannier_sidecar.loading.plans import Plan
from pannier_sidecar.loading.resolving import ResolutionContext

NOW = datetime(2026, 11, 28, 12, tzinfo=UTC)
ROOT = Path(__file__).parents[3]
QUICK = {"timeouts": {"quick": "2s"}}


def resiliency(
    name: str = "state", policies: Any = None, targets: Any = None, *, scopes: list[str] | None = None, **metadata: Any
) -> dict[str, Any]:
    """`targets` are the names of policies by the component that has them."""
    components = {component: {"outbound": names} for component, names in (targets or {}).items()}
    found = {
        "apiVersion": "dapr.io/v1alpha1",
        "kind": "Resiliency",
        "metadata": {"name": name, "namespace": "shop", "uid": f"uid-{name}", "generation": 3, **metadata},
        "spec": {"policies": policies or {}, "targets": {"components": components}},
    }
    return {**found, "scopes": scopes} if scopes else found


def component(name: str = "orders", **top: Any) -> dict[str, Any]:
    metadata = {"name": name, "namespace": "shop", "generation": 1}
    spec = {"type": "state.in-memory", "version": "v1"}
    return {"apiVersion": "dapr.io/v1alpha1", "kind": "Component", "metadata": metadata, "spec": spec, **top}


def accepted(*manifests: Any, **options: Any) -> list[str]:
    return [each.name for each in NamespaceResiliencies(manifests, **options).members if each.accepted is not None]


def deliver(*manifests: Any, app: str = "cart", components: Any = ()) -> AppSecret:
    return secret_for(app, "shop", components, {}, NamespaceResiliencies(manifests))


def files_of(delivered: AppSecret) -> dict[str, bytes]:
    return {name: base64.b64decode(content) for name, content in delivered.manifest["data"].items()}


def plan_of(delivered: AppSecret, folder: Path) -> Plan:
    """The plan that a sidecar makes of it."""
    for name, content in files_of(delivered).items():
        (folder / name).write_bytes(content)
    reading = FolderWatch([folder], needs_index=True).read()
    assert reading is not None
    return plan(reading, ResolutionContext("cart", "shop"))


class TestVerdicts:
    @each_row(
        ["definer", "by", "is_known"],
        [
            ((), None, True),
            ((), ["cart"], True),
            (["cart"], ["cart"], True),
            (["cart", "pay"], ["cart"], True),
            (["cart"], ["cart", "pay"], False),
            (["cart"], None, False),
        ],
    )
    def test_a_policy_may_be_defined_in_any_object_that_is_for_the_same_apps(
        self, definer: list[str], by: list[str] | None, is_known: bool
    ) -> None:
        user = resiliency("user", {}, {"orders": {"timeout": "quick"}}, scopes=by)
        assert ("user" in accepted(resiliency("definer", QUICK, scopes=definer), user)) is is_known

    def test_what_an_object_with_an_error_defines_does_not_count(self) -> None:
        broken = resiliency("broken", {**QUICK, "retries": {"patient": {"policy": "linear"}}})
        first = resiliency("first", {"retries": {"patient": {}}}, {"orders": {"timeout": "quick"}})
        second = resiliency("second", {}, {"orders": {"retry": "patient"}})
        assert accepted(broken, first, second, resiliency("sound", {"timeouts": {"slow": "9s"}})) == ["sound"]

    def test_unknown_names_are_no_errors_in_profile_dapr(self) -> None:
        user = resiliency("user", {}, {"orders": {"timeout": "quick"}})
        assert accepted(user) == []
        assert accepted(user, admits_unknown_names=True) == ["user"]

    def test_each_of_many_may_depend_on_the_next(self) -> None:
        chain = [resiliency(f"r{i}", {"timeouts": {f"t{i}": "1s"}}, {"s": {"timeout": f"t{i + 1}"}}) for i in range(9)]
        assert accepted(*chain) == []
        chain.append(resiliency("r9", {"timeouts": {"t9": "1s"}}))
        assert len(accepted(*chain)) == 10


class TestDelivery:
    def test_an_app_gets_the_objects_in_its_scopes_ordered_by_name(self, tmp_path: Path) -> None:
        manifests = (
            resiliency("b", {"timeouts": {"quick": "2s"}}),
            resiliency("a-b", QUICK, scopes=["cart"]),
            resiliency("a", {"timeouts": {"quick": "500"}}, {"orders": {"timeout": "quick"}}),
            resiliency("theirs", QUICK, scopes=["pay"]),
        )
        delivered = deliver(*manifests, components=[component()])

        documents = read_documents(files_of(delivered)[RESILIENCIES_FILE])
        assert [each.name for each in documents] == ["a", "a-b", "b"]
        assert generations_in(delivered.manifest) == {
            "orders": 1,
            "resiliency/a": 3,
            "resiliency/a-b": 3,
            "resiliency/b": 3,
        }
        found = plan_of(delivered, tmp_path)
        assert (found.warnings, found.refused_resiliencies) == ((), ())
        (store,) = found.desired
        assert store.policies is not None and store.policies.timeout == 2.0, "the last one by name counts"

    def test_texts_of_any_kind_arrive_as_they_are(self, tmp_path: Path) -> None:
        policies: dict[str, Any] = {
            "timeouts": {"1e3": "3m", "no": "5s", "\U0001f4a1 ü": "007"},
            "circuitBreakers": {"c": {"trip": "consecutiveFailures >= 1 && requests > 2", "maxRequests": 2}},
        }
        manifest = resiliency("state", policies, {"orders": {"timeout": "\U0001f4a1 ü", "circuitBreaker": "c"}})
        found = plan_of(deliver(manifest, components=[component()]), tmp_path)
        (store,) = found.desired
        assert store.policies is not None and store.policies.timeout == 0.007
        assert store.policies.circuit_breaker is not None and store.policies.circuit_breaker.max_requests == 2

    def test_targets_without_effect_are_left_out_so_that_no_sidecar_warns_of_them(self, tmp_path: Path) -> None:
        manifest = resiliency("state", QUICK, {"orders": {"timeout": "quick"}})
        manifest["spec"]["targets"] |= {"apps": {"pay": {"timeout": "quick"}}, "actors": {"a": {"timeout": "quick"}}}
        found = plan_of(deliver(manifest, components=[component()]), tmp_path)
        assert found.warnings == ()
        assert [each.resiliency.name for each in found.resiliencies] == ["state"]

    def test_without_any_the_secret_is_as_before(self) -> None:
        assert (
            files_of(deliver(components=[component()])).keys()
            == files_of(secret_for("cart", "shop", [component()], {})).keys()
        )
        assert RESILIENCIES_FILE not in files_of(deliver(resiliency("theirs", QUICK, scopes=["pay"])))

    def test_what_does_not_fit_beside_the_components_is_left_out_the_largest_first(self) -> None:
        def large(name: str, count: int) -> dict[str, Any]:
            return resiliency(name, {"timeouts": {f"{name}-{i:05}" + "x" * 200: "5s" for i in range(count)}})

        delivered = deliver(large("large", 900), resiliency("small", QUICK), components=[sized_component(900 * 1024)])

        assert [each.key for each in delivered.too_large] == ["resiliency/large"]
        assert sorted(generations_in(delivered.manifest)) == ["orders", "resiliency/small"]
        assert sum(map(len, files_of(delivered).values())) <= MAX_BYTES


def sized_component(size: int) -> dict[str, Any]:
    found = component()
    found["spec"] = {"type": "state.redis", "metadata": [{"name": "redisHost", "value": "r"}]}
    found["spec"]["metadata"].append({"name": "note", "value": "x" * size})
    return found


UNKNOWN = resiliency("state", {}, {"orders": {"timeout": "quick"}})
SOUND = resiliency("state", QUICK)
HAS = {"cart": App({"resiliency/state": 3})}


def reports(**given: Any) -> dict[str, list[Report]]:
    return {"cart": [Report("cart-1", version="a", **given)]}


class TestStatuses:
    def status(self, *manifests: Any, name: str = "state", apps: Any = None, reports: Any = None) -> Any:
        judged = NamespaceResiliencies(manifests)
        member = judged.member(name)
        assert member is not None
        components = NamespaceComponents([component(), component("theirs", scopes=["pay"])])
        found = status_of_resiliency(member, judged, components, apps or {}, reports or {}, NOW)
        for each in found["conditions"]:
            assert each["status"] != "False" or each["reason"] in RESILIENCY_FALSE_BECAUSE[each["type"]]
        return found

    def conditions(self, *manifests: Any, **facts: Any) -> dict[str, tuple[str, str]]:
        found = self.status(*manifests, **facts)
        return {each["type"]: (each["status"], each["reason"]) for each in found["conditions"]}

    def test_it_says_which_stores_and_apps_use_it(self) -> None:
        manifest = resiliency("state", QUICK, {"orders": {"timeout": "quick"}}, scopes=["cart"])
        report = Report("cart-1", {}, version="a", resiliencies={"state": StoreReport("ready")})
        apps = {"cart": App({"resiliency/state": 3}), "pay": App()}
        found = self.status(manifest, apps=apps, reports={"cart": [report]})
        assert (found["stores"], found["storesSummary"], found["appsSummary"]) == (["orders"], "orders", "1/1")
        assert [(each["type"], each["status"]) for each in found["conditions"]] == [
            ("Accepted", "True"),
            ("Delivered", "True"),
            ("Ready", "True"),
        ]

    def test_a_default_policy_is_for_every_store_that_no_object_names(self) -> None:
        default = resiliency("state", {"timeouts": {"DefaultTimeoutPolicy": "2s"}})
        assert self.status(default)["stores"] == ["orders", "theirs"]
        named = resiliency("named", QUICK, {"orders": {"timeout": "quick"}})
        assert self.status(default, named)["stores"] == ["theirs"]
        assert self.status(resiliency("state", QUICK))["stores"] == []

    @each_row(
        ["manifest", "apps", "reports", "reason"],
        [
            (UNKNOWN, HAS, {}, "UnknownPolicy"),
            (resiliency("state", {"timeouts": {"quick": "soon"}}), HAS, {}, "Invalid"),
            (SOUND, {"cart": App({"resiliency/state": 2})}, {}, "Delivering"),
            (SOUND, {"cart": App(refusal="the quota")}, {}, "SecretRefused"),
            (SOUND, HAS, {}, "NoRunningPod"),
            (SOUND, HAS, reports(trouble="no answer in 3 s"), "SidecarSilent"),
            (SOUND, HAS, reports(stores={}, resiliencies={}), "NotLoadedYet"),
            (SOUND, HAS, reports(stores={}), "SidecarTooOld"),
            (SOUND, HAS, reports(stores={}, resiliencies={"state": StoreReport("refused")}), "RefusedBySidecar"),
            (SOUND, HAS, reports(stores={}, resiliencies={"state": StoreReport("ready", "x")}), "ServesEarlierVersion"),
        ],
    )
    def test_each_reason_why_it_is_not_ready(self, manifest: Any, apps: Any, reports: Any, reason: str) -> None:
        assert self.conditions(manifest, apps=apps, reports=reports)["Ready"] == ("False", reason)

    def test_its_fields_are_those_of_the_definition(self) -> None:
        (version,) = yaml.safe_load((ROOT / "crds" / "resiliency.yaml").read_text())["spec"]["versions"]
        schema = version["schema"]["openAPIV3Schema"]["properties"]["status"]["properties"]
        found = self.status(*(resiliency(f"r{i}") for i in range(3)), resiliency())
        assert set(found) == set(schema)
        assert set(found["conditions"][0]) == set(schema["conditions"]["items"]["properties"])


class TestAdmission:
    def test_a_wrong_one_is_refused_with_the_words_of_pannier_check(self) -> None:
        wrong = resiliency("state", {"retries": {"patient": {}}}, {"orders": {"retry": "patiennt"}})
        verdict = judge_resiliency(wrong, None, (), [component()])
        assert verdict.errors == (
            "spec.targets.components.orders.outbound.retry: there is no policy 'patiennt'; write 'patient'",
        )
        dapr = judge_resiliency(wrong, None, (), [component()], admits_unknown_names=True)
        assert dapr.is_admitted and dapr.warnings == verdict.errors

    def test_a_target_without_a_component_is_a_warning(self) -> None:
        targets = {"oders": {"timeout": "quick"}, "later": {"timeout": "quick"}, "events": {"timeout": "quick"}}
        events = component("events")
        events["spec"]["type"] = "pubsub.redis"
        verdict = judge_resiliency(resiliency("state", QUICK, targets), None, (), [component(), events])
        assert verdict.is_admitted
        assert verdict.warnings == (
            "spec.targets.components.oders: there is no component 'oders', so the target has no effect; write 'orders'",
            "spec.targets.components.later: there is no component 'later' yet, so the target has no effect; create it, "
            "or take the target out",
        )

    def test_a_refusal_does_not_grow_without_a_bound(self) -> None:
        wrong = resiliency("state", {"timeouts": {str(i): "soon" for i in range(1000)}})
        lines = judge_resiliency(wrong, None, (), ()).refusal.splitlines()
        assert (lines[0], len(lines), lines[-1]) == ("1000 problems", 102, "- and 900 more")

    def test_many_such_targets_cause_a_few_warnings(self) -> None:
        targets = {f"store-{i}": {"timeout": "quick"} for i in range(1000)}
        assert len(judge_resiliency(resiliency("state", QUICK, targets), None, (), ()).warnings) == 10

    def test_neither_labels_nor_a_deletion_is_refused(self) -> None:
        wrong = resiliency("state", {}, {"orders": {"retry": "patient"}})
        labelled = resiliency("state", {}, {"orders": {"retry": "patient"}}, labels={"team": "a"})
        assert judge_resiliency(labelled, wrong, (), ()).is_admitted
        assert judge_resiliency(None, wrong, (), ()).is_admitted

    def test_one_that_fits_into_no_secret_is_refused(self) -> None:
        large = resiliency("state", {"timeouts": {str(i) + "x" * 1100: "5s" for i in range(1000)}})
        assert "all components of an app together may have 1024 KiB" in judge_resiliency(large, None, (), ()).errors[0]


@pytest.fixture
def cluster() -> ClusterInMemory:
    return ClusterInMemory()


@pytest.fixture
def cache() -> ClusterCache:
    return ClusterCache()


@pytest.fixture
def reviews(cluster: ClusterInMemory, cache: ClusterCache) -> AdmissionReviews:
    api: Any = cluster
    return AdmissionReviews(api, cache, NamespaceCache(api, LabelSelector()), OperatorSettings(), Metrics())


def review(new: Any) -> Any:
    request = {"uid": "1", "operation": "CREATE", "namespace": "shop", "object": new, "userInfo": {"username": "u"}}
    return {"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "request": request}


class TestReviews:
    async def test_a_sound_one_needs_no_call(self, cluster: ClusterInMemory, reviews: AdmissionReviews) -> None:
        answer = await reviews.answers["resiliencies"](review(resiliency("state", QUICK)))
        assert answer["response"] == {"uid": "1", "allowed": True}
        assert cluster.calls == []

    async def test_a_policy_that_was_defined_a_moment_ago_counts(
        self, cluster: ClusterInMemory, reviews: AdmissionReviews
    ) -> None:
        cluster.put(resiliency("definer", QUICK))
        user = resiliency("user", {}, {"orders": {"timeout": "quick"}})
        answer = await reviews.answers["resiliencies"](review(user))
        assert answer["response"]["allowed"] is True
        assert cluster.calls == ["list Resiliencies of shop"]

    async def test_without_an_answer_of_the_api_server_the_cache_decides(
        self, cluster: ClusterInMemory, cache: ClusterCache, reviews: AdmissionReviews
    ) -> None:
        cluster.fail("list", ApiError("TimeoutError"))
        user = resiliency("user", {}, {"orders": {"timeout": "quick"}})
        refused = await reviews.answers["resiliencies"](review(user))
        assert refused["response"]["status"]["code"] == 422
        cache.put("resiliencies", {**resiliency("definer", QUICK, resourceVersion="7")})
        assert (await reviews.answers["resiliencies"](review(user)))["response"]["allowed"] is True
