"""Each app's sidecars get the right components and their secrets, in one Secret that is written rarely."""

import base64
import json
import random
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pannier_crds.folder import digest_of
from pannier_crds.secret import Secret
from pannier_operator.delivery import plan as plan_module
from pannier_operator.delivery.app_secret import (
    differs,
    digests,
    generations_in,
    secret_name,
    status_key_in,
    version_in,
    with_version,
)
from pannier_operator.delivery.plan import MAX_BYTES, AppSecret, secret_for, what_app_sees
from pannier_operator.objects.namespace_components import NamespaceComponents
from pannier_sidecar.loading.folder import FolderWatch
from pannier_sidecar.loading.planning import plan
from pannier_sidecar.loading.plans import Plan
from pannier_sidecar.loading.resolving import ResolutionContext

SECRETS = {"redis": {"password": b"pa{appID}ss", "redis": b"user", "picture": b"\xff\xfe"}}


def component(
    name: str = "orders", *items: dict[str, object], age: int = 0, generation: int = 1, **top: Any
) -> dict[str, Any]:
    metadata = {
        "name": name,
        "namespace": "shop",
        "generation": generation,
        "creationTimestamp": f"2026-01-01T00:00:{age:02}Z",
        "annotations": {"kubectl.kubernetes.io/last-applied-configuration": "{}"},
    }
    spec = {"type": "state.redis", "metadata": [{"name": "redisHost", "value": "redis:6379"}, *items]}
    return {"apiVersion": "dapr.io/v1alpha1", "kind": "Component", "metadata": metadata, "spec": spec, **top}


def setting(name: str, value: object) -> dict[str, object]:
    return {"name": name, "value": value}


def reference(name: str, secret: str, key: str | None = None) -> dict[str, object]:
    return {"name": name, "secretKeyRef": {"name": secret, **({"key": key} if key else {})}}


ACTORS = setting("actorStateStore", "true")


def names(*components: dict[str, Any], app: str = "cart", namespace: str = "shop") -> list[str]:
    return [each.name for each in what_app_sees(app, namespace, components)]


def deliver(*components: dict[str, Any], secrets: Any = SECRETS) -> AppSecret:
    return secret_for("cart", "shop", components, secrets)


def files_of(delivered: AppSecret) -> dict[str, str]:
    data = delivered.manifest["data"]
    assert isinstance(data, dict)
    return {name: base64.b64decode(content).decode() for name, content in data.items()}


def as_written(manifest: dict[str, object], version: str = "1") -> dict[str, Any]:
    """The Secret as the cache then holds it."""
    written: dict[str, Any] = json.loads(json.dumps(with_version(manifest, version, "key")))
    return {**written, "data": digests(written)}


def plan_of(delivered: AppSecret, folder: Path) -> Plan:
    """The plan that a sidecar makes from it."""
    for name, content in files_of(delivered).items():
        (folder / name).write_text(content)
    reading = FolderWatch([folder]).read()
    assert reading is not None
    return plan(reading, ResolutionContext("cart", "shop"))


class TestWhatAnAppSees:
    def test_is_what_scopes_and_namespace_let_it(self) -> None:
        elsewhere = component("elsewhere")
        elsewhere["metadata"]["namespace"] = "other"
        others = component("theirs", scopes=["pay"])
        assert names(component("b"), component("a", scopes=["cart", "pay"]), others, elsewhere) == ["a", "b"]

    def test_leaves_out_what_is_wrong_or_not_served(self) -> None:
        wrong = component("wrong", setting("redisDB", "x"))
        broken = component("broken", {"value": "no name"})
        events = component("events")
        events["spec"]["type"] = "pubsub.redis"
        assert names(wrong, broken, events, component("right")) == ["right"]

    def test_leaves_out_the_younger_of_two_that_conflict(self) -> None:
        assert names(component("new", ACTORS, age=2), component("old", ACTORS, age=1)) == ["old"]
        assert names(component("b", ACTORS), component("a", ACTORS)) == ["a"]

    def test_does_not_depend_on_the_order_in_which_they_are_listed(self) -> None:
        ten = [component(f"store-{number}", ACTORS, age=number % 3) for number in range(10)]
        for seed in range(20):
            random.Random(seed).shuffle(ten)
            assert names(*ten) == ["store-0"]

    def test_is_known_from_judged_namespace_components_too(self) -> None:
        judged = NamespaceComponents([component("a"), component("b", scopes=["pay"])])
        assert [each.name for each in what_app_sees("cart", "shop", judged)] == ["a"]


class TestTheSecretOfAnApp:
    def test_is_named_and_labelled_after_it(self) -> None:
        manifest = deliver(component(generation=3)).manifest
        assert {key: manifest[key] for key in ("apiVersion", "kind", "type")} == {
            "apiVersion": "v1",
            "kind": "Secret",
            "type": "Opaque",
        }
        assert manifest["metadata"] == {
            "name": "cart-pannier",
            "namespace": "shop",
            "labels": {
                "app.kubernetes.io/managed-by": "pannier-operator",
                "pannier.dev/app-id": "cart",
                "pannier.dev/outlives-release": "true",
            },
            "annotations": {"pannier.dev/generations": '{"orders":3}'},
        }
        assert secret_name("cart") == "cart-pannier"

    def test_is_there_for_an_app_that_sees_nothing(self) -> None:
        delivered = deliver()
        assert files_of(delivered) == {"_index": '{\n "files": {}\n}'}
        assert (delivered.unresolved, delivered.too_large) == ([], [])

    def test_holds_a_file_for_each_component_without_scopes_and_other_marks(self) -> None:
        files = files_of(deliver(component("a", scopes=["cart"], generation=7), component("b")))
        assert list(files) == ["a.yaml", "b.yaml", "_index"]
        assert json.loads(files["_index"])["files"] == {
            name: digest_of(files[name].encode()) for name in ("a.yaml", "b.yaml")
        }
        identity = {"name": "a", "namespace": "shop", "annotations": {"pannier.dev/generation": "7"}}
        settings = [{"name": "redisHost", "value": "redis:6379"}]
        written = {
            "apiVersion": "dapr.io/v1alpha1",
            "kind": "Component",
            "metadata": identity,
            "spec": {"type": "state.redis", "version": "v1", "metadata": settings},
        }
        assert files["a.yaml"] == json.dumps(written, indent=1) + "\n"

    def test_is_the_same_however_the_components_are_listed(self) -> None:
        one, other = component("a", reference("redisPassword", "redis", "password")), component("b")
        assert deliver(one, other) == deliver(other, one)


class TestSecretsReferredTo:
    def test_arrive_beside_the_component_and_no_others(self, tmp_path: Path) -> None:
        delivered = deliver(
            component("orders", reference("redisPassword", "redis", "password"), reference("redisUsername", "redis"))
        )
        assert json.loads(files_of(delivered)["_kubernetes-secrets"]) == {
            "redis": {"password": "pa{appID}ss", "redis": "user"}
        }
        found = plan_of(delivered, tmp_path)
        assert (found.refused, found.warnings) == ((), ())
        (wanted,) = found.desired
        assert wanted.settings["redisPassword"] == Secret("pa{appID}ss"), "a password is no template"
        assert wanted.settings["redisUsername"] == Secret("user")
        assert found.secret_files == (tmp_path / "_kubernetes-secrets",)

    def test_secrets_of_another_store_are_left_to_the_sidecar(self) -> None:
        vaulted = component("a", reference("redisPassword", "redis", "password"), auth={"secretStore": "env"})
        environment = component("env")
        environment["spec"] = {"type": "secretstores.local.env"}
        files = files_of(deliver(vaulted, environment))
        assert list(files) == ["a.yaml", "env.yaml", "_index"]
        assert '"secretStore": "env"\n' in files["a.yaml"]

    @pytest.mark.parametrize("store", ["kubernetes", "Kubernetes", ""])
    def test_the_store_of_kubernetes_secrets_may_be_named(self, store: str, tmp_path: Path) -> None:
        asked = component("a", reference("redisPassword", "redis", "password"), auth={"secretStore": store})
        (wanted,) = plan_of(deliver(asked), tmp_path).desired
        assert wanted.settings["redisPassword"] == Secret("pa{appID}ss")

    def test_missing_secrets_are_named_as_in_the_cluster(self, tmp_path: Path) -> None:
        asked = component("a", reference("redisPassword", "redis", "pasword"))
        (refused,) = plan_of(deliver(asked), tmp_path).refused
        assert refused.why == (
            "spec.metadata[redisPassword].secretKeyRef: there is no Secret 'redis' in namespace 'shop' with a text "
            "under the key 'pasword'; make it, or correct the reference"
        )

    def test_do_not_conflict_with_a_component_called_kubernetes(self, tmp_path: Path) -> None:
        found = plan_of(deliver(component("kubernetes", reference("redisPassword", "redis", "password"))), tmp_path)
        assert [wanted.name for wanted in found.desired] == ["kubernetes"]

    def test_secrets_that_cannot_be_resolved_are_named_with_secret_and_key(self) -> None:
        delivered = deliver(
            component(
                "orders",
                reference("redisPassword", "rdis", "password"),
                reference("redisUsername", "redis", "user"),
                reference("sentinelPassword", "redis", "picture"),
            )
        )
        assert [(each.component, each.setting, each.secret, each.key) for each in delivered.unresolved] == [
            ("orders", "redisPassword", "rdis", "password"),
            ("orders", "redisUsername", "redis", "user"),
            ("orders", "sentinelPassword", "redis", "picture"),
        ]
        assert [each.problem.text for each in delivered.unresolved] == [
            "there is no Secret 'rdis' with key 'password' yet; create it before an app needs this component, "
            "or write 'redis'",
            "the Secret 'redis' has no key 'user' yet; add it before an app needs this component",
            "key 'picture' of the Secret 'redis' is not UTF-8 text; store it as text",
        ]

    def test_secrets_that_cannot_be_resolved_leave_a_running_store_as_it_is(self, tmp_path: Path) -> None:
        asked = component("a", reference("redisPassword", "redis", "password"))
        serving = plan_of(deliver(asked), tmp_path).desired
        for name, content in files_of(deliver(asked, secrets={})).items():
            (tmp_path / name).write_text(content)
        reading = FolderWatch([tmp_path]).read()
        assert reading is not None
        found = plan(reading, ResolutionContext("cart", "shop"), serving)
        assert [refused.name for refused in found.refused] == ["a"]
        (kept,) = found.desired
        assert kept.settings["redisPassword"] == Secret("pa{appID}ss")

    def test_change_the_secret_when_they_rotate(self) -> None:
        asked = component("a", reference("redisPassword", "redis", "password"))
        before, after = deliver(asked).manifest, deliver(asked, secrets={"redis": {"password": b"new"}}).manifest
        assert not differs(before, as_written(before))
        assert differs(after, as_written(before))

    def test_do_not_change_it_when_others_do(self) -> None:
        asked = component("a", reference("redisPassword", "redis", "password"))
        grown = {"redis": {**SECRETS["redis"], "more": b"x"}, "other": {"x": b"y"}}
        assert deliver(asked).manifest == deliver(asked, secrets=grown).manifest


class TestWriting:
    def test_is_needed_only_when_something_differs(self) -> None:
        wanted = deliver(component()).manifest
        existing = as_written(wanted)
        existing["metadata"] |= {"uid": "1", "resourceVersion": "2", "managedFields": []}
        existing["metadata"]["labels"]["team"] = "theirs"
        existing["metadata"]["annotations"]["tool"] = "theirs"
        assert not differs(wanted, existing)
        assert differs(wanted, None)
        assert differs(deliver(component(generation=2)).manifest, existing)
        assert differs(deliver().manifest, existing)

    def test_restores_what_somebody_removed(self) -> None:
        wanted = deliver(component()).manifest
        for part in ("labels", "annotations"):
            existing = as_written(wanted)
            del existing["metadata"][part]
            assert differs(wanted, existing)

    def test_an_empty_secret_is_not_written_twice(self) -> None:
        wanted = deliver().manifest
        assert not differs(wanted, as_written(wanted))
        assert differs(wanted, {**as_written(wanted), "data": None})  # written by an operator without versions

    def test_gives_each_version_a_name_that_the_sidecar_reads(self, tmp_path: Path) -> None:
        written: Any = with_version(deliver(component()).manifest, "7f3a", "k3y")
        assert version_in(written) == version_in({"data": digests(written)}) == "7f3a"
        (tmp_path / "_version").write_bytes(base64.b64decode(written["data"]["_version"]))
        watch = FolderWatch([tmp_path])
        watch.read()
        assert (watch.version, watch.status_key) == ("7f3a", "k3y")
        assert status_key_in(written) == status_key_in({"data": digests(written)}) == "k3y"

    def test_is_needed_where_the_sidecars_have_no_key_to_know_the_operator_by(self) -> None:
        wanted = deliver().manifest
        existing = as_written(wanted)
        existing["data"]["_version"] = base64.b64encode(b"7f3a").decode()
        assert (version_in(existing), status_key_in(existing)) == ("7f3a", "")
        assert differs(wanted, existing)

    @pytest.mark.parametrize("data", [None, {}, {"_version": "no base64"}, {"_version": "/w=="}])
    def test_reads_a_foreign_version_as_none(self, data: object) -> None:
        assert version_in({"data": data}) == ""

    def test_leaves_a_mark_of_what_was_delivered(self) -> None:
        manifest = deliver(component("a", generation=2), component("b", generation=9)).manifest
        assert generations_in(manifest) == {"a": 2, "b": 9}
        assert generations_in(None) == {}

    @pytest.mark.parametrize("text", ["", "no json", "[]", '{"a": "1"}'])
    def test_reads_a_foreign_mark_as_none(self, text: str) -> None:
        assert generations_in({"metadata": {"annotations": {"pannier.dev/generations": text}}}) == {}


class TestOneMebibyte:
    def test_is_kept_by_leaving_out_the_largest(self) -> None:
        small = [component(f"small-{number}", setting("x", "s" * 100_000)) for number in range(5)]
        large = component("large", setting("x", "l" * 700_000), generation=4)
        delivered = deliver(*small, large)
        assert [each.key for each in delivered.too_large] == ["large"]
        (left_out,) = delivered.too_large
        assert 700_000 < left_out.size < 710_000
        assert 1_200_000 < left_out.total < 1_210_000
        assert list(files_of(delivered)) == [*(f"small-{number}.yaml" for number in range(5)), "_index"]
        assert "large" not in generations_in(delivered.manifest)

    def test_counts_secrets_too(self) -> None:
        secrets = {"redis": {"password": b"x" * 1_100_000}}
        delivered = deliver(component("a", reference("redisPassword", "redis", "password")), secrets=secrets)
        assert [each.key for each in delivered.too_large] == ["a"]
        assert list(files_of(delivered)) == ["_index"]

    @given(st.lists(st.integers(0, 36_000), max_size=6))
    def test_is_never_exceeded_nor_missed(self, sizes: list[int]) -> None:
        most = MAX_BYTES // 16
        with patch.object(plan_module, "MAX_BYTES", most):
            delivered = deliver(
                *(component(f"c{number}", setting("x", "x" * size)) for number, size in enumerate(sizes)), secrets={}
            )
        written = sum(map(len, files_of(delivered).values()))
        assert written <= most
        assert len(delivered.too_large) + len(generations_in(delivered.manifest)) == len(sizes)
        if delivered.too_large:
            assert written + delivered.too_large[-1].size > most - 4096

    def test_is_not_exceeded_by_a_few_bytes_either(self) -> None:
        most = MAX_BYTES // 16
        with patch.object(plan_module, "MAX_BYTES", most):
            for size in range(most - 4096, most, 64):
                items = setting("x", "x" * size), reference("redisPassword", "redis", "password")
                delivered = deliver(component("c", *items), secrets={"redis": {"password": b"p"}})
                assert sum(map(len, files_of(delivered).values())) <= most
