"""Pannier on the definition of Components that Dapr installs, for the namespaces that are labelled as Pannier's."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from cluster.manifests import component, configuration, deployment, resiliency
from cluster.release import CHART, get_one
from cluster.user import CONFIGURATIONS, RESILIENCIES, User

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

    from cluster.access import Cluster
    from cluster.release import Release

DEFINITION = "components.dapr.io"
KINDS = {"components": "Component", "resiliencies": "Resiliency", "configurations": "Configuration"}
OURS = "pannier.dev/state=pannier"


def daprs_definition(plural: str) -> str:
    """One of Dapr's definitions in all that matters here: without a status, and owned by no release."""
    schema = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
    version = {"name": "v1alpha1", "served": True, "storage": True, "schema": {"openAPIV3Schema": schema}}
    definition: dict[str, Any] = {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"{plural}.dapr.io", "labels": {"app.kubernetes.io/part-of": "dapr"}},
        "spec": {
            "group": "dapr.io",
            "scope": "Namespaced",
            "names": {"kind": KINDS[plural], "plural": plural},
            "versions": [version],
        },
    }
    return json.dumps(definition)


def replace_definition(cluster: Cluster, plural: str, definition: str) -> None:
    name = f"{plural}.dapr.io"
    cluster.kubectl("delete", "crd", name, "--ignore-not-found", "--timeout=60s")
    cluster.kubectl("apply", "-f", "-", input=definition)
    cluster.kubectl("wait", "--for=condition=Established", f"crd/{name}", "--timeout=60s")


@pytest.fixture(scope="module")
def beside_dapr(installed: Release) -> Iterator[Release]:
    """Pannier for labelled namespaces, on Dapr's definition; afterwards everything is restored."""
    cluster = installed.cluster
    own = {plural: get_definition(cluster, plural) for plural in KINDS}
    cluster.kubectl("label", "namespace", "default", OURS)  # where the installation is tried
    installed.install(crds__enabled=False, namespaceSelector={"matchLabels": dict([OURS.split("=")])})
    for plural in KINDS:
        replace_definition(cluster, plural, daprs_definition(plural))
    yield installed
    cluster.kubectl("label", "namespace", "default", f"{OURS.partition('=')[0]}-")
    for plural, definition in own.items():
        replace_definition(cluster, plural, definition)
    installed.install()


def get_definition(cluster: Cluster, plural: str) -> str:
    """A definition as it can be applied again."""
    kept = json.loads(cluster.kubectl("get", "crd", f"{plural}.dapr.io", "-o", "json"))
    for field in ("status", "creationTimestamp"):
        kept.pop(field, None)
    kept["metadata"] = {
        key: kept["metadata"][key] for key in ("name", "labels", "annotations") if key in kept["metadata"]
    }
    return json.dumps(kept)


def status_of(user: User, name: str, definition: str = DEFINITION) -> dict[str, Any]:
    """The status in an object's annotation; empty before there is one."""
    metadata = get_one(user.cluster, definition, user.namespace, name)["metadata"]
    status: dict[str, Any] = json.loads((metadata.get("annotations") or {}).get("pannier.dev/status", "{}"))
    return status


def condition_of(user: User, name: str, type: str) -> dict[str, str]:
    conditions = status_of(user, name).get("conditions", ())
    return next((each for each in conditions if each["type"] == type), {})


@pytest.fixture
def other(beside_dapr: Release, namespace: str) -> User:
    """A user whose namespace is Dapr's."""
    return User(beside_dapr.cluster, namespace)


@pytest.fixture
def moved(other: User) -> User:
    """A user whose namespace is Pannier's."""
    other.cluster.kubectl("label", "namespace", other.namespace, OURS)
    return other


def test_a_namespace_that_has_moved_is_served_and_its_status_is_kept_in_an_annotation(moved: User) -> None:
    moved.apply(component(), deployment("orders"))
    moved.deployed("orders")
    moved.until(lambda: condition_of(moved, "statestore", "Ready").get("status") == "True", "it says that it is ready")
    moved.saves_and_reads("orders", "hello")
    assert moved.events("Ready")


def test_policies_are_judged_and_delivered_and_their_status_is_kept_in_an_annotation(moved: User) -> None:
    moved.apply(component(), deployment("orders"))
    moved.deployed("orders")
    quick = {"timeouts": {"quick": "2s"}}
    assert "write 'quick'" in moved.is_refused(resiliency("state", quick, timeout="quik"))
    moved.apply(resiliency("state", quick, timeout="quick"))

    def conditions() -> list[dict[str, str]]:
        found: list[dict[str, str]] = status_of(moved, "state", RESILIENCIES).get("conditions", [])
        return found

    moved.until(lambda: [each["status"] for each in conditions()] == ["True"] * 3, "it says that it is ready")
    assert list(moved.report("orders")["resiliencies"]) == ["state"]


def test_configurations_are_judged_and_delivered_and_their_status_is_kept_in_an_annotation(moved: User) -> None:
    denied = [{"name": "state", "version": "v1", "protocol": "http"}]
    wrong = configuration("shop", api={"denied": [{**denied[0], "protocol": "htp"}]})
    assert "write http or grpc" in moved.is_refused(wrong)
    moved.apply(component(), configuration("shop", api={"denied": denied}, mtls={"enabled": True}))
    moved.apply(deployment("orders", annotations={"dapr.io/config": "shop"}))
    moved.deployed("orders")

    def conditions() -> list[dict[str, str]]:
        found: list[dict[str, str]] = status_of(moved, "shop", CONFIGURATIONS).get("conditions", [])
        return found

    moved.until(lambda: [each["status"] for each in conditions()] == ["True"] * 4, "it says that it is ready")
    assert moved.call("orders", "statestore/k")[0] == 403


def test_types_that_only_dapr_serves_are_admitted_with_a_warning(moved: User) -> None:
    applied = moved.tries("apply", "-f", "-", input=component("other", "state.oracledatabase"))
    assert applied.returncode == 0, applied.stderr
    assert "leaves it to Dapr" in applied.stderr
    moved.until(lambda: condition_of(moved, "other", "Accepted").get("reason") == "NotServed", "its status says so")


def test_a_namespace_of_daprs_is_left_alone(other: User) -> None:
    wrong = component("statestore", "state.redis", redisHots="x")
    assert other.tries("apply", "-f", "-", input=wrong).returncode == 0
    other.apply(deployment("orders"))
    other.deployed("orders")
    assert [each["name"] for each in other.pod("orders")["spec"]["containers"]] == ["app"]
    assert "initContainers" not in other.pod("orders")["spec"]
    assert status_of(other, "statestore") == {}
    assert not other.events("SidecarMissing")


def test_a_namespace_moves_to_pannier_and_back(other: User) -> None:
    other.apply(component(), deployment("orders"))
    other.deployed("orders")
    other.cluster.kubectl("label", "namespace", other.namespace, OURS)
    other.kubectl("rollout", "restart", "deployment/orders")
    other.deployed("orders")
    other.until(lambda: "initContainers" in other.pod("orders")["spec"], "it has a sidecar")
    other.until(lambda: other.call("orders", "statestore/none")[0] == 204, "the store is live")

    other.cluster.kubectl("label", "namespace", other.namespace, f"{OURS.partition('=')[0]}-")

    def is_back() -> bool:
        other.kubectl("rollout", "restart", "deployment/orders")
        other.deployed("orders")
        return "initContainers" not in other.pod("orders")["spec"]

    other.until(is_back, "it has none again")


def test_a_labelled_pod_gets_no_sidecar(moved: User) -> None:
    kept_out = json.loads(deployment("orders"))
    kept_out["spec"]["template"]["metadata"]["labels"]["pannier.dev/injection"] = "disabled"
    moved.apply(component(), json.dumps(kept_out))
    moved.deployed("orders")
    assert "initContainers" not in moved.pod("orders")["spec"]
    assert not moved.events("SidecarMissing")


def test_an_installation_onto_daprs_definition_says_what_to_write(beside_dapr: Release) -> None:
    install = ("install", "second", str(CHART), "-n", "second", "--create-namespace", "--dry-run=server")
    done = beside_dapr.cluster.try_helm(*install)
    assert done.returncode != 0
    assert "crds.enabled=false" in done.stderr
