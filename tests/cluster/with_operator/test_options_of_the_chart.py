"""Each option of the chart is accepted by an API server and works; wrong values are refused in one sentence."""

from __future__ import annotations

import json
import subprocess
from typing import TYPE_CHECKING

import pytest
import yaml
from cluster.release import CHART, NAMESPACE, get_one, until
from cluster.tools import ROOT

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

    from cluster.access import Cluster
    from cluster.release import Release

SERVICE_MONITORS = "servicemonitors.monitoring.coreos.com"


@pytest.fixture
def service_monitors(cluster: Cluster) -> Iterator[None]:
    """The part of the definition of ServiceMonitors that an API server needs."""
    schema = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
    version = {"name": "v1", "served": True, "storage": True, "schema": {"openAPIV3Schema": schema}}
    names = {"kind": "ServiceMonitor", "plural": "servicemonitors"}
    definition = {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": SERVICE_MONITORS},
        "spec": {"group": "monitoring.coreos.com", "scope": "Namespaced", "names": names, "versions": [version]},
    }
    cluster.kubectl("apply", "-f", "-", input=json.dumps(definition))
    cluster.kubectl("wait", "--for=condition=Established", f"crd/{SERVICE_MONITORS}", "--timeout=60s")
    yield
    cluster.kubectl("delete", "crd", SERVICE_MONITORS)


def rendered(pannier: Release, *options: str) -> list[Any]:
    command = ("template", "pannier", str(CHART), "-n", NAMESPACE, "--kube-version", "1.35.0", "--no-hooks")
    text = pannier.cluster.helm(*command, *options)
    return [each for each in yaml.safe_load_all(text) if each]


def of_kind(objects: list[Any], kind: str) -> list[Any]:
    return [each for each in objects if each["kind"] == kind]


def test_a_network_policy_lets_in_what_the_operator_serves(pannier: Release) -> None:
    pannier.install(operator__networkPolicy__enabled=True)  # it waits for probes and webhooks

    policy = get_one(pannier.cluster, "networkpolicy", NAMESPACE, "pannier-operator")
    assert [each["port"] for each in policy["spec"]["ingress"][0]["ports"]] == ["webhooks", "health", "metrics"]
    pannier.install()


def test_a_service_monitor_finds_the_metrics(pannier: Release, service_monitors: None) -> None:
    pannier.install(metrics__serviceMonitor__enabled=True, metrics__serviceMonitor__labels={"team": "blue"})

    monitor = get_one(pannier.cluster, "servicemonitor", NAMESPACE, "pannier-operator")
    assert monitor["metadata"]["labels"]["team"] == "blue"
    wanted = monitor["spec"]["selector"]["matchLabels"]
    service = get_one(pannier.cluster, "service", NAMESPACE, "pannier-operator")
    assert wanted.items() <= service["metadata"]["labels"].items()
    assert monitor["spec"]["endpoints"][0]["port"] in [each["name"] for each in service["spec"]["ports"]]
    pannier.install()


def test_the_budget_and_the_spread_are_there_by_default(pannier: Release) -> None:
    budget = get_one(pannier.cluster, "poddisruptionbudget", NAMESPACE, "pannier-operator")
    until(
        lambda: (
            get_one(pannier.cluster, "poddisruptionbudget", NAMESPACE, "pannier-operator")["status"].get(
                "currentHealthy"
            )
            == 2
        ),
        "the budget counts both replicas",
    )
    deployment = get_one(pannier.cluster, "deployment", NAMESPACE, "pannier-operator")
    (spread,) = deployment["spec"]["template"]["spec"]["topologySpreadConstraints"]

    assert budget["spec"]["maxUnavailable"] == 1
    assert spread["topologyKey"] == "kubernetes.io/hostname"
    assert spread["labelSelector"]["matchLabels"].items() <= deployment["spec"]["selector"]["matchLabels"].items()


def test_cert_manager_creates_the_certificate_if_configured(pannier: Release) -> None:
    objects = rendered(pannier, "--set", "certificate.certManager.enabled=true")

    (certificate,) = of_kind(objects, "Certificate")
    (deployment,) = of_kind(objects, "Deployment")
    volumes = deployment["spec"]["template"]["spec"]["volumes"]
    mounted = next(each["secret"]["secretName"] for each in volumes if "secret" in each)
    assert certificate["spec"]["secretName"] == mounted
    for kind in ("ValidatingWebhookConfiguration", "MutatingWebhookConfiguration"):
        (configuration,) = of_kind(objects, kind)
        injected = configuration["metadata"]["annotations"]["cert-manager.io/inject-ca-from"]
        assert injected == f"{NAMESPACE}/{certificate['metadata']['name']}"
    (role, *_) = of_kind(objects, "Role")
    assert [rule for rule in role["rules"] if "secrets" in rule["resources"]] == []


@pytest.mark.parametrize(
    ("option", "words"),
    [
        ("operator.replicas=none", "replicas"),
        ("operator.replica=2", "additional properties 'replica' not allowed"),
        ("sidecar.native=maybe", "native"),
        ("certificate.lifetime=soon", "lifetime"),
    ],
)
def test_a_wrong_value_is_refused_by_its_name(pannier: Release, option: str, words: str) -> None:
    done = pannier.cluster.try_helm("template", "pannier", str(CHART), "-n", NAMESPACE, "--set", option)

    assert done.returncode == 1
    assert words in done.stderr


def test_the_plain_manifests_are_taken_by_the_api_server(pannier: Release) -> None:
    plainly = ["make", "--silent", "manifests", "ARGS="]  # not those of a `make test` that runs this
    made = subprocess.run(plainly, cwd=ROOT, capture_output=True, text=True, check=True)

    done = pannier.cluster.try_kubectl(
        "apply", "--dry-run=server", "--server-side", "--force-conflicts", "-f", "-", input=made.stdout
    )

    assert done.returncode == 0, done.stderr
    kinds = [each["kind"] for each in yaml.safe_load_all(made.stdout) if each]
    assert kinds[0] == "Namespace"
    assert {"CustomResourceDefinition", "Deployment", "MutatingWebhookConfiguration"} <= set(kinds)
    assert "helm.sh/hook" not in made.stdout, "the test of `helm test` is left out"
