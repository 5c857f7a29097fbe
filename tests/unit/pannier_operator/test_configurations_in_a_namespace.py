"""Configurations in a namespace: what each app's pods get, what they keep, statuses, and reviews."""

from __future__ import annotations

import base64
import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import yaml
from servers.cluster_in_memory import ClusterInMemory
from unit.tables import each_row

from pannier_crds.configuration import Configuration
from pannier_crds.folder import INDEX_FILE, KUBERNETES_SECRETS_FILE
from pannier_operator.admission.configurations import judge_configuration
from pannier_operator.cluster.cache import ClusterCache
from pannier_operator.cluster.errors import ApiError
from pannier_operator.cluster.namespaces import NamespaceCache
from pannier_operator.controller.named_configurations import NamedConfigurations
from pannier_operator.controller.reviews import AdmissionReviews
from pannier_operator.delivery.app_secret import MAX_BYTES, generations_in, with_version
from pannier_operator.delivery.configurations import ConfigurationFile, file_of
from pannier_operator.delivery.plan import AppSecret, secret_for
from pannier_operator.metrics import Metrics
from pannier_operator.objects.label_selectors import LabelSelector
from pannier_operator.objects.namespace_configurations import judge_alone, judged
from pannier_operator.settings import OperatorSettings
from pannier_operator.status.configuration_conditions import status_of_configuration
from pannier_operator.status.readiness import App, Report, StoreReport
from pannier_operator.status.reasons import CONFIGURATION_FALSE_BECAUSE
from pannier_sidecar.loading.configuration_files import ConfigurationFiles

NOW = datetime(2026, 11, 28, 12, tzinfo=UTC)
ROOT = Path(__file__).parents[3]
DENIED = {"api": {"denied": [{"name": "state", "version": "v1", "protocol": "http"}]}}
OTEL = {"endpointAddress": "collector:4318", "protocol": "http"}
HEADER = {"name": "key", "secretKeyRef": {"name": "collector", "key": "token"}}
WITH_SECRET = {"tracing": {"otel": {**OTEL, "headers": [HEADER]}}}
WRONG = {"api": {"denied": [{"name": "sate", "version": "v1", "protocol": "http"}]}}


def configuration(name: str = "shop", spec: Any = None, generation: int = 3) -> dict[str, Any]:
    metadata = {"name": name, "namespace": "shop", "uid": f"uid-{name}", "generation": generation}
    head = {"apiVersion": "dapr.io/v1alpha1", "kind": "Configuration"}
    return {**head, "metadata": metadata, "spec": DENIED if spec is None else spec}


def pod(name: str, config: str, app: str = "cart") -> dict[str, Any]:
    """A pod of the app with its sidecar; `config` is what it mounts, whatever its annotations say."""
    volumes: list[Any] = [{"name": "pannier-components", "secret": {"secretName": f"{app}-pannier"}}]
    if config:
        items = [{"key": f"_configuration-{config}", "path": f"{config}.yaml"}]
        volumes.append({"name": "pannier-configuration", "secret": {"secretName": f"{app}-pannier", "items": items}})
    annotations = {"dapr.io/enabled": "true", "dapr.io/app-id": app, "dapr.io/config": "changed-since"}
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "namespace": "shop", "annotations": annotations},
        "spec": {"containers": [{"name": "app"}, {"name": "daprd"}], "volumes": volumes},
        "status": {"phase": "Running", "podIP": "192.0.2.1"},
    }


def file(manifest: dict[str, Any]) -> ConfigurationFile:
    member = judge_alone(manifest)
    assert member.accepted is not None
    return file_of(member, member.accepted)


def deliver(*manifests: Any, components: Any = (), secrets: Any = None) -> AppSecret:
    files = {each["metadata"]["name"]: file(each) for each in manifests}
    return secret_for("cart", "shop", components, secrets or {}, configurations=files)


def files_of(delivered: AppSecret) -> dict[str, bytes]:
    return {name: base64.b64decode(content) for name, content in delivered.manifest["data"].items()}


def read_by_sidecar(delivered: AppSecret, folder: Path, name: str = "shop") -> ConfigurationFiles:
    """What a sidecar reads of it, in whose environment every variable is set."""
    for key, content in files_of(delivered).items():
        (folder / key).write_bytes(content)
    environment = {"x": "replaced", "HOME": "replaced"}
    files = ConfigurationFiles([folder / f"_configuration-{name}"], environment, folder / KUBERNETES_SECRETS_FILE)
    files.read()
    return files


class TestDelivery:
    def test_a_sidecar_reads_what_the_object_says_and_reports_its_generation(self, tmp_path: Path) -> None:
        rules = [{"name": "m", "labels": [{"name": "path", "regex": {"$HOME": "^/a/${x}$"}}]}]
        manifest = configuration(spec={**DENIED, "metrics": {"rules": rules}})
        read = read_by_sidecar(deliver(manifest), tmp_path)
        assert read.current == Configuration.from_manifest(manifest), "and replaces nothing that looks like a variable"
        (state,) = read.states()
        assert (state.name, state.version, state.state, state.why) == ("shop", "3", "ready", "")

    def test_what_has_no_effect_is_left_out_so_that_no_sidecar_warns_of_it(
        self, tmp_path: Path, caplog: pytest.LogCaptureFixture
    ) -> None:
        read_by_sidecar(deliver(configuration(spec={**DENIED, "mtls": {"enabled": True}, "new": 1})), tmp_path)
        assert caplog.text == ""

    def test_the_values_of_its_secrets_come_beside_it(self, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
        manifest = configuration(spec=WITH_SECRET)
        known = {"collector": {"token": b"s3cret", "other": b"x"}, "foreign": {"a": b"b"}}
        delivered = deliver(manifest, secrets=known)
        assert json.loads(files_of(delivered)[KUBERNETES_SECRETS_FILE]) == {"collector": {"token": "s3cret"}}
        assert b"s3cret" not in files_of(delivered)["_configuration-shop"]
        read = read_by_sidecar(delivered, tmp_path)
        otel = read.current.tracing.otel
        assert otel is not None and otel.headers[0].value is not None
        assert otel.headers[0].value.reveal() == "s3cret" and "s3cret" not in repr(read.current) + caplog.text
        without = read_by_sidecar(deliver(manifest), tmp_path).current.tracing.otel
        assert without is not None and without.headers[0].value is None

    def test_the_index_and_the_generations_name_it(self) -> None:
        delivered = deliver(configuration(), configuration("other", {}, 7))
        assert generations_in(delivered.manifest) == {"configuration/shop": 3, "configuration/other": 7}
        assert {"_configuration-shop", "_configuration-other"} <= json.loads(files_of(delivered)[INDEX_FILE])[
            "files"
        ].keys()
        assert files_of(secret_for("cart", "shop", (), {})).keys() == {INDEX_FILE}, "without any, all is as before"

    def test_it_goes_before_components_where_not_all_fits(self) -> None:
        settings = [{"name": "redisHost", "value": "r"}, {"name": "note", "value": "x" * 900 * 1024}]
        metadata = {"name": "large", "namespace": "shop", "generation": 1}
        spec = {"type": "state.redis", "metadata": settings}
        component = {"apiVersion": "dapr.io/v1alpha1", "kind": "Component", "metadata": metadata, "spec": spec}
        large = {"components": {"deny": ["state.redis" + "x" * 1000] * 200}}
        delivered = deliver(configuration(spec=large), components=[component])
        assert [each.key for each in delivered.too_large] == ["large"]
        assert generations_in(delivered.manifest) == {"configuration/shop": 3}
        many = deliver(*(configuration(f"c{i}", large) for i in range(5)))
        assert len(many.too_large) == 3 and sum(map(len, files_of(many).values())) <= MAX_BYTES


def test_a_generation_is_judged_once_and_its_latest_status_is_kept() -> None:
    first = judged([configuration(), configuration("wrong", WRONG)])
    later = {**configuration(), "status": {"apps": 1}}
    again = judged([later, configuration("wrong", WRONG, 4)], first)
    assert again["shop"].configuration is first["shop"].configuration
    assert again["shop"].manifest == later
    assert again["wrong"].problems == first["wrong"].problems and again["wrong"].problems is not first["wrong"].problems
    other = configuration(spec={})
    other["metadata"]["uid"] = "another-object"
    assert judged([other], first)["shop"].configuration == Configuration("shop", "shop")


class TestWhatPodsName:
    async def named(
        self, cluster: ClusterInMemory, *manifests: Any, pods: Any = (), named: NamedConfigurations | None = None
    ) -> tuple[dict[str, list[str]], list[str]]:
        """Return the names that each app gets, and the Events' messages."""
        api: Any = cluster
        cache = ClusterCache()
        for each in cluster.all("Secret"):
            cache.put("secrets", each)
        for each in pods:
            cache.put("pods", cluster.put(each))
        named = named or NamedConfigurations(api, cache, Metrics())
        known = judged(manifests)
        files = await named.of("shop", cache.pods("shop"), known)
        await named.report("shop", cache.pods("shop"), files, known)
        return {app: list(given) for app, given in files.items()}, [each["message"] for each in cluster.events]

    def put_secret(self, cluster: ClusterInMemory, *manifests: Any) -> None:
        cluster.put(with_version(deliver(*manifests).manifest, "v", "key"))

    async def test_each_pod_gets_what_it_mounts(self, cluster: ClusterInMemory) -> None:
        pods = [pod("a", "shop"), pod("b", "other"), pod("c", ""), pod("d", "shop", "pay")]
        manifests = (configuration(), configuration("other"), configuration("unnamed"))
        assert await self.named(cluster, *manifests, pods=pods) == (
            {"cart": ["other", "shop"], "pay": ["shop"]},
            [],
        )

    async def test_a_pod_waits_for_what_does_not_exist(self, cluster: ClusterInMemory) -> None:
        files, messages = await self.named(cluster, configuration(), pods=[pod("a", "shpo")])
        assert files == {"cart": []}
        assert messages == [
            "annotation dapr.io/config: there is no Configuration 'shpo' in the namespace; write 'shop'. The pod waits "
            "for it, because without it every call would be allowed"
        ]
        assert cluster.events[0]["involvedObject"]["name"] == "a"

    async def test_what_the_watch_has_not_reported_yet_is_not_missing(self, cluster: ClusterInMemory) -> None:
        cluster.put(configuration())
        assert await self.named(cluster, pods=[pod("a", "shop")]) == ({"cart": []}, [])

    async def test_pods_keep_what_is_deleted_or_wrong(self, cluster: ClusterInMemory) -> None:
        self.put_secret(cluster, configuration())
        files, messages = await self.named(cluster, pods=[pod("a", "shop")])
        assert files == {"cart": ["shop"]}
        assert "keeps the last version, and so do the app's next pods" in messages[0]
        wrong = configuration(spec=WRONG)
        files, messages = await self.named(cluster, wrong, pods=[pod("a", "shop")])
        assert files == {"cart": ["shop"]}
        assert "shop is wrong: spec.api.denied[0].name: 'sate' is no API; write 'state'" in messages[1]

    async def test_kept_content_is_read_once_and_is_the_same(self, cluster: ClusterInMemory) -> None:
        api: Any = cluster
        known = {"collector": {"token": b"s3cret"}}
        cluster.put(with_version(deliver(configuration(spec=WITH_SECRET), secrets=known).manifest, "v", "key"))
        cache = ClusterCache()
        cache.put("secrets", cluster.find("Secret", "shop", "cart-pannier"))
        cache.put("pods", cluster.put(pod("a", "shop")))
        named = NamedConfigurations(api, cache, Metrics())
        for _ in range(3):
            files = await named.of("shop", cache.pods("shop"), {})
            assert files["cart"]["shop"] == file(configuration(spec=WITH_SECRET))
        assert cluster.calls == ["get Secret shop/cart-pannier"]

    async def test_an_app_without_pods_keeps_what_it_has(self, cluster: ClusterInMemory) -> None:
        self.put_secret(cluster, configuration(), configuration("gone"))
        assert await self.named(cluster, configuration(generation=4)) == ({"cart": ["shop", "gone"]}, [])

    async def test_what_no_pod_names_any_more_is_dropped(self, cluster: ClusterInMemory) -> None:
        self.put_secret(cluster, configuration(), configuration("gone"))
        assert (await self.named(cluster, configuration(), pods=[pod("a", "shop")]))[0] == {"cart": ["shop"]}


SOUND = configuration()
HAS = {"cart": App({"configuration/shop": 3})}


def reports(**given: Any) -> dict[str, list[Report]]:
    return {"cart": [Report("cart-1", version="a", **given)]}


def has(*report: str) -> dict[str, list[Report]]:
    return reports(stores={}, configurations={"shop": StoreReport(*report)})


class TestStatuses:
    def status(self, manifest: Any, apps: Any = None, reports: Any = None, secrets: Any = None) -> Any:
        found = status_of_configuration(judge_alone(manifest), secrets or {}, apps or {}, reports or {}, NOW)
        for each in found["conditions"]:
            assert each["status"] != "False" or each["reason"] in CONFIGURATION_FALSE_BECAUSE[each["type"]]
        return found

    def test_it_says_who_uses_it(self) -> None:
        apps = {**HAS, "pay": App({"configuration/shop": 2})}
        found = self.status(SOUND, apps, has("ready", "", "3"))
        assert (found["apps"], found["appsReady"], found["appsSummary"]) == (2, 1, "1/2")
        assert [(each["type"], each["reason"]) for each in self.status(SOUND)["conditions"]] == [
            ("Accepted", "Accepted"),
            ("SecretsResolved", "NotNeeded"),
            ("Delivered", "NotUsed"),
            ("Ready", "NotUsed"),
        ]

    @each_row(
        ["manifest", "apps", "reports", "reason"],
        [
            (configuration(spec=WRONG), HAS, {}, "Invalid"),
            (configuration(spec=WITH_SECRET), HAS, {}, "SecretMissing"),
            (SOUND, {"cart": App({"configuration/shop": 2})}, {}, "Delivering"),
            (SOUND, {"cart": App(refusal="the quota")}, {}, "SecretRefused"),
            (SOUND, HAS, {}, "NoRunningPod"),
            (SOUND, HAS, reports(trouble="no answer in 3 s"), "SidecarSilent"),
            (SOUND, HAS, reports(stores={}), "SidecarTooOld"),
            (SOUND, HAS, reports(stores={}, configurations={}), "NotLoadedYet"),
            (SOUND, HAS, has("ready", "", "2"), "NotLoadedYet"),
            (SOUND, HAS, has("ready", "HotReload is off", "2"), "ServesEarlierVersion"),
            (SOUND, HAS, has("ready", "HotReload is off", "3"), "Ready"),
        ],
    )
    def test_each_reason_why_it_is_ready_or_not(self, manifest: Any, apps: Any, reports: Any, reason: str) -> None:
        assert self.status(manifest, apps, reports)["conditions"][-1]["reason"] == reason

    def test_its_fields_are_those_of_the_definition(self) -> None:
        (version,) = yaml.safe_load((ROOT / "crds" / "configuration.yaml").read_text())["spec"]["versions"]
        schema = version["schema"]["openAPIV3Schema"]["properties"]["status"]["properties"]
        found = self.status(SOUND)
        assert set(found) == set(schema)
        assert set(found["conditions"][0]) == set(schema["conditions"]["items"]["properties"])


class TestAdmission:
    def test_a_wrong_one_is_refused_with_the_words_of_pannier_check(self) -> None:
        verdict = judge_configuration(judge_alone(configuration(spec=WRONG)), None, {})
        assert verdict.errors == ("spec.api.denied[0].name: 'sate' is no API; write 'state'",)

    def test_what_has_no_effect_and_secrets_that_do_not_exist_are_warnings(self) -> None:
        manifest = configuration(spec={**WITH_SECRET, "mtls": {"enabled": True}})
        verdict = judge_configuration(judge_alone(manifest), None, {"collector": ("tokn",)})
        assert verdict.is_admitted
        assert verdict.warnings == (
            "spec.mtls: has no effect here",
            "spec.tracing.otel.headers[0].secretKeyRef.key: the Secret 'collector' has no key 'token' yet; add it so "
            "that the header is sent, or write 'tokn'",
        )
        assert len(judge_configuration(judge_alone(manifest), None, None).warnings) == 1

    def test_neither_labels_nor_a_deletion_is_refused(self) -> None:
        wrong = configuration(spec=WRONG)
        assert judge_configuration(judge_alone(wrong), wrong, {}).is_admitted
        assert judge_configuration(None, wrong, {}).is_admitted

    @each_row(
        ["manifest", "said"],
        [
            (configuration("c" * 231), "metadata.name: has 231 characters; write 230 at most"),
            (
                configuration(spec={"components": {"deny": ["x" * 1000] * 270}}),
                "spec: the object has 264 KiB, and may have 256 KiB; make it smaller",
            ),
        ],
    )
    def test_one_that_fits_into_no_secret_is_refused(self, manifest: Any, said: str) -> None:
        assert judge_configuration(judge_alone(manifest), None, {}).errors == (said,)


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


def workload(config: str, enabled: str = "true") -> Any:
    annotations = {"dapr.io/enabled": enabled, "dapr.io/config": config}
    template = {"metadata": {"annotations": annotations}, "spec": {"containers": [{"name": "app", "image": "app:1"}]}}
    return {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "o"}, "spec": {"template": template}}


class TestReviews:
    async def test_a_sound_one_needs_no_call(self, cluster: ClusterInMemory, reviews: AdmissionReviews) -> None:
        answer = await reviews.answers["configurations"](review(SOUND))
        assert answer["response"] == {"uid": "1", "allowed": True}
        assert cluster.calls == []

    async def test_without_an_answer_of_the_api_server_secrets_are_not_warned_of(
        self, cluster: ClusterInMemory, reviews: AdmissionReviews
    ) -> None:
        cluster.fail("get Secret", ApiError("TimeoutError"))
        answer = await reviews.answers["configurations"](review(configuration(spec=WITH_SECRET)))
        assert answer["response"] == {"uid": "1", "allowed": True}

    async def test_a_workload_that_names_none_is_warned_of(
        self, cluster: ClusterInMemory, cache: ClusterCache, reviews: AdmissionReviews
    ) -> None:
        async def warnings(manifest: Any) -> list[str]:
            return list((await reviews.answers["workloads"](review(manifest)))["response"]["warnings"])

        cache.put("configurations", {**SOUND, "metadata": {**SOUND["metadata"], "resourceVersion": "7"}})
        (said,) = await warnings(workload("shpo"))
        assert said == (
            "annotation dapr.io/config: there is no Configuration 'shpo' in the namespace; write 'shop'; until then "
            "pods do not start"
        )
        assert await warnings(workload("shop")) == await warnings(workload("shpo", "false")) == []
        cluster.put(configuration("shpo"))
        assert await warnings(workload("shpo")) == [], "it was created a moment ago"
        cluster.fail("get Configuration", ApiError("TimeoutError"))
        assert await warnings(workload("other")) == []
        (said,) = await warnings(workload("a,b"))
        assert said.startswith("its pods will be refused: annotation dapr.io/config: 'a,b' is no name of an object")
